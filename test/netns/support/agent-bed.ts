import { mkdtempSync, rmSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { askStatus } from "../../../src/agent/ask.ts";
import type { AgentStatus, PeerStatus } from "../../../src/agent/status.ts";
import type { Node } from "../../../src/testbed/node.ts";
import { patience } from "../../../src/testbed/patience.ts";
import type { Program } from "../../../src/testbed/program.ts";
import { Testbed } from "../../../src/testbed/testbed.ts";
import { DIST } from "./cluster.ts";
import { eventually } from "./eventually.ts";
import { droppedByFullQueues } from "./full-queues.ts";

const PODVPN = `${DIST}/podvpn`;
const CONFIG = "/etc/podvpn/agent.yaml";

/** Captured between nodes, none of this may be there: an address of the mesh in the clear, in either direction. */
export const PLAIN = "net 10.101.0.0/16 or net fd00:101::/32";

/** Of node `index`. */
export const podSubnet = (index: number) => `10.101.${index}.0/24`;
export const podSubnet6 = (index: number) => `fd00:101:${index}::/64`;
/** In the mesh. */
export const meshAddress = (index: number) => `10.101.${index}.1`;
export const meshAddress6 = (index: number) => `fd00:101:${index}::1`;

/** A machine with an agent. */
export interface AgentNode {
  readonly node: Node;
  /** From 1. */
  readonly index: number;
}

/** Nodes with agents, and the registry's directory, which all of them see. */
export class AgentBed implements AsyncDisposable {
  readonly nodes: AgentNode[] = [];
  readonly #agents = new Map<number, Program>();

  private constructor(
    readonly testbed: Testbed,
    /** The registry. */
    readonly directory: string,
    private readonly defaults: Readonly<Record<string, unknown>>,
  ) {}

  /** @param defaults What every agent.yaml has besides name, registry and prefixes. */
  static async create(count: number, defaults: Readonly<Record<string, unknown>> = {}): Promise<AgentBed> {
    await using undo = new AsyncDisposableStack();
    const testbed = undo.use(await Testbed.create());
    const directory = mkdtempSync(join(tmpdir(), "podvpn-registry-"));
    undo.defer(() => rmSync(directory, { recursive: true }));
    const bed = new AgentBed(testbed, directory, defaults);
    for (let index = 1; index <= count; index += 1) await bed.addNode();
    undo.move();
    return bed;
  }

  /** Another machine, with a configuration, and without an agent. */
  async addNode(): Promise<AgentNode> {
    const index = this.nodes.length + 1;
    const node = await this.testbed.node(`n${index}`, { addresses: [`10.9.0.${index}/24`, `fd00:9::${index}/64`] });
    const made = { node, index };
    this.nodes.push(made);
    await this.configure(index);
    return made;
  }

  /** Packets that the nodes had no room for since they were made: streams may lose so many of theirs. */
  dropped(): Promise<number> {
    return droppedByFullQueues(this.nodes.map(({ node }) => node));
  }

  /** The `index`th node, from 1. */
  at(index: number): Node {
    const found = this.nodes[index - 1];
    if (found === undefined) throw new RangeError(`there is no node ${index}`);
    return found.node;
  }

  /** Writes agent.yaml of a node, with what a test wants different. */
  async configure(index: number, overrides: Readonly<Record<string, unknown>> = {}): Promise<void> {
    const config = {
      name: `n${index}`,
      registry: { directory: this.directory },
      podPrefixes: [podSubnet(index), podSubnet6(index)],
      probe: { degradedLoss: 50 }, // on a machine that is busy answers are late
      ...this.defaults,
      ...overrides,
    };
    await this.at(index).writeFile(CONFIG, stringify(config));
  }

  /** Starts the agent of a node. */
  start(index: number): Program {
    const program = this.at(index).spawn([PODVPN, "agent", "--config", CONFIG]);
    this.#agents.set(index, program);
    return program;
  }

  /** Starts all agents, and waits until each has a tunnel that works to each other. */
  async startAll(): Promise<void> {
    for (const { index } of this.nodes) this.start(index);
    await this.joined(...this.nodes.map(({ index }) => index));
  }

  /** Waits until all of these nodes have each other for up. */
  async joined(...indexes: readonly number[]): Promise<void> {
    for (const index of indexes) {
      const others = indexes.filter((other) => other !== index).map((other) => `n${other}`);
      await this.until(index, `${others.join(" and ")} up`, ({ peers }) => {
        return others.every((name) => peers.some((peer) => peer.name === name && peer.state === "up"));
      });
    }
  }

  /** The agent that was started last on a node. */
  agent(index: number): Program {
    const program = this.#agents.get(index);
    if (program === undefined) throw new Error(`n${index} has no agent`);
    return program;
  }

  /** Ends the agent of a node, and nothing that it started: by SIGTERM, or by SIGKILL, which tells it nothing. */
  async stop(index: number, signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<string> {
    const pid = (await this.status(index))?.node.pid;
    if (pid === undefined) throw new Error(`no agent runs on n${index}`);
    await this.at(index).exec(["kill", `-${signal}`, String(pid)]);
    return this.agent(index).ended;
  }

  /** Has the agent of a node read its configuration anew. */
  async reload(index: number): Promise<void> {
    const pid = (await this.status(index))?.node.pid;
    await this.at(index).exec(["kill", "-HUP", String(pid)]);
  }

  /** What the agent of a node tells of itself; undefined when none runs. */
  status(index: number): Promise<AgentStatus | undefined> {
    return askStatus(this.at(index).path("/run/podvpn/agent/socket"));
  }

  /** A peer as the agent of a node has it. */
  async peer(index: number, of: number): Promise<PeerStatus | undefined> {
    return (await this.status(index))?.peers.find(({ name }) => name === `n${of}`);
  }

  /** Waits until the agent of a node tells what is waited for. */
  async until(index: number, what: string, condition: (status: AgentStatus) => boolean, bound = 40_000): Promise<void> {
    let last: AgentStatus | undefined;
    try {
      await eventually(`n${index}: ${what}`, bound, async () => {
        last = await this.status(index).catch(() => undefined); // one that is busy answers too late
        return last !== undefined && condition(last);
      });
    } catch (cause) {
      const lines = this.agent(index).lines.slice(-30).join("\n");
      throw new Error(`${cause}\n${JSON.stringify(last?.problems)}\n${lines}`, { cause });
    }
  }

  /** `podvpn …` on a node. */
  podvpn(index: number, ...args: readonly string[]) {
    return this.at(index).exec([PODVPN, ...args], { check: false, timeout: 60_000 });
  }

  /** Whether pings from one node's mesh address to another's pass, in both families. */
  async pings(from: number, to: number): Promise<boolean> {
    const [source4, source6] = [meshAddress(from), meshAddress6(from)];
    const codes = await Promise.all([
      this.#ping(from, source4, meshAddress(to)),
      this.#ping(from, source6, meshAddress6(to)),
    ]);
    return codes.every((code) => code === 0);
  }

  async #ping(from: number, source: string, target: string): Promise<number | null> {
    const argv = ["ping", "-n", "-c", "1", "-W", "1", "-I", source, target] as const;
    return (await this.at(from).exec([...argv], { check: false })).code;
  }

  /** The file of a node in the registry. */
  file(index: number): string {
    return join(this.directory, "nodes", `n${index}.yaml`);
  }

  /** Alters the file of a node in the registry. */
  async edit(index: number, change: (text: string) => string): Promise<void> {
    await writeFile(this.file(index), change(await readFile(this.file(index), "utf8")));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.testbed[Symbol.asyncDispose]();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Milliseconds for something that has to happen in so many seconds, with room for a machine that is busy. */
export const within = (seconds: number) => patience(seconds * 1000);
