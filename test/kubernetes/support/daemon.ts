import type { Node } from "../../../src/testbed/node.ts";
import type { Program } from "../../../src/testbed/program.ts";
import { eventually } from "../../netns/support/eventually.ts";
import { cgroupWrapper } from "./cgroups.ts";

/** How a daemon runs on a node. */
export interface DaemonOptions {
  readonly argv: readonly [string, ...string[]];
  /** In the node's control groups, which it then sees as the whole of them: what starts containers. */
  readonly cgroups?: true;
}

/** Its pid first, then itself with its log: no pipe of ours is inherited by what outlives it. */
const START = `echo $$ >"$1"; log=$2; shift 2; exec "$@" >>"$log" 2>&1 </dev/null`;

/** A program of a node that runs until it is killed, as its init system would run it. It ends with the node. */
export class Daemon {
  private constructor(
    private readonly node: Node,
    private readonly name: string,
    private readonly program: Program,
  ) {}

  /** Starts it; that it serves is for the caller to find out. A second one of a name goes on in the log of the first. */
  static start(node: Node, name: string, options: DaemonOptions): Daemon {
    const argv = options.cgroups === true ? [...cgroupWrapper(), ...options.argv] : options.argv;
    const program = node.spawn(["sh", "-c", START, "sh", pidFile(name), logFile(name), ...argv]);
    return new Daemon(node, name, program);
  }

  /** Waits until it serves. @param bound Milliseconds. @throws Error with its last words when it ends, or does not. */
  async serving(bound: number, condition: () => Promise<boolean>): Promise<void> {
    let how: string | undefined;
    void this.program.ended.then((end) => {
      how = end;
    });
    try {
      await eventually(`${this.name} serves on ${this.node.name}`, bound, async () => {
        if (how !== undefined) throw new Error(`${this.name} on ${this.node.name} ended with ${how}`);
        return condition();
      });
    } catch (cause) {
      throw new Error(`${String(cause)}\n${await this.lastWords()}`, { cause });
    }
  }

  /** Kills the daemon alone, not what it started, and waits for its end. */
  async kill(): Promise<void> {
    await this.node.exec(["kill", "-KILL", (await this.node.readFile(pidFile(this.name))).trim()]);
    await this.program.ended;
  }

  private async lastWords(): Promise<string> {
    return (await this.node.exec(["tail", "-n", "30", logFile(this.name)], { check: false })).stdout;
  }
}

/** Where a node's daemon writes its log. */
export const logFile = (name: string) => `/var/log/${name}.log`;
const pidFile = (name: string) => `/run/${name}.test-pid`;
