import { fileURLToPath } from "node:url";
import type { Applied, ApplyBasis, DriverState, KeyChange, WantedTunnels } from "../../../src/agent/driver.ts";
import type { NodeRecord } from "../../../src/registry/node-record.ts";
import type { Node } from "../../../src/testbed/node.ts";
import { patience } from "../../../src/testbed/patience.ts";
import type { Pod } from "../../../src/testbed/pod.ts";
import type { Program } from "../../../src/testbed/program.ts";
import { DriverError } from "./driver-error.ts";
import type { DriverRequest } from "./mesh-driver.ts";

const PROGRAM = fileURLToPath(new URL("./mesh-driver.ts", import.meta.url));
const NODE = [
  process.execPath,
  "--experimental-transform-types",
  "--no-warnings",
  "--conditions=podvpn-source",
] as const;

/** Where a node's driver notes what it changes. */
const EFFECTS = "/opt/podvpn-test/effects";

/** Milliseconds for one request, on a busy machine. */
const PATIENCE = patience(60_000);

/** A node of a {@link DriverBed}: its record, its pod, and a process that has its driver. */
export class DriverNode {
  readonly node: Node;
  readonly pod: Pod;
  record: NodeRecord;
  readonly #argv: readonly [string, ...string[]];
  #program: Program | undefined;
  /** Of the program, as the node sees it. */
  #pid = "";
  #asked = 0;

  /** @param module Exports `makeDriver`. @param options For that. */
  constructor(node: Node, pod: Pod, record: NodeRecord, module: string, options: unknown) {
    this.node = node;
    this.pod = pod;
    this.record = record;
    this.#argv = [...NODE, PROGRAM, module, JSON.stringify(options)];
  }

  /** The pod's addresses. */
  get ips(): readonly string[] {
    const index = this.record.name.slice(1);
    return [`10.1.${index}.10`, `fd00:1:${index}::10`];
  }

  /** @param env For the driver's process. */
  async start(env: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.node.writeFile(EFFECTS, "");
    const program = this.node.spawn(this.#argv, { env: { PODVPN_EFFECTS: EFFECTS, ...env } });
    const ready = await program.line(/^ready /, PATIENCE);
    this.#program = program;
    this.#pid = ready.replace("ready ", "");
  }

  /** As if the agent were killed and started anew: another process with a driver of its own. */
  async restart(): Promise<void> {
    await this.node.exec(["kill", "-KILL", this.#pid]); // it alone, and not what it has started
    await this.#program?.ended;
    await this.start();
  }

  async stop(): Promise<void> {
    await this.#program?.finish();
    this.#program = undefined;
  }

  async apply(wanted: WantedTunnels, basis: ApplyBasis = "read"): Promise<Applied> {
    return (await this.#ask({ verb: "apply", wanted, basis })) as Applied;
  }

  async observe(): Promise<DriverState | null> {
    return (await this.#ask({ verb: "observe" })) as DriverState | null;
  }

  async keyChange(): Promise<KeyChange | null> {
    return (await this.#ask({ verb: "keyChange" })) as KeyChange | null;
  }

  /** Settles when the driver says that its daemon has died. */
  async died(): Promise<string> {
    return (await this.#ask({ verb: "died" })) as string;
  }

  async remove(): Promise<void> {
    await this.#ask({ verb: "remove" });
  }

  /** What the driver has changed since it was asked last: names of effects. */
  async effects(): Promise<string[]> {
    const lines = (await this.node.readFile(EFFECTS)).split("\n").filter((line) => line !== "");
    await this.node.writeFile(EFFECTS, "");
    return lines.map((line) => line.replace(/^\d+ /, ""));
  }

  async #ask(request: DriverRequest): Promise<unknown> {
    if (this.#program === undefined) throw new TypeError(`the driver of ${this.record.name} was not started`);
    this.#asked += 1;
    const id = `#${this.#asked}`;
    await this.#program.write(`${id} ${JSON.stringify(request)}\n`);
    const line = await this.#program.line(new RegExp(`^${id} `), PATIENCE);
    const [, word, text = "null"] = /^\S+ (\S+) (.*)$/.exec(line) ?? [];
    const result: unknown = JSON.parse(text);
    if (word === "ok") return result;
    throw DriverError.of(result);
  }
}
