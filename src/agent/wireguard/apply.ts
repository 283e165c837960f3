import { Code, Fault } from "../../fault.ts";
import type { Netlink } from "../../netlink/netlink.ts";
import { ensureNoRule, ensureRule } from "../../netlink/rules.ts";
import { ensureTableAs } from "../../nftables/apply.ts";
import { applyRouteDifference, routeDifference } from "../../node/differences.ts";
import { listGuards } from "../../node/guards.ts";
import {
  foreignRoutes,
  linkOf,
  type Observed,
  observeNode,
  ownRoutes,
  ownRules,
  sameRule,
} from "../../node/observe.ts";
import { meshRefusals, meshRules, recordedTable } from "../../node/plan.ts";
import { AGENT_NETWORK, readDeviceRecord } from "../../node/record.ts";
import { removeOtherDevice } from "../../node/remove.ts";
import type { Lock } from "../../os/lock.ts";
import { trace } from "../../os/trace.ts";
import type { Secret } from "../../secret.ts";
import { together } from "../../together.ts";
import type { DataPlane } from "../../wireguard/device.ts";
import { publicKeyOf } from "../../wireguard/keys.ts";
import type { Applied, WantedTunnels } from "../driver.ts";
import { deviceMtu } from "./device-mtu.ts";
import { type FittingTunnels, fittingTunnels, type MeshFacts } from "./fitting.ts";
import { forwardingNeeds, letForward } from "./forward.ts";
import type { Memory } from "./memory.ts";
import { lockDevice } from "./own-lock.ts";
import { namesByKey, OwnRecord } from "./own-record.ts";
import { routePeers, routesBySlot } from "./peer-routes.ts";
import { peerChanges, peerNames } from "./report.ts";
import { SlotDevice } from "./slot-device.ts";
import { planSlots, type WantedDevice } from "./slot-plan.ts";
import { secondName } from "./slots.ts";
import type { Known } from "./wish-change.ts";

/** What the devices of the driver are made with. */
export interface DeviceOptions {
  /** Name of the first device. */
  readonly interface: string;
  /** UDP, of the first device. */
  readonly port: number;
  readonly dataplane: DataPlane | "auto";
  readonly privateKey: Secret;
  /** While the key changes: the one that comes. */
  readonly nextPrivateKey?: Secret;
  /** Routing table of the routes; absent: main. */
  readonly table?: number;
  /** Mark of the encrypted packets; 0 is none. */
  readonly fwmark: number;
}

/** Milliseconds between two steps of a change of keys, at least. */
const STEP = 200;
/** How much longer than a step takes of the processor it is until the next one. */
const REST = 10;
/** Milliseconds until it is tried again to make a second device that could not be made. */
const RETRY = 5000;

/**
 * Reads all that there is, and writes what is different: the guard, the devices without peers, what lets the node
 * forward, the peers, the routes.
 * @throws Fault, NetlinkError; the guard is there all the same, unless it is what failed.
 */
export async function applyTunnels(
  nl: Netlink,
  options: DeviceOptions,
  wanted: WantedTunnels,
  memory: Memory,
): Promise<Applied> {
  const began = process.cpuUsage();
  memory.know(undefined); // until it is known again
  using lock = await lockDevice(options.interface);
  const application = new Application(nl, options, wanted, memory, lock, await observeNode(nl));
  const applied = await application.run();
  if (memory.settled) return applied;
  const { user, system } = process.cpuUsage(began);
  const again = application.lacksSecond ? RETRY : Math.max(STEP, ((user + system) / 1000) * REST);
  return { ...applied, again };
}

/** One apply. */
class Application {
  /** Whether there should be a second device, and none can be made. */
  lacksSecond = false;
  readonly #nl: Netlink;
  readonly #options: DeviceOptions;
  readonly #wanted: WantedTunnels;
  readonly #memory: Memory;
  readonly #lock: Lock;
  readonly #observed: Observed;
  readonly #record: OwnRecord;
  readonly #second: string;
  readonly #obstacles: string[] = [];
  /** Of the devices, in bytes. */
  #mtu = 0;

  constructor(
    nl: Netlink,
    options: DeviceOptions,
    wanted: WantedTunnels,
    memory: Memory,
    lock: Lock,
    observed: Observed,
  ) {
    this.#nl = nl;
    this.#options = options;
    this.#wanted = wanted;
    this.#memory = memory;
    this.#lock = lock;
    this.#observed = observed;
    this.#record = OwnRecord.read(options.interface);
    this.#second = secondName(options.interface);
  }

