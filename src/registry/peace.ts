import type { NodeRecord } from "./node-record.ts";
import { contradictions, Peaceful } from "./rivals.ts";

/** More that are new at once are as quickly compared with all others. */
const FEW = 100;

/**
 * Whether nodes are without contradictions, asked again and again of nearly the same ones: only those that have changed
 * since are compared with the others.
 */
export class Peace {
  #nodes: ReadonlyMap<string, NodeRecord> = new Map();
  #peaceful = new Peaceful([]);

  /** @param records One for each name. */
  holds(records: readonly NodeRecord[]): boolean {
    const before = this.#nodes;
    const come = records.filter((record) => before.get(record.name) !== record);
    const now = come.length === 0 && records.length === before.size ? before : byName(records);
    if (now === before) return true;
    const holds = come.length > FEW ? this.#compareAll(records) : this.#compare(before, now, come);
    this.#nodes = holds ? now : new Map();
    if (!holds) this.#peaceful = new Peaceful([]);
    return holds;
  }

  #compareAll(records: readonly NodeRecord[]): boolean {
    if (contradictions(records).length > 0) return false;
    this.#peaceful = new Peaceful(records);
    return true;
  }

  #compare(
    before: ReadonlyMap<string, NodeRecord>,
    now: ReadonlyMap<string, NodeRecord>,
    come: readonly NodeRecord[],
  ): boolean {
    for (const record of before.values()) if (now.get(record.name) !== record) this.#peaceful.remove(record);
    return come.every((record) => {
      if (this.#peaceful.rival(record) !== undefined) return false;
      this.#peaceful.add(record);
      return true;
    });
  }
}

function byName(records: readonly NodeRecord[]): ReadonlyMap<string, NodeRecord> {
  return new Map(records.map((record) => [record.name, record]));
}
