import { type Vici, ViciCommandError, ViciError } from "vici";
import { Code, Fault } from "../../fault.ts";
import { obstacleText } from "../../forwarding/obstacles.ts";
import { openForwarding } from "../../forwarding/open.ts";
import { applySysctls, mergedSysctls } from "../../forwarding/sysctl.ts";
import { letIn, shutOut } from "../../guard/deaf.ts";
import { logTail } from "../../ipsec/charon.ts";
import { type MeshConnection, meshFingerprints, selectorsFingerprint } from "../../ipsec/mesh-connection.ts";
import { meshFailure } from "../../ipsec/mesh-failure.ts";
import type { HeldPeer } from "../../ipsec/mesh-held.ts";
import { meshNameText, peerLabel } from "../../ipsec/mesh-name.ts";
import {
  contested,
  type MeshStep,
  meshNumbers,
  type PeerPlan,
  planPeer,
  planRemoval,
  type WantedPeer,
} from "../../ipsec/mesh-plan.ts";
import type { DataPlane } from "../../ipsec/strongswan-conf.ts";
import { meshMtuOf } from "../../mesh/mtu.ts";
import { type Address, family } from "../../net/address.ts";
import { aggregate } from "../../net/aggregate.ts";
import { overlaps, type Prefix } from "../../net/prefix.ts";
import type { Netlink } from "../../netlink/netlink.ts";
import { type Route, Table } from "../../netlink/routes.ts";
import { ensureTableAs } from "../../nftables/apply.ts";
import type { Table as FilterTable } from "../../nftables/table.ts";
import { applyRouteDifference, applyRouteMoves, routeDifference, routeMoves } from "../../node/differences.ts";
import { neededSysctls } from "../../node/forwarding.ts";
import { type GuardRecord, type MeshRecord, readMeshRecord, writeMeshRecord } from "../../node/guards.ts";
import { type Observed, observeNode, ownRoutes } from "../../node/observe.ts";
import { meshRefusals, meshRoutes, meshTable, meshTableKey, PROTOCOL_MESH } from "../../node/plan.ts";
import { AGENT_NETWORK } from "../../node/record.ts";
import { underlayMtu } from "../../node/underlay.ts";
import { setUpDevice } from "../../node/up.ts";
import { type Lock, lockDirectory } from "../../os/lock.ts";
import { trace } from "../../os/trace.ts";
import type { Applied, WantedTunnels } from "../driver.ts";
import { ensureMeshCharon, type MeshCharon, removeOrphans, runningDataPlane } from "./charon.ts";
import { authenticationWith, type GivenCredentials, type IpsecCredentials } from "./credentials.ts";
import { chooseMeshDataPlane, DEVICE, deviceAddresses, ensureXfrmDevice, IF_ID } from "./device.ts";
import { type FittingTunnel, type FittingTunnels, fittingTunnels } from "./fitting.ts";
import type { Memory } from "./memory.ts";
import { awaitTunnels, readHeld, take } from "./steps.ts";

/** What the tunnels are made with. */
export interface ApplyOptions {
  readonly directory: string;
  readonly dataPlane: DataPlane | "auto";
  readonly identity: string;
  readonly credentials: IpsecCredentials;
  readonly listen?: readonly Address[];
  readonly logLevel: 1 | 2;
}

/** Milliseconds for another process of this node that holds the directory: `podvpn uninstall`, an agent that ends. */
const LOCK_WAIT = 30_000;

/** Milliseconds for tunnels that were asked for; those that take longer are looked at by the next apply. */
const TUNNELS = 500;

/** IPv6 needs 1280 bytes on every link (RFC 8200 section 5); Linux turns IPv6 off below it. */
const IPV6_MTU = 1280;

/** The table that keeps a charon without connections from hearing anybody. */
export const LOADING = "ipsec-loading";

const EMPTY: HeldPeer = { connections: [], traps: [], sas: [] };

interface WantedConnection {
  readonly wanted: WantedPeer;
  readonly connection: MeshConnection;
}

/** One apply: reads all that there is, and writes what is different. */
export class Application {
  readonly #obstacles: string[] = [];
  #record: MeshRecord | undefined;

