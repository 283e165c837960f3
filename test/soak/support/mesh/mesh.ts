import type { AgentStatus } from "../../../../src/agent/status.ts";
import type { Driver } from "../../../../src/registry/node-record.ts";
import type { Node } from "../../../../src/testbed/node.ts";
import { diffSnapshots, type Snapshot } from "../../../../src/testbed/snapshot.ts";
import { echo } from "../../../../src/testbed/traffic.ts";
import { PLAIN as ADDRESSES, AgentBed } from "../../../netns/support/agent-bed.ts";
import { eventually } from "../../../netns/support/eventually.ts";
import { installPlugins } from "../../../netns/support/installed.ts";
import { Talker } from "../talker.ts";
import { NODES, type NodeIndex } from "./nodes.ts";

/** A question for a neighbour with an address of the mesh (RFC 4861, section 4.3), which is in neither header. */
const NEIGHBOUR = "(icmp6 and (ip6[40] = 135 or ip6[40] = 136) and ip6[48:4] = 0xfd000101)";

/** What must never be between nodes: see `wire.ts` for the rest of it. */
export const PLAIN = `${ADDRESSES} or ${NEIGHBOUR}`;
/** Of addresses that would be plain. */
export const PLAIN_SOURCES = ["10.101.77.7", "fd00:101:0:77::7"] as const;

/** All agents have this. The whole network is guarded on each node, whoever has joined. */
const CONFIGURATION = {
  podPrefixes: undefined, // instead of these a share of:
  network: ["10.101.0.0/16", "fd00:101::/48"],
  ipsPerNode: [256, "/64"],
  probe: { interval: "500ms", degradedLoss: 50 }, // on a machine that is busy answers are late
};

/** By family. */
export type Addresses = { readonly 4: string; readonly 6: string };

/** Addresses of the mesh that nobody has, of either family. */
const NOBODYS = ["10.101.200.200", "fd00:101:0:c8c8::c8"];

/** What stays after a node has left, until podvpn is uninstalled: its keys, what the executable unpacks, an empty directory. */
const STAYS = /^[+-] files: (?:\/(?:var\/lib|run)\/podvpn\/|\/run\/wireguard\/$)/;

/** Nodes with agents, what they were before they had any, and programs on each of them that never stop sending. */
export class MeshNodes implements AsyncDisposable {
  /** In the mesh, of each node that has joined. */
  readonly addresses = new Map<NodeIndex, Addresses>();
  /** Its pods'. */
  readonly prefixes = new Map<NodeIndex, readonly string[]>();
  readonly #settings = new Map<NodeIndex, Readonly<Record<string, unknown>>>();
  readonly #talkers = new Map<NodeIndex, Talker>();
  readonly #moves = new Map<NodeIndex, number>();

  private constructor(
    readonly bed: AgentBed,
    /** By node: without what a pod leaves. */
    readonly before: ReadonlyMap<NodeIndex, Snapshot>,
  ) {}

  static async create(drivers: ReadonlyMap<NodeIndex, readonly Driver[]>): Promise<MeshNodes> {
    await using undo = new AsyncDisposableStack();
    const bed = undo.use(await AgentBed.create(NODES.length, CONFIGURATION));
    await Promise.all(
      NODES.map(async (index) => {
        await installPlugins(bed.at(index));
        await echo(bed.at(index));
      }),
    );
    const before = new Map<NodeIndex, Snapshot>();
    for (const index of NODES) before.set(index, await bed.at(index).snapshot());
    const nodes = new MeshNodes(bed, before);
    for (const index of NODES) await nodes.configure(index, { drivers: drivers.get(index) });
    undo.move();
    return nodes;
  }

  at(index: NodeIndex): Node {
    return this.bed.at(index);
  }

  status(index: NodeIndex): Promise<AgentStatus | undefined> {
    return this.bed.status(index);
  }

