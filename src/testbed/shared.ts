import { patience } from "./patience.ts";
import { ENVIRONMENT } from "./place.ts";
import { Program } from "./program.ts";

/** Where the machines of a testbed have a directory that is the same for all of them, and for nobody else. */
export const SHARED_DIRECTORY = "/mnt";

/** The mounts of its namespace are copied into those of a machine: the file system at {@link SHARED_DIRECTORY} is one. */
const MOUNT = `mount -n -t tmpfs -o mode=755 tmpfs ${SHARED_DIRECTORY}; echo ready; read -r word`;

/**
 * A mount namespace out of which machines are made that share a directory, as by NFS. It is in memory: it goes with the
 * last of the machines, and with us.
 */
export class SharedMounts implements AsyncDisposable {
  private constructor(
    private readonly program: Program,
    /** File of the mount namespace. */
    readonly namespace: string,
  ) {}

  /** @throws Fault 5 when the kernel refuses. */
  static async create(): Promise<SharedMounts> {
    const argv = ["--mount", "--propagation", "private", "bash", "--norc", "-ec", MOUNT] as const;
    const program = new Program("shared directory", "/usr/bin/unshare", argv, { env: ENVIRONMENT });
    try {
      await program.line(/^ready$/, patience(10_000));
    } catch (error) {
      await program.stop("SIGKILL");
      throw error;
    }
    return new SharedMounts(program, `/proc/${program.pid}/ns/mnt`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.program.finish();
  }
}
