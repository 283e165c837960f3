import { Agent, type AgentParts } from "../../../src/agent/agent.ts";
import type {
  Applied,
  ApplyBasis,
  DriverState,
  KeyChange,
  TunnelDriver,
  TunnelState,
  WantedTunnels,
} from "../../../src/agent/driver.ts";
import type { Fields } from "../../../src/agent/journal.ts";
import type { OwnKeys } from "../../../src/agent/own-record.ts";
import { PeerBook } from "../../../src/agent/peer-book.ts";
import type { Health } from "../../../src/agent/probe/health.ts";
import type { ProbeListener, Probes } from "../../../src/agent/probe/prober.ts";
import type { ProbeReport } from "../../../src/agent/probe/track.ts";
import type { ChangeableKeys } from "../../../src/agent/rotator.ts";
import { type AgentConfig, parseAgentConfig } from "../../../src/config/agent.ts";
import type { Address } from "../../../src/net/address.ts";
import type { Prefix } from "../../../src/net/prefix.ts";
import type { Driver, NodeRecord } from "../../../src/registry/node-record.ts";
import { recordText } from "../../../src/registry/record-text.ts";
import type { Refusal, Registry, RegistryState } from "../../../src/registry/registry.ts";
import { address, key, prefix } from "./support.ts";

/** A configuration as a file would have it. */
export function config(yaml: Record<string, unknown> = {}): AgentConfig {
  return parseAgentConfig({ name: "n1", podPrefixes: "10.101.1.0/24", ...yaml }, "agent.yaml", {
    hostname: "n1",
    euid: 0,
    readSecretFile: () => undefined,
  });
}

/** Node `n<index>` with WireGuard, pods 10.101.<index>.0/24, at 10.9.0.<index>. */
export function record(index: number, overrides: Partial<NodeRecord> = {}): NodeRecord {
  return {
    name: `n${index}`,
    generation: 0,
    underlay: { private: [address(`10.9.0.${index}`)], public: [] },
    podPrefixes: [prefix(`10.101.${index}.0/24`)],
    addresses: [address(`10.101.${index}.1`)],
    drivers: ["wireguard"],
    wireguard: { publicKey: key(index), port: 51820 },
    gateway: false,
    keepalive: 0,
    labels: {},
    ...overrides,
  };
}

/** A registry in memory. */
export class FakeRegistry implements Registry {
  readonly #nodes = new Map<string, NodeRecord>();
  refusals: readonly Refusal[] = [];
  /** What `publish` fails with. */
  broken: Error | undefined;
  published = 0;
  /** Runs before what was published is told. */
  onPublish: (() => void) | undefined;
  #version = 0;
  #changed = Promise.withResolvers<void>();
  onError: ((error: Error) => void) | undefined;

  constructor(...nodes: readonly NodeRecord[]) {
    for (const node of nodes) this.#nodes.set(node.name, node);
  }

  put(...nodes: readonly NodeRecord[]): void {
    for (const node of nodes) this.#nodes.set(node.name, node);
    this.touch();
  }

  remove(name: string): void {
    this.#nodes.delete(name);
    this.touch();
  }

  get(name: string): NodeRecord | undefined {
    return this.#nodes.get(name);
  }