  async run(): Promise<Applied> {
    const { interface: name, table } = this.#options;
    const facts = await this.#facts();
    const fitting = fittingTunnels(this.#wanted, facts);
    this.#obstacles.push(...fitting.obstacles);
    await this.#guard(fitting, this.#record.before?.otherDevices ?? []);
    trace("guard of the mesh set");

    using first = await SlotDevice.open(name);
    using second = await this.#openSecond();
    const states = [first.state, second?.state] as const;
    this.#memory.note(...states);
    const before = this.#links(first, second);
    const routes = routesBySlot(this.#observed, before, table);
    const plan = planSlots(
      this.#wish(fitting),
      {
        ...(first.state && { first: first.state }),
        ...(second?.state && { second: second.state }),
        routes,
        quiet: this.#memory.quiet,
      },
      Date.now(),
    );
    this.#memory.plan(plan);
    trace("mesh read");

    const links = await this.#setUp(first, second, plan, fitting);
    await this.#forward(links);
    await first.bring(plan.first);
    if (plan.second !== undefined && links.second !== undefined) await second?.bring(plan.second);
    trace("mesh has its peers");

    const { peers } = fitting;
    const there = first.made ? { ...before, first: links.first } : before;
    const request = { peers, ways: plan.ways, before: there, now: links, ...(table === undefined ? {} : { table }) };
    const routed = await routePeers(this.#nl, this.#observed, request);
    this.#obstacles.push(...routed.obstacles);
    await this.#rules();
    if (plan.second === undefined) await this.#removeSecond(second, fitting);
    this.#memory.devices(this.#named(links));
    const names = peerNames(peers, this.#record.before?.peerNames ?? {}, states);
    const left = [plan.first, plan.second].map((device) => device?.settings);
    this.#record.write({ peerNames: namesByKey(peerNames(peers, Object.fromEntries(names), left)) });
    const keys = new Set([...first.written, ...(second?.written ?? [])]);
    const changes = peerChanges(names, peers, first.made ? [] : states, { keys, names: routed.changed });
    const isAtRest = plan.settled && second?.state === undefined && this.#obstacles.length === 0;
    const { dataPlane } = first;
    if (isAtRest && dataPlane !== undefined) this.#memory.know(this.#known(facts, fitting, links.first, dataPlane));
    return { ...changes, started: first.made, obstacles: this.#obstacles };
  }

  #known(facts: MeshFacts, { peers }: FittingTunnels, index: number, dataPlane: DataPlane): Known {
    return {
      options: this.#options,
      facts,
      observed: this.#observed,
      dataPlane,
      index,
      mtu: this.#mtu,
      wanted: this.#wanted,
      tunnels: new Map(this.#wanted.tunnels.map((tunnel) => [tunnel.peer.name, tunnel])),
      peers: new Map(peers.map((peer) => [peer.name, peer])),
    };
  }

  async #facts() {
    const { interface: name, table, privateKey } = this.#options;
    const meshes = listGuards()
      .filter(({ network }) => network !== AGENT_NETWORK) // what two drivers have in common they hand over
      .flatMap(({ interface: dev, network, guarded }) => guarded.map((prefix) => ({ dev, network, prefix })));
    return {
      ownPublicKey: await this.#memory.publicKey(privateKey, publicKeyOf),
      addresses: this.#observed.subnets.filter(({ dev }) => dev !== name && dev !== this.#second),
      meshes,
      // A table of the mesh's own is asked before the main one.
      routes: table === undefined ? foreignRoutes(this.#observed, name) : [],
    };
  }

  /** The record, and the guard that it says; what is new of it comes before what is old goes. */
  async #guard(fitting: FittingTunnels, otherDevices: readonly string[]): Promise<void> {
    const { interface: name, table, fwmark } = this.#options;
    const mark = { fwmark, ...(table === undefined ? {} : { table }) };
    const record = this.#record.wish({ interface: name, otherDevices, ...mark, wanted: this.#wanted, fitting });
    const refusals = ownRoutes(this.#observed, name).filter(({ type }) => type !== "unicast");
    // Side by side: where one cannot be had, the other still keeps most of it in.
    await together(
      ensureTableAs(recordedTable(record)),
      applyRouteDifference(this.#nl, routeDifference(meshRefusals(record), refusals)),
    );
  }

  /** The second device; undefined when none is needed, or when something else has the name. */
  async #openSecond(): Promise<SlotDevice | undefined> {
    const isKnown = this.#record.before?.otherDevices?.includes(this.#second) === true;
    const isFree = readDeviceRecord(this.#second) === undefined && linkOf(this.#observed, this.#second) === undefined;
    return isKnown || (isFree && this.#mayChange()) ? await SlotDevice.open(this.#second) : undefined;
  }

  /** Whether some key changes now. */
  #mayChange(): boolean {
    if (this.#options.nextPrivateKey !== undefined) return true;
    return this.#wanted.tunnels.some(({ peer }) => peer.wireguard?.nextPublicKey !== undefined);
  }

  #wish({ peers }: FittingTunnels) {
    const { privateKey, nextPrivateKey, port, fwmark } = this.#options;
    return { privateKey, ...(nextPrivateKey && { nextPrivateKey }), listenPort: port, fwmark, peers };
  }

  /** As they were found. */
  #links(first: SlotDevice, second: SlotDevice | undefined) {
    const [one, other] = [first, second].map((device) => device && linkOf(this.#observed, device.name)?.index);
    return { ...(one === undefined ? {} : { first: one }), ...(other === undefined ? {} : { second: other }) };
  }

  /** The devices, up and without new peers. */
  async #setUp(
    first: SlotDevice,
    second: SlotDevice | undefined,
    plan: { readonly first: WantedDevice; readonly second?: WantedDevice },
    fitting: FittingTunnels,
  ): Promise<{ readonly first: number; readonly second: number | undefined }> {
    const { interface: name, dataplane } = this.#options;
    const { mtu, obstacle } = deviceMtu(this.#wanted, fitting, this.#observed, name);
    this.#mtu = mtu;
    if (obstacle !== undefined) this.#obstacles.push(obstacle);
    const link = { dataplane, mtu, addresses: this.#wanted.addresses };
    const index = await first.setUp(this.#nl, plan.first, { ...link, lockFd: this.#lock.fd });
    if (first.dataPlane !== undefined) this.#record.write({ dataPlane: first.dataPlane });
    if (plan.second === undefined) return { first: index, second: undefined };
    try {
      if (second === undefined) throw nameTaken(this.#second);
      await this.#guard(fitting, [this.#second]);
      using lock = await lockDevice(this.#second);
      return { first: index, second: await second.setUp(this.#nl, plan.second, { ...link, lockFd: lock.fd }) };
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      // It keeps nothing else from being done: keys do not change, then.
      this.lacksSecond = true;
      this.#obstacles.push(`no second device for keys to change: ${error.message}`);
      return { first: index, second: undefined };
    }
  }

  #named({ first, second }: { readonly first: number; readonly second: number | undefined }) {
    const devices = new Map([[this.#options.interface, first]]);
    if (second !== undefined) devices.set(this.#second, second);
    return devices;
  }

  async #forward(links: { readonly first: number; readonly second: number | undefined }): Promise<void> {
    const devices = this.#named(links);
    const ours = [this.#options.interface, this.#second];
    const needs = forwardingNeeds(this.#wanted, this.#observed, [...devices.keys()], ours);
    const look = () => letForward(this.#nl, needs, this.#record);
    this.#obstacles.push(...(await this.#memory.forwarding(JSON.stringify([needs, [...devices]]), look)));
  }

  async #rules(): Promise<void> {
    const record = this.#record.now;
    const wanted = record === undefined ? [] : meshRules(record);
    const existing = ownRules(this.#observed, this.#options.interface);
    for (const rule of wanted) if (!existing.some((one) => sameRule(one, rule))) await ensureRule(this.#nl, rule);
    for (const rule of existing) if (!wanted.some((one) => sameRule(one, rule))) await ensureNoRule(this.#nl, rule);
  }

  /** When packets go by it no more; and nothing may go by it from then on. */
  async #removeSecond(second: SlotDevice | undefined, fitting: FittingTunnels): Promise<void> {
    if (second?.state === undefined && this.#record.now?.otherDevices === undefined) return;
    await removeOtherDevice(this.#second);
    await this.#guard(fitting, []);
  }
}

function nameTaken(name: string): Fault {
  return new Fault(Code.kernel, `there is a device ${name} already`, "rename it, or give the agent another interface");
}
