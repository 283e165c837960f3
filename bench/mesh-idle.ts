import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import { askStatus } from "../src/agent/ask.ts";
import type { AgentStatus } from "../src/agent/status.ts";
import type { Node } from "../src/testbed/node.ts";
import { Testbed } from "../src/testbed/testbed.ts";
import { echo, Sender } from "../src/testbed/traffic.ts";
import { DIST } from "../test/netns/support/cluster.ts";
import { droppedByFullQueues } from "../test/netns/support/full-queues.ts";
import { wireguardGo } from "../test/netns/support/wg.ts";
import { now } from "./command.ts";
import { NETWORK, nameOf, putRecord, STRANGERS, stranger, withMore } from "./mesh-records.ts";

const ANSWERS = fileURLToPath(new URL("mesh-answers.ts", import.meta.url));
/** Milliseconds that a bed gets until all of its peers are up. */
const BOUND = 60_000;

/** What an agent takes that has nothing to do but to know that all is well. */
export interface IdleCost {
  readonly peers: number;
  /** Seconds between two probes of a peer. */
  readonly interval: number;
  /** Percent of one core. */
  readonly agent: number;
  readonly daemon: number;
  /** MiB: its own alone, and shared pages in parts. */
  readonly anonymous: number;
  readonly pss: number;
}

/** A stream between two nodes while others change. */
export interface LossCost {
  readonly changes: number;
  readonly packets: number;
  readonly lost: number;
  /** How often the kernel had no room for something in a queue, whosever it was. */
  readonly overflowed: number;
}

/** A node `n1` whose agent has so many peers, of which all but those of `others` are answered for on the node itself. */
export class MeshBed implements AsyncDisposable {
  readonly #undo = new AsyncDisposableStack();

  private constructor(
    readonly nodes: readonly Node[],
    readonly registry: string,
    readonly count: number,
    private readonly interval: number,
  ) {}

  /** @param real Nodes with an agent: n1 and so on. @param count Peers that are nobody. @param interval Seconds between two probes. */
  static async create(real: number, count: number, interval: number): Promise<MeshBed> {
    await using undo = new AsyncDisposableStack();
    const testbed = undo.use(await Testbed.create());
    const registry = mkdtempSync(join(tmpdir(), "podvpn-bench-"));
    undo.defer(() => rmSync(registry, { recursive: true, force: true }));
    const nodes: Node[] = [];
    for (let index = 1; index <= real; index += 1) {
      nodes.push(await testbed.node(`n${index}`, { addresses: [`10.9.0.${index}/24`] }));
    }
    const bed = new MeshBed(nodes, registry, count, interval);
    for (let index = 0; index < count; index += 1) putRecord(registry, stranger(index));
    await Promise.all(nodes.map((node) => bed.#start(node)));
    await Promise.all(nodes.map((node) => bed.#until(node, "all peers up", (status) => bed.#allUp(status))));
    bed.#undo.use(undo.move());
    return bed;
  }

  /** Over so many seconds: with 30 of them all that the agent does now and then is in it. */
  async idle(seconds: number): Promise<IdleCost> {
    const [node] = this.nodes;
    const pid = node && (await statusOf(node))?.node.pid;
    if (node === undefined || pid === undefined) throw new Error("no agent");
    const pids = [String(pid), await wireguardGo(node)];
    const before = await Promise.all(pids.map((one) => used(node, one)));
    const start = now();
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    const after = await Promise.all(pids.map((one) => used(node, one)));
    const took = now() - start;
    const [agent = 0, daemon = 0] = after.map((value, index) => ((value - (before[index] ?? 0)) / took) * 100);
    const memory = await node.readFile(`/proc/${pid}/smaps_rollup`);
    const mebibytes = (field: string) => Number(new RegExp(`^${field}: +(\\d+) kB$`, "m").exec(memory)?.[1]) / 1024;
    const { count: peers, interval } = this;
    return { peers, interval, agent, daemon, anonymous: mebibytes("Anonymous"), pss: mebibytes("Pss") };
  }

  /** A stream from n1 to n2, while so many others change, one after the other. */
  async loss(changes: number, rate: number): Promise<LossCost> {
    const [from, to] = this.nodes;
    const target = to && (await statusOf(to))?.node.addresses[0];
    if (from === undefined || to === undefined || target === undefined) throw new Error("no two nodes");
    const dropped = async () => await droppedByFullQueues([from, to]);
    await using _echo = await echo(to);
    const before = await dropped();
    await using sender = await Sender.start(from, target, rate);
    await sender.answers(rate, 20_000);
    for (let index = 0; index < changes; index += 1) {
      putRecord(this.registry, withMore({ ...stranger(index), generation: index + 2 }, index));
      await this.#until(from, `${nameOf(index)} changed`, ({ peers }) =>
        peers.some(({ name, prefixes }) => name === nameOf(index) && prefixes.length === 2),
      );
    }
    await sender.answers(1.5 * rate, 20_000);
    const { tried, lost } = await sender.counts();
    return { changes, packets: tried, lost, overflowed: (await dropped()) - before };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#undo[Symbol.asyncDispose]();
  }

  async #start(node: Node): Promise<void> {
    const config = {
      name: node.name,
      network: NETWORK,
      ipsPerNode: 256,
      registry: { directory: this.registry },
      wireguard: { dataplane: "userspace" },
      probe: { interval: `${this.interval}s`, downAfter: `${3 * this.interval}s`, degradedLoss: 90 },
      metrics: "off",
    };
    await node.writeFile("/etc/podvpn/agent.yaml", stringify(config));
    // Until there is a rule the kernel has the tables local and main in one: the longest prefix of both would win.
    await node.exec(["ip", "rule", "add", "priority", "1", "to", "203.0.113.0/24", "lookup", "main"]);
    await node.exec(["ip", "route", "add", "local", STRANGERS, "dev", "lo"]);
    node.spawn([`${DIST}/podvpn`, "agent", "--config", "/etc/podvpn/agent.yaml"]);
    await this.#until(node, "an address in the mesh", (status) => status.node.addresses.length > 0);
    const own = (await statusOf(node))?.node.addresses[0] ?? "";
    const program = [process.execPath, ...process.execArgv, ANSWERS] as const;
    const answers = node.spawn([...program, String(this.count), own, String(this.interval)]);
    await answers.line(/^ready$/, BOUND);
  }

  /** On a machine that is busy some answers come late. */
  #allUp({ peers }: AgentStatus): boolean {
    const reached = peers.filter(({ state }) => state === "up" || state === "degraded");
    return reached.length === this.count + this.nodes.length - 1;
  }

  async #until(node: Node, what: string, condition: (status: AgentStatus) => boolean): Promise<void> {
    for (const until = now() + BOUND; now() < until; ) {
      const status = await statusOf(node);
      if (status !== undefined && condition(status)) return;
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
    throw new Error(`${node.name}: not ${what} within ${BOUND} ms`);
  }
}

function statusOf(node: Node): Promise<AgentStatus | undefined> {
  return askStatus(node.path("/run/podvpn/agent/socket"));
}

/** Milliseconds of processor time of all threads that a process has (schedstat, in nanoseconds). */
async function used(node: Node, pid: string): Promise<number> {
  const { stdout } = await node.exec(["sh", "-c", `cat /proc/${pid}/task/*/schedstat`]);
  return stdout
    .trim()
    .split("\n")
    .reduce((sum, line) => sum + Number(line.split(" ")[0]) / 1e6, 0);
}