  touch(): void {
    this.#version += 1;
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  async publish(own: NodeRecord): Promise<NodeRecord> {
    if (this.broken !== undefined) throw this.broken;
    this.published += 1;
    const there = this.#nodes.get(own.name);
    // Where one is kept that only goes on to count, something else stands there.
    const isKept = this.refusals.some(({ name, kept }) => name === own.name && kept);
    if (there !== undefined && sameRecord(there, own) && !isKept) return there;
    const stands = { ...own, generation: (this.#nodes.get(own.name)?.generation ?? 0) + 1 };
    this.onPublish?.();
    this.put(stands);
    return stands;
  }

  async withdraw(name: string): Promise<void> {
    this.remove(name);
  }

  async list(): Promise<RegistryState> {
    const nodes = [...this.#nodes.values()].sort((one, other) => (one.name < other.name ? -1 : 1));
    return { version: String(this.#version), nodes, refusals: this.refusals };
  }

  async *watch(signal: AbortSignal, onError: (error: Error) => void): AsyncGenerator<RegistryState, void, undefined> {
    this.onError = onError;
    const aborted = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    while (!signal.aborted) {
      const next = this.#changed.promise;
      yield await this.list();
      await Promise.race([next, aborted]);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

function sameRecord(one: NodeRecord, other: NodeRecord): boolean {
  return recordText({ ...one, generation: 0 }) === recordText({ ...other, generation: 0 });
}

const NOTHING: Applied = { made: [], altered: [], removed: [], started: false, obstacles: [] };

/** A driver that makes nothing, and fails when it is told to. */
export class FakeDriver implements TunnelDriver {
  readonly applied: WantedTunnels[] = [];
  /** What each apply went by. */
  readonly bases: ApplyBasis[] = [];
  /** What the next calls of `apply` fail with, one each; then none does. */
  readonly failures: Error[] = [];
  /** What `apply` says it did. */
  answer: Applied = NOTHING;
  tunnels: TunnelState[] = [];
  exists = false;
  removed = 0;
  /** Peers that have taken the next key. */
  readonly moved = new Set<string>();
  disposed = false;
  /** Called with each apply, before anything else. */
  onApply = () => {};
  #death = Promise.withResolvers<"died">();

  constructor(readonly name: Driver) {}

  async apply(wanted: WantedTunnels, basis: ApplyBasis = "read"): Promise<Applied> {
    this.onApply();
    this.applied.push(wanted);
    this.bases.push(basis);
    const failure = this.failures.shift();
    if (failure !== undefined) throw failure;
    const started = !this.exists;
    this.exists = true;
    this.tunnels = wanted.tunnels.map(({ peer, endpoint }) => ({
      device: "podvpn0",
      receivedBytes: 0,
      sentBytes: 0,
      mtu: 1420,
      ...this.tunnels.find(({ name }) => name === peer.name),
      name: peer.name,
      ...(endpoint && { endpoint }),
    }));
    return { ...this.answer, started };
  }

  async observe(): Promise<DriverState | undefined> {
    return this.exists ? { dataPlane: "userspace", tunnels: this.tunnels } : undefined;
  }

  died(signal: AbortSignal): Promise<"died" | "aborted"> {
    const aborted = new Promise<"aborted">((resolve) => signal.addEventListener("abort", () => resolve("aborted")));
    return Promise.race([this.#death.promise, aborted]);
  }

  die(): void {
    this.exists = false;
    this.tunnels = [];
    this.#death.resolve("died");
    this.#death = Promise.withResolvers();
  }

  keyChange(): KeyChange {
    return {
      atRest: true,
      peers: this.peers.map((name) => ({ name, hasTunnel: true, hasMoved: this.moved.has(name) })),
    };
  }

  async remove(): Promise<void> {
    this.removed += 1;
    this.exists = false;
    this.tunnels = [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.disposed = true;
  }

  /** The names of the peers that were wanted last. */
  get peers(): string[] {
    return this.applied.at(-1)?.tunnels.map(({ peer }) => peer.name) ?? [];
  }

  get guarded(): readonly Prefix[] {
    return this.applied.at(-1)?.guarded ?? [];
  }
}

/** Probes whose results a test gives. */
export class FakeProbes implements Probes {
  readonly healths = new Map<string, Health>();
  readonly doubtful = new Set<string>();
  own: readonly Address[] = [];
  peers: readonly string[] = [];
  #listener: ProbeListener | undefined;

  listen(listener: ProbeListener): Disposable {
    this.#listener = listener;
    return { [Symbol.dispose]: () => (this.#listener = undefined) };
  }

  get isHeardBySomebody(): boolean {
    return this.#listener !== undefined;
  }

  change(): void {
    this.#listener?.onChange([]);
  }

  doubt(): void {
    this.#listener?.onDoubt();
  }

  async set(own: readonly Address[], peers: readonly { readonly name: string }[]): Promise<readonly Error[]> {
    this.own = own;
    this.peers = peers.map(({ name }) => name);
    return [];
  }

  keep(peers: readonly { readonly name: string }[]): void {
    this.peers = this.peers.filter((known) => peers.some(({ name }) => name === known));
  }

  report(name: string): ProbeReport | undefined {
    return { health: this.health(name), silent: [] };
  }

  health(name: string): Health {
    return this.healths.get(name) ?? "unknown";
  }

  isDoubtful(name: string): boolean {
    return this.doubtful.has(name);
  }

  isHeard(): boolean {
    return false;
  }

  hurry(): void {}
}

/** Keys that are numbers: the next one is ten more. */
export class FakeKeys implements ChangeableKeys {
  number = 1;
  hasNext = false;
  isHeldBack = false;
  canChange = true;
  made = Date.now();

  madeAt(): number {
    return this.made;
  }

  async makeNext(): Promise<void> {
    this.hasNext = true;
  }

  use(): void {
    this.isHeldBack = false;
  }

  promote(): void {
    this.number += 10;
    this.hasNext = false;
    this.made = Date.now();
  }

  withdraw(): void {
    this.hasNext = false;
  }

  get publicKeys(): OwnKeys {
    return { wireguard: key(this.number), ...(this.hasNext && { nextWireguard: key(this.number + 10) }) };
  }
}

/** An agent with everything around it a fake, running until it is disposed of. */
export class Bench implements AsyncDisposable {
  readonly probes = new FakeProbes();
  readonly wireguard = new FakeDriver("wireguard");
  readonly ipsec = new FakeDriver("ipsec");
  readonly lines: { level: string; message: string; fields: Fields }[] = [];
  readonly agent: Agent;
  readonly keys = new FakeKeys();
  underlay: readonly Address[] = [address("10.9.0.1")];
  cni: readonly Prefix[] = [];
  names: Record<string, readonly Address[]> = {};
  onUnderlay = () => {};
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  constructor(
    readonly registry: FakeRegistry,
    settings: AgentConfig = config(),
  ) {
    const drivers = { wireguard: this.wireguard, ipsec: this.ipsec };
    const parts: AgentParts = {
      config: settings,
      registry,
      keys: () => this.keys.publicKeys,
      knownKeys: () => new Set(Object.values(this.keys.publicKeys)),
      underlay: async () => this.underlay,
      cniPrefixes: () => this.cni,
      drivers: settings.drivers.map((name) => drivers[name]),
      leftovers: [],
      probes: this.probes,
      memory: { book: new PeerBook(), plan: undefined },
      followUnderlay: (onChange) => {
        this.onUnderlay = onChange;
        return { [Symbol.dispose]: () => undefined };
      },
      changeableKeys: this.keys,
      resolve: async (names) => new Map(names.flatMap((name) => (this.names[name] ? [[name, this.names[name]]] : []))),
      log: (level, message, fields = {}) => void this.lines.push({ level, message, fields }),
    };
    this.agent = new Agent(parts);
    this.#running = this.agent.run(this.#stop.signal);
  }

  /** What was logged, from level info on. */
  get told(): string[] {
    return this.lines.filter(({ level }) => level !== "debug").map(({ message }) => message);
  }

  setHealth(name: string, health: Health): void {
    this.probes.healths.set(name, health);
    this.probes.change();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }
}