  private constructor(
    private readonly nl: Netlink,
    private readonly options: ApplyOptions,
    private readonly wanted: WantedTunnels,
    private readonly memory: Memory,
    private readonly given: GivenCredentials,
    private readonly lock: Lock,
    private readonly observed: Observed,
  ) {
    this.#record = readMeshRecord(options.directory);
  }

  /** @throws Fault, NetlinkError; the guard is there all the same, unless it is what failed. */
  static async run(
    nl: Netlink,
    options: ApplyOptions,
    wanted: WantedTunnels,
    memory: Memory,
    given: GivenCredentials,
  ): Promise<Applied> {
    const { directory } = options;
    using lock = await lockDirectory(directory, { create: true, wait: LOCK_WAIT });
    if (lock === undefined) throw new Fault(Code.internal, `${directory} was not made`, "report this");
    const application = new Application(nl, options, wanted, memory, given, lock, await observeNode(nl));
    return await application.#apply();
  }

  async #apply(): Promise<Applied> {
    const { directory, logLevel } = this.options;
    const before = this.#record?.interface ?? DEVICE;
    const fitting = fittingTunnels(this.wanted, this.#facts(before));
    this.#obstacles.push(...fitting.obstacles);
    await this.#guard(fitting, before);
    trace("guard of the mesh set");

    const dataPlane = await this.#dataPlane();
    this.#write({ dataPlane });
    await using charon = await ensureMeshCharon({
      directory,
      dataPlane,
      logLevel,
      lockFd: this.lock.fd,
      onStart: async (orphans) => {
        this.#write({ orphans, isLoading: true });
        await shutOut(LOADING);
      },
      tunnels: fitting.tunnels,
    });
    if (charon.started) {
      this.memory.started();
      this.given.forget();
    }
    trace("charon of the mesh there");
    const device = deviceOf(charon, dataPlane, directory);
    if (device !== before) await this.#guard(fitting, device);
    const addresses = deviceAddresses(dataPlane, this.wanted.addresses, selectors(fitting));
    const mtu = this.#mtu(fitting, dataPlane, device);
    const index = await setUpDevice(this.nl, { interface: device, addresses, listenPort: 0 }, mtu);
    await this.#forward(device, index, fitting);
    const routed = await this.#route(fitting, index, charon.started && dataPlane === "userspace");
    trace("device of the mesh up");

    const changes = await this.#tunnels(charon.vici, fitting, dataPlane);
    await this.#clear(dataPlane);
    this.#obstacles.push(...this.memory.reasons);
    const { again } = this.memory;
    const made = new Set(changes.made);
    return {
      made: sorted(made),
      altered: sorted(new Set([...changes.altered, ...routed].filter((name) => !made.has(name)))),
      removed: sorted(changes.removed),
      started: charon.started,
      obstacles: [...new Set(this.#obstacles)],
      ...(again === undefined ? {} : { again }),
    };
  }

  #facts(device: string) {
    const { identity, credentials } = this.options;
    const addresses = this.observed.subnets.filter(({ dev }) => dev !== device && dev !== DEVICE);
    return { identity, by: credentials.by, addresses };
  }

  /** The record, and what it says of the guard: what is there of it stays, and what is new comes before what is old goes. */
  async #guard({ guarded }: FittingTunnels, device: string): Promise<void> {
    const kept = (this.#record?.podSubnets ?? []).filter((subnet) => !guarded.some((one) => overlaps(one, subnet)));
    const record: MeshRecord = {
      ...(this.#record ?? { dataPlane: "userspace", sysctls: [], isLoading: false, orphans: [] }),
      version: 1,
      network: AGENT_NETWORK,
      interface: device,
      guarded,
      podSubnets: aggregate([...kept, ...this.wanted.podPrefixes]),
      fwmark: 0,
    };
    this.#replace(record);
    await ensureTableAs(guardTable(record));
    const refusals = ownRoutes(this.observed, device).filter(({ type }) => type !== "unicast");
    await applyRouteDifference(this.nl, routeDifference(meshRefusals(record), refusals));
  }

  #write(part: Partial<MeshRecord>): void {
    if (this.#record !== undefined) this.#replace({ ...this.#record, ...part });
  }

  #replace(record: MeshRecord): void {
    if (JSON.stringify(record) !== JSON.stringify(this.#record)) writeMeshRecord(this.options.directory, record);
    this.#record = record;
  }

  /** One that runs stays where it is, unless the configuration says otherwise: to move it cuts all tunnels. */
  async #dataPlane(): Promise<DataPlane> {
    const { dataPlane, directory } = this.options;
    const running = runningDataPlane(directory);
    const stays = running !== undefined && (dataPlane === "auto" || dataPlane === running);
    if (!stays) return chooseMeshDataPlane(this.nl, dataPlane);
    if (running === "kernel") await ensureXfrmDevice(this.nl);
    return running;
  }

  /** In bytes. */
  #mtu({ tunnels }: FittingTunnels, dataPlane: DataPlane, device: string): number {
    const endpoints = tunnels.flatMap(({ endpoint }) => endpoint ?? []);
    const { mtu: given, addresses, guarded } = this.wanted;
    const mtu = meshMtuOf({ peers: tunnels.map(({ peer }) => peer) }, "ipsec", {
      underlayMtu: given ?? underlayMtu(this.observed, endpoints, device),
      ipsecDataPlane: dataPlane,
    });
    const hasIPv6 = [...guarded, ...addresses].some((one) => family(one) === 6);
    if (mtu >= IPV6_MTU || !hasIPv6) return mtu;
    this.#obstacles.push(
      `the underlay leaves ${mtu} bytes for the tunnel, and IPv6 needs ${IPV6_MTU}; give the nodes' links, and "mtu" in their agents' configuration, at least ${IPV6_MTU + 100}`,
    );
    return IPV6_MTU;
  }

