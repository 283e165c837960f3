import { type MeshRecord, readMeshRecord, writeMeshRecord } from "../../node/guards.ts";

/** The driver's record on disk, as one apply knows it: who has the lock of its directory is the only one to write it. */
export class RecordKeeper {
  readonly #directory: string;
  #record: MeshRecord | undefined;

  /** @throws Fault 5 for one that is damaged. */
  constructor(directory: string) {
    this.#directory = directory;
    this.#record = readMeshRecord(directory);
  }

  /** Undefined until the guard is there for the first time. */
  get current(): MeshRecord | undefined {
    return this.#record;
  }

  /** Alters a part of it. @throws Fault 5. */
  write(part: Partial<MeshRecord>): void {
    if (this.#record !== undefined) this.replace({ ...this.#record, ...part });
  }

  /** Writes it when it is another one. @throws Fault 5. */
  replace(record: MeshRecord): void {
    if (JSON.stringify(record) !== JSON.stringify(this.#record)) writeMeshRecord(this.#directory, record);
    this.#record = record;
  }
}
