import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { type Netns, openNetns } from "../../../src/os/namespace.ts";

/** A network namespace without a name and with nothing else: what a testbed's node is too much for. */
export class BareNetns {
  readonly netns: Netns;
  readonly #holder: ChildProcess;

  private constructor(holder: ChildProcess) {
    this.#holder = holder;
    this.netns = openNetns(this.path);
  }

  /** Makes one. @throws Error when this process may not. */
  static async create(): Promise<BareNetns> {
    // `cat` ends with our end of its stdin: nothing survives us, however we end.
    const holder = spawn("unshare", ["--net", "sh", "-c", "echo ready; exec cat"], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    if (holder.stdout === null) throw new TypeError("no stdout");
    await once(holder.stdout, "data");
    return new BareNetns(holder);
  }

  /** What `nsenter` takes. */
  get path(): string {
    return `/proc/${this.#holder.pid}/ns/net`;
  }

  /** Runs a program in it. @returns What it printed. @throws Error when it fails. */
  exec(argv: readonly string[], input = ""): string {
    return execFileSync("nsenter", [`--net=${this.path}`, ...argv], { encoding: "utf8", stdio: "pipe", input });
  }

  /** Runs a script of the shell in it. @returns What it printed. @throws Error when one of its commands fails. */
  shell(script: string): string {
    return this.exec(["sh", "-ec", script]);
  }

  /** Ends it, with what is in it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.netns[Symbol.dispose]();
    const gone = once(this.#holder, "exit");
    this.#holder.stdin?.end();
    await gone;
  }
}