  /** Lets the node forward between the device and the pods, whoever has made these. */
  async #forward(device: string, index: number, fitting: FittingTunnels): Promise<void> {
    const { podPrefixes } = this.wanted;
    const subnets = aggregate([...podPrefixes, ...selectors(fitting)]);
    const podInterfaces = this.observed.subnets
      .filter(({ dev, prefix }) => dev !== device && podPrefixes.some((pods) => overlaps(pods, prefix)))
      .map(({ dev }) => dev);
    const needs = { devices: [device], podInterfaces: sorted(podInterfaces), subnets };
    const obstacles = await this.memory.forwarding(JSON.stringify([needs, index]), async () => {
      if (subnets.length === 0) return [];
      const changes = await neededSysctls(this.nl, needs);
      if (changes.length > 0) this.#write({ sysctls: mergedSysctls(this.#record?.sysctls ?? [], changes) });
      applySysctls(changes);
      return (await openForwarding({ device, subnets })).map(obstacleText);
    });
    this.#obstacles.push(...obstacles);
  }

  /** @param isNew The device has been made just now: routes of one before have gone with it. @returns Names of peers. */
  async #route({ tunnels }: FittingTunnels, index: number, isNew: boolean): Promise<string[]> {
    const owners = new Map(tunnels.flatMap(({ peer, remote }) => remote.map((prefix) => [prefix, peer.name] as const)));
    // What a node itself sends to the mesh comes from its address there, and from none that only stands in for others.
    const source = (dst: Prefix) => this.wanted.addresses.find((address) => family(address) === family(dst));
    const wanted = meshRoutes([...owners.keys()], index, undefined).map((route): Route => {
      const src = source(route.dst);
      return src === undefined ? route : { ...route, src };
    });
    const existing = isNew ? [] : this.observed.routes.filter((route) => route.oif === index && isOwn(route));
    const moves = routeMoves(routeDifference(wanted, existing));
    for (const { dst } of await applyRouteMoves(this.nl, moves)) {
      this.#obstacles.push(
        `the node has another route to ${dst} (${owners.get(dst)}); remove it: \`ip route del ${dst}\``,
      );
    }
    return [...moves.add, ...moves.replace].flatMap(({ dst }) => owners.get(dst) ?? []);
  }

  /** Brings charon to what is wanted; what has come up within a moment is looked at again. */
  async #tunnels(vici: Vici, { tunnels }: FittingTunnels, dataPlane: DataPlane) {
    try {
      await this.given.give(vici, this.options.credentials, tunnels);
    } catch (error) {
      throw this.#charonFault(error, "the credentials");
    }
    const connections = new Map(
      tunnels.map((tunnel) => [peerLabel(tunnel.peer.name), this.#connection(tunnel, dataPlane)]),
    );
    const names = new Map(tunnels.map(({ peer }) => [peerLabel(peer.name), peer.name]));
    try {
      const held = await readHeld(vici);
      const gone = [...held].filter(([label]) => !connections.has(label));
      const removed = gone.map(([label]) => this.memory.nameOf(label));
      for (const [, peer] of gone) for (const step of planRemoval(peer)) await take(vici, step, undefined);
      const first = this.#plan(connections, held, dataPlane);
      let last = first;
      if (first.some(({ steps }) => steps.length > 0)) {
        const said = await awaitTunnels(vici, TUNNELS, () => this.#take(vici, first, connections));
        for (const [label, lines] of byPeer(said)) this.#explain(connections.get(label)?.connection, label, lines);
        last = this.#plan(connections, await readHeld(vici), dataPlane);
        await this.#take(vici, last, connections);
      }
      await this.#listen();
      this.memory.note(
        last.map(({ progress }) => progress),
        names,
      );
      return { ...changesOf(first, held, names), removed };
    } catch (error) {
      throw this.#charonFault(error, "its connections");
    }
  }

  #connection(tunnel: FittingTunnel, dataPlane: DataPlane): WantedConnection {
    const { identity, credentials, listen } = this.options;
    const { peer, ipsec, local, remote, endpoint } = tunnel;
    const connection: MeshConnection = {
      peer: peer.name,
      identity,
      peerIdentity: ipsec.identity,
      authentication: authenticationWith(credentials, tunnel),
      local,
      remote,
      ...(endpoint && { endpoint }),
      ...(listen && { listen }),
      dataPlane,
      ...(dataPlane === "kernel" && { ifId: IF_ID }),
      restarts: peer.initiates,
    };
    const wanted: WantedPeer = {
      peer: peerLabel(peer.name),
      ...meshFingerprints(connection),
      selectors: selectorsFingerprint(connection),
      local,
      remote,
      ...(endpoint && { endpoint }),
      designated: peer.initiates,
    };
    return { wanted, connection };
  }

  #plan(
    connections: ReadonlyMap<string, WantedConnection>,
    held: ReadonlyMap<string, HeldPeer>,
    dataPlane: DataPlane,
  ): PeerPlan[] {
    const { isLost, isLate, isTried, isProven, isOverdue } = this.memory;
    const options = { traps: dataPlane === "userspace", isLost, isLate, isTried, isProven };
    const numbers = meshNumbers([...connections.keys()], held);
    const wanted = [...connections.values()].map((one) => one.wanted);
    const ways = Map.groupBy(contested(wanted, held, isOverdue), (step) => step.sa.name.peer);
    return wanted.map((one) => {
      const plan = planPeer(one, numbers.get(one.peer) ?? 0, held.get(one.peer) ?? EMPTY, options);
      return { ...plan, steps: [...plan.steps, ...(ways.get(one.peer) ?? [])] };
    });
  }

  /**
   * First what charon has to know before it hears from anybody, then what it is to ask for. A connection that it does not
   * take is in the way of its own peer alone. @returns Names of the connections that were initiated.
   */
  async #take(
    vici: Vici,
    plans: readonly PeerPlan[],
    connections: ReadonlyMap<string, WantedConnection>,
  ): Promise<string[]> {
    const refused = new Set<string>();
    const takeAll = async (isNow: (step: MeshStep) => boolean): Promise<MeshStep[]> => {
      const taken: MeshStep[] = [];
      for (const { steps, progress } of plans) {
        const known = connections.get(progress.peer)?.connection;
        if (refused.has(progress.peer)) continue;
        try {
          for (const step of steps.filter(isNow)) {
            await take(vici, step, known && this.#loaded(known, step));
            taken.push(step);
          }
        } catch (error) {
          if (!(error instanceof ViciCommandError)) throw error;
          refused.add(progress.peer);
          this.#obstacles.push(`no tunnel to ${known?.peer}: charon refuses it (${error.errmsg}); correct its record`);
        }
      }
      return taken;
    };
    await takeAll((step) => step.do !== "initiate");
    await this.#listen();
    const initiated = await takeAll((step) => step.do === "initiate");
    return initiated.flatMap((step) => {
      if (step.do !== "initiate") return [];
      this.memory.tries(step.name);
      return [meshNameText(step.name)];
    });
  }

  /** Charon has its connections: from now on it may hear from peers. */
  async #listen(): Promise<void> {
    if (this.#record?.isLoading !== true) return;
    await letIn(LOADING);
    this.#write({ isLoading: false });
  }

  /** Where nothing new is known of the peer's endpoint, what is known stays. */
  #loaded(connection: MeshConnection, step: MeshStep): MeshConnection {
    if (step.do !== "load") return connection;
    const { authentication } = connection;
    const endpoint = connection.endpoint ?? step.endpoint;
    return {
      ...connection,
      ...(endpoint && { endpoint }),
      ...(step.isStrict &&
        authentication.by === "key" && { authentication: { ...authentication, peer: [authentication.peer[0]] } }),
    };
  }

  #explain(connection: MeshConnection | undefined, label: string, lines: readonly string[]): void {
    if (connection === undefined) return;
    const { identity, peerIdentity, peer } = connection;
    const reason = meshFailure({ peer, identity, peerIdentity }, lines);
    if (reason !== undefined) this.memory.refused(label, reason);
  }

  /** What a dead charon left in the kernel carries packets until all peers have a new tunnel. */
  async #clear(dataPlane: DataPlane): Promise<void> {
    const orphans = this.#record?.orphans ?? [];
    if (orphans.length === 0 || !this.memory.hasRecovered) return;
    if (dataPlane === "kernel") await removeOrphans(orphans);
    this.#write({ orphans: [] });
  }

  #charonFault(error: unknown, what: string): unknown {
    if (!(error instanceof ViciError)) return error;
    const { directory } = this.options;
    const details = logTail(directory);
    const remedy = `see ${directory}/charon.log`;
    if (error instanceof ViciCommandError) {
      return new Fault(Code.charon, `charon refuses ${what} (${error.errmsg})`, remedy, { cause: error, details });
    }
    const lost = `charon ended or stopped answering while it was given ${what} (${error.message})`;
    return new Fault(Code.charon, lost, remedy, { cause: error, details });
  }
}