  /** Writes a node's configuration, in which this is different from now on. */
  async configure(index: NodeIndex, changes: Readonly<Record<string, unknown>>): Promise<void> {
    const settings = { ...this.#settings.get(index), ...changes };
    this.#settings.set(index, settings);
    await this.bed.configure(index, settings);
  }

  /** Starts the agents of nodes that are not in the mesh. Returns when each has said what it is. */
  async join(...indexes: readonly NodeIndex[]): Promise<void> {
    for (const index of indexes) this.bed.start(index);
    await eventually("the first tunnels are applied, with prefixes that nobody else has", 40_000, async () => {
      const statuses = await Promise.all(indexes.map(async (index) => [index, await this.status(index)] as const));
      for (const [index, status] of statuses) {
        if (status?.ready !== true || status.registry.refusals.length > 0) return false;
        this.addresses.set(index, byFamily(status.node.addresses));
        this.prefixes.set(index, status.node.podPrefixes);
      }
      const all = [...this.prefixes.values()].flat();
      return new Set(all).size === 2 * this.prefixes.size;
    });
    await this.#talkAnew();
  }

  /**
   * Takes a node out of the mesh. @throws Error with what is left on it, besides its keys.
   * @param ignored What else need not be as before.
   */
  async leave(index: NodeIndex, ignored?: RegExp): Promise<void> {
    this.prefixes.delete(index);
    this.addresses.delete(index); // it sends to nobody any more: with its tunnels its guard goes
    await this.#talkers.get(index)?.[Symbol.asyncDispose]();
    this.#talkers.delete(index);
    await this.bed.stop(index);
    const { code, stderr } = await this.bed.podvpn(index, "agent", "--leave");
    if (code !== 0) throw new Error(`podvpn agent --leave of n${index}: exit status ${code}: ${stderr}`);
    for (const family of [4, 6] as const) await this.#place(index, family, index);
    await this.#isAsBefore(index, STAYS, ignored);
    await this.#talkAnew();
  }

  /** Takes all traces of podvpn off a node. @throws Error with what is left. @param ignored What need not be as before. */
  async uninstall(index: NodeIndex, ignored?: RegExp): Promise<void> {
    const { code, stderr, stdout } = await this.bed.podvpn(index, "uninstall");
    if (code !== 0) throw new Error(`podvpn uninstall on n${index}: exit status ${code}: ${stderr}${stdout}`);
    await this.#isAsBefore(index, ignored);
  }

  /** Gives a node another address of a family on the underlay. @returns The new one. */
  async move(index: NodeIndex, family: 4 | 6): Promise<string> {
    const moves = (this.#moves.get(index) ?? 0) + 1;
    this.#moves.set(index, moves);
    return this.#place(index, family, index + 10 * (1 + (moves % 20)));
  }

  /** Whether what one node sends from its address comes back from the other's. */
  async answers(from: NodeIndex, to: NodeIndex, family: 4 | 6): Promise<boolean> {
    const [source, target] = [this.addresses.get(from)?.[family], this.addresses.get(to)?.[family]];
    if (source === undefined || target === undefined) return false;
    const argv = ["ping", "-n", "-c", "1", "-W", "1", "-I", source, target] as const;
    return (await this.at(from).exec([...argv], { check: false })).code === 0;
  }

  /** The last lines of each agent, for whoever reads of a failure. */
  said(): string {
    return NODES.flatMap((index) => {
      try {
        return [`n${index}:`, ...this.bed.agent(index).lines.slice(-25)];
      } catch {
        return []; // it never had one
      }
    }).join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.bed[Symbol.asyncDispose]();
  }

  /** @param host The last number of its address. */
  async #place(index: NodeIndex, family: 4 | 6, host: number): Promise<string> {
    const next = family === 4 ? `10.9.0.${host}/24` : `fd00:9::${host}/64`;
    const shown = ["ip", "-o", `-${family}`, "address", "show", "dev", "eth0", "scope", "global"] as const;
    const old = / inet6? (\S+)/.exec((await this.at(index).exec([...shown])).stdout)?.[1];
    if (old === undefined) throw new Error(`n${index} has no IPv${family} address`);
    if (old !== next) await this.at(index).exec(["sh", "-ec", MOVE, String(family), old, next]);
    return next;
  }

  /** All that have joined send to all that there are now, and to nobody's addresses. */
  async #talkAnew(): Promise<void> {
    const everybody = [...[...this.addresses.values()].flatMap((each) => Object.values(each)), ...NOBODYS];
    for (const [index, own] of this.addresses) {
      const targets = everybody.filter((address) => !Object.values(own).includes(address));
      const talker = Talker.unbound(this.at(index), targets);
      await this.#talkers.get(index)?.[Symbol.asyncDispose]();
      this.#talkers.set(index, talker);
    }
  }

  async #isAsBefore(index: NodeIndex, ...ignored: readonly (RegExp | undefined)[]): Promise<void> {
    const before = this.before.get(index) ?? new Map();
    let left: string[] = [];
    await eventually("nothing is left", 10_000, async () => {
      const lines = diffSnapshots(before, await this.at(index).snapshot());
      left = lines.filter((line) => !ignored.some((pattern) => pattern?.test(line)));
      return left.length === 0;
    }).catch((cause: unknown) => {
      throw new Error(`left on n${index}:\n${left.join("\n")}`, { cause });
    });
  }
}

/** As it is when somebody gives a machine another address: for a moment it has none. */
const MOVE = `
ip address del "$1" dev eth0
ip address add "$2" dev eth0 $([ "$0" = 4 ] || echo nodad)
if [ "$0" = 4 ]; then via=169.254.1.1; else via=fe80::1; fi
ip -$0 route replace default via $via dev eth0 onlink`;

function byFamily(addresses: readonly string[]): Addresses {
  const of = (family: 4 | 6) => addresses.find((address) => address.includes(":") === (family === 6)) ?? "";
  return { 4: of(4), 6: of(6) };
}
