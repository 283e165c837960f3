import type { KeyChange } from "../../../src/agent/driver.ts";
import { Memory } from "../../../src/agent/wireguard/memory.ts";
import { nextStep, type RotationStep } from "../../../src/agent/wireguard/rotation.ts";
import { planSlots, type SlotPeer, type WantedDevice } from "../../../src/agent/wireguard/slot-plan.ts";
import type { SlotName } from "../../../src/agent/wireguard/slots.ts";
import { type Prefix, parsePrefix } from "../../../src/net/prefix.ts";
import type { NodeRecord } from "../../../src/registry/node-record.ts";
import { Secret } from "../../../src/secret.ts";
import type { DeviceState, PeerState } from "../../../src/wireguard/device.ts";
import { clamped, type PublicKey, publicKeyFrom } from "../../../src/wireguard/key.ts";

// WireGuard as far as rotation goes: who has a session with whom, and by which device a packet would go. No time passes
// but by `tick`, nothing is heard of but by `hear`, and no agent does anything but by `step`.

/** A device of the model: the state as it is read, and for each peer which session it has. */
interface Device {
  key: Secret;
  readonly peers: Map<PublicKey, PeerState & { readonly session?: number }>;
}

interface ModelNode {
  readonly name: string;
  readonly prefix: Prefix;
  /** On disk. */
  key: Secret;
  next: { readonly key: Secret; readonly since: number } | undefined;
  asked: boolean;
  readonly devices: Map<SlotName, Device>;
  readonly routes: Map<Prefix, SlotName>;
  /** What it has heard of all nodes, itself included. */
  readonly heard: Map<string, NodeRecord>;
  memory: Memory;
}

/** Where an agent is killed, in a step. */
export type Crash = "after the keys" | "after the record";

/** In milliseconds since 1970. */
const START = 1_700_000_000_000;

/** Milliseconds after which a session that is used is made anew (REKEY_AFTER_TIME). */
const REKEY = 120_000;

const KEEPALIVE = 32;
const PACKET = 96;

/** Nodes with a tunnel to each other, at rest. */
export class RotatingMesh {
  readonly nodes: readonly ModelNode[];
  readonly #registry = new Map<string, NodeRecord>();
  readonly lost: string[] = [];
  #now = 0;
  #keys = 0;
  #sessions = 0;

  constructor(count: number) {
    this.nodes = Array.from({ length: count }, (_, index): ModelNode => {
      const prefix = parsePrefix(`10.1.${index + 1}.0/24`);
      if (prefix === undefined) throw new TypeError("no prefix");
      return {
        name: `n${index + 1}`,
        prefix,
        key: this.#newKey(),
        next: undefined,
        asked: false,
        devices: new Map(),
        routes: new Map(),
        heard: new Map(),
        memory: this.#memory(),
      };
    });
    for (const node of this.nodes) this.#publish(node);
    for (let round = 0; round < 5; round += 1) this.everybody();
    this.lost.length = 0; // before there was a session
  }

  get now(): number {
    return this.#now;
  }

  /** All hear of all, and do what they would; 200 ms go by. */
  everybody(): void {
    for (const node of this.nodes) for (const other of this.nodes) this.hear(node, other);
    for (const node of this.nodes) this.step(node);
    this.tick(200);
  }

  at(index: number): ModelNode {
    const node = this.nodes[index % this.nodes.length];
    if (node === undefined) throw new RangeError("no such node");
    return node;
  }

  /** `node` hears what `other` has published. */
  hear(node: ModelNode, other: ModelNode): void {
    const record = this.#registry.get(other.name);
    if (record !== undefined) node.heard.set(other.name, record);
  }

  /** The agent of a node is started anew. */
  restart(node: ModelNode): void {
    node.memory = this.#memory();
  }