/** The guard's table, of one name whatever the device is called. Pure. */
export function guardTable(record: GuardRecord): FilterTable {
  return { ...meshTable({ ...record, device: record.interface }), ...meshTableKey(DEVICE) };
}

function deviceOf({ tun }: MeshCharon, dataPlane: DataPlane, directory: string): string {
  if (dataPlane === "kernel") return DEVICE;
  if (tun !== undefined) return tun;
  throw new Fault(Code.charon, "charon has no TUN device", `see ${directory}/charon.log`, {
    details: logTail(directory),
  });
}

/** All that peers take from here. */
function selectors({ tunnels }: FittingTunnels): Prefix[] {
  return [...new Set(tunnels.flatMap(({ local }) => local))];
}

/** By whether charon had anything for a peer, and whether its tunnel is another one now. */
function changesOf(
  plans: readonly PeerPlan[],
  held: ReadonlyMap<string, HeldPeer>,
  names: ReadonlyMap<string, string>,
): { readonly made: string[]; readonly altered: string[] } {
  const isNew = ({ progress }: PeerPlan) => (held.get(progress.peer)?.connections.length ?? 0) === 0;
  const isAltered = ({ steps, progress }: PeerPlan) => {
    const before = new Set(held.get(progress.peer)?.connections.map(({ name }) => name.tunnel));
    return steps.some((step) => step.do === "initiate" || (step.do === "load" && !before.has(step.name.tunnel)));
  };
  const nameOf = ({ progress }: PeerPlan) => names.get(progress.peer) ?? progress.peer;
  return {
    made: plans.filter(isNew).map(nameOf),
    altered: plans.filter((plan) => !isNew(plan) && isAltered(plan)).map(nameOf),
  };
}

function byPeer(said: ReadonlyMap<string, readonly string[]>): ReadonlyMap<string, readonly string[]> {
  return new Map([...said].map(([name, lines]) => [/^mesh-(.+)\.\d+\.\d+[ia]\./.exec(name)?.[1] ?? "", lines]));
}

/** A route of the mesh into a device. */
function isOwn({ protocol, type, table }: Route): boolean {
  return protocol === PROTOCOL_MESH && type === "unicast" && table === Table.main;
}

function sorted(names: Iterable<string>): string[] {
  return [...new Set(names)].sort();
}
