import type { Node } from "../../../src/testbed/node.ts";
import { patience } from "../../../src/testbed/patience.ts";
import type { ExecResult } from "../../../src/testbed/place.ts";
import type { Program } from "../../../src/testbed/program.ts";
import { PODVPN } from "./hub.ts";

/** Runs a command of `podvpn` on a node to its end, as an operator does. */
export function podvpn(node: Node, ...args: string[]): Promise<ExecResult> {
  return node.exec([PODVPN, ...args], { check: false });
}

/** The JSON of a command that must end with `code`. */
export async function podvpnJson<T>(node: Node, code: number, ...args: string[]): Promise<T> {
  const result = await podvpn(node, ...args, "--json");
  if (result.code !== code) throw new Error(`exit status ${result.code}: ${result.stderr}${result.stdout}`);
  const parsed: T = JSON.parse(result.stdout); // what the tests say of it, they expect of it
  return parsed;
}

/** A `podvpn capture` that runs on a node. */
export class Eavesdropper implements AsyncDisposable {
  private constructor(
    private readonly node: Node,
    readonly program: Program,
    private readonly pidFile: string,
  ) {}

  /** Returns when it captures. */
  static async start(node: Node, ...args: string[]): Promise<Eavesdropper> {
    const pidFile = "/run/podvpn-test-capture.pid";
    const script = `echo $$ >${pidFile}; exec "$@"`;
    const program = node.spawn(["sh", "-c", script, "sh", PODVPN, "capture", "--seconds", "100", ...args]);
    await program.line(/^Looking for/, patience(15_000));
    return new Eavesdropper(node, program, pidFile);
  }

  /** Sends a signal to `podvpn` alone, not to its tcpdump. @returns How it ended, and what it said. */
  async end(signal: "INT" | "KILL" = "INT"): Promise<{ how: string; text: string }> {
    await this.node.exec(["kill", `-${signal}`, (await this.node.readFile(this.pidFile)).trim()]);
    return { how: await this.program.ended, text: this.program.lines.join("\n") };
  }

  /** As {@link end}, of one that was started with --json. */
  async result<T>(): Promise<{ how: string; result: T }> {
    const { how, text } = await this.end();
    const result: T = JSON.parse(text.slice(text.indexOf("\n{"))); // see podvpnJson
    return { how, result };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.program.stop("SIGKILL");
  }
}