  /** A round of the node's agent: one step of the rotation, and one apply. */
  step(node: ModelNode, crash?: Crash): RotationStep["do"] {
    const step = nextStep({
      name: node.name,
      asked: node.asked,
      hasNext: node.next !== undefined,
      waited: node.next === undefined ? 0 : this.#now - node.next.since,
      nodes: [...node.heard.values()],
      changes: [node.memory.keyChange() satisfies KeyChange | undefined],
    });
    if (step.do === "begin") node.next = { key: this.#newKey(), since: this.#now };
    if (step.do === "promote" && node.next !== undefined) {
      node.key = node.next.key;
      node.asked = false;
    }
    if (step.do === "promote" || step.do === "withdraw") node.next = undefined;
    if (crash === "after the keys") {
      this.restart(node);
      return step.do;
    }
    this.#publish(node);
    if (crash === "after the record") {
      this.restart(node);
      return step.do;
    }
    this.#apply(node);
    return step.do;
  }

  /** Packets and keepalives go to and fro, and handshakes are made where they can, but for those that `fails` says. */
  tick(milliseconds: number, fails: () => boolean = () => false): void {
    this.#now += milliseconds;
    for (const one of this.nodes) {
      for (const other of this.nodes) {
        if (one.name < other.name)
          for (const slot of ["first", "second"] as const) this.#shake(one, other, slot, fails);
      }
    }
    for (const from of this.nodes) {
      for (const to of this.nodes) {
        if (from === to) continue;
        if (!this.#send(from, to)) this.lost.push(`${this.#now}: ${from.name} to ${to.name}`);
        for (const slot of ["first", "second"] as const) this.#keepAlive(from, to, slot);
      }
    }
  }

  #apply(node: ModelNode): void {
    const [first, second] = [this.#read(node, "first"), this.#read(node, "second")];
    node.memory.note(first, second);
    const plan = planSlots(
      {
        privateKey: node.key,
        ...(node.next && { nextPrivateKey: node.next.key }),
        listenPort: 51_820,
        fwmark: 0,
        peers: [...node.heard.values()].filter(({ name }) => name !== node.name).flatMap(slotPeer),
      },
      {
        ...(first && { first }),
        ...(second && { second }),
        routes: node.routes,
        quiet: node.memory.quiet,
      },
      START + this.#now,
    );
    node.memory.plan(plan);
    bring(node, "first", plan.first);
    if (plan.second !== undefined) bring(node, "second", plan.second);
    for (const { name, podPrefixes } of node.heard.values()) {
      const way = plan.ways.get(name);
      for (const prefix of podPrefixes) if (way !== undefined) node.routes.set(prefix, way);
    }
    if (plan.second === undefined) node.devices.delete("second");
  }

  #read(node: ModelNode, slot: SlotName): DeviceState | undefined {
    const device = node.devices.get(slot);
    return device && { privateKey: device.key, listenPort: 1, fwmark: 0, peers: [...device.peers.values()] };
  }

  /** A packet to `to`, by whatever device the route says: whether it arrives. */
  #send(from: ModelNode, to: ModelNode): boolean {
    const slot = from.routes.get(to.prefix);
    const [near, far] = [slot && from.devices.get(slot), slot && to.devices.get(slot)];
    if (near === undefined || far === undefined) return false;
    const out = [...near.peers.values()].find(({ allowedIPs }) => allowedIPs.includes(to.prefix));
    const into = [...far.peers.values()].find(({ allowedIPs }) => allowedIPs.includes(from.prefix));
    if (out?.session === undefined || out.session !== into?.session) return false;
    far.peers.set(into.publicKey, { ...into, receivedBytes: into.receivedBytes + PACKET });
    return true;
  }

  #keepAlive(from: ModelNode, to: ModelNode, slot: SlotName): void {
    const [near, far] = [from.devices.get(slot), to.devices.get(slot)];
    const out = far && near?.peers.get(publicKey(far.key));
    const into = near && far?.peers.get(publicKey(near.key));
    if (out === undefined || into === undefined || far === undefined) return;
    if (out.persistentKeepalive === 0 || out.session === undefined || out.session !== into.session) return;
    far.peers.set(into.publicKey, { ...into, receivedBytes: into.receivedBytes + KEEPALIVE });
  }

  #shake(one: ModelNode, other: ModelNode, slot: SlotName, fails: () => boolean): void {
    const [near, far] = [one.devices.get(slot), other.devices.get(slot)];
    const out = far && near?.peers.get(publicKey(far.key));
    const back = near && far?.peers.get(publicKey(near.key));
    if (near === undefined || far === undefined || out === undefined || back === undefined) return;
    const used = [one.routes.get(other.prefix), other.routes.get(one.prefix)].includes(slot);
    const wanted = used || out.persistentKeepalive > 0 || back.persistentKeepalive > 0;
    const latestHandshake = START + this.#now;
    const isFresh = out.session === back.session && latestHandshake - (out.latestHandshake ?? 0) < REKEY;
    if (!wanted || isFresh || fails()) return;
    this.#sessions += 1;
    near.peers.set(out.publicKey, { ...out, latestHandshake, session: this.#sessions });
    far.peers.set(back.publicKey, { ...back, latestHandshake, session: this.#sessions });
  }

  #publish(node: ModelNode): void {
    this.#registry.set(node.name, {
      name: node.name,
      generation: 1,
      underlay: { private: [], public: [] },
      podPrefixes: [node.prefix],
      addresses: [],
      drivers: ["wireguard"],
      wireguard: {
        publicKey: publicKey(node.key),
        port: 51_820,
        ...(node.next && { nextPublicKey: publicKey(node.next.key) }),
      },
      gateway: false,
      keepalive: 0,
      labels: {},
    });
  }

  #newKey(): Secret {
    this.#keys += 1;
    const bytes = new Uint8Array(32);
    new DataView(bytes.buffer).setUint32(4, this.#keys);
    return clamped(new Secret(bytes));
  }

  #memory(): Memory {
    return new Memory(() => this.#now);
  }
}

function bring(node: ModelNode, slot: SlotName, { settings, anew }: WantedDevice): void {
  const before = node.devices.get(slot);
  const isSame = before !== undefined && publicKey(before.key) === publicKey(clamped(settings.privateKey));
  const kept = before !== undefined && isSame && !anew ? before.peers : new Map<PublicKey, never>();
  const peers: Device["peers"] = new Map();
  for (const wanted of settings.peers) {
    const { allowedIPs, persistentKeepalive } = wanted;
    const there = kept.get(wanted.publicKey) ?? { publicKey: wanted.publicKey, receivedBytes: 0, sentBytes: 0 };
    peers.set(wanted.publicKey, { ...there, allowedIPs, persistentKeepalive });
  }
  node.devices.set(slot, { key: clamped(settings.privateKey), peers });
}

/** Of the model: nothing is encrypted in it. */
export function publicKey(key: Secret): PublicKey {
  return publicKeyFrom(key.reveal());
}

function slotPeer({ name, podPrefixes, wireguard }: NodeRecord): SlotPeer[] {
  if (wireguard === undefined) return [];
  return [{ ...wireguard, name, prefixes: podPrefixes, persistentKeepalive: 0 }];
}
