import { randomInt } from "node:crypto";
import { type Address, parseAddress } from "../../net/address.ts";
import { openUdp, type UdpSocket } from "../../os/udp.ts";
import type { HealthLimits } from "./health.ts";
import { PROBE_LENGTH } from "./packet.ts";
import { type HealthChange, type ProbedPeer, ProbeTable } from "./table.ts";
import type { ProbeReport } from "./track.ts";

/** Milliseconds between two looks at all peers, at most. */
const TICK = 250;
/** A tick that is later than this was late because we were stopped, and not because peers are silent. */
const STOPPED = 1000;

/** How peers are probed. */
export interface ProberOptions extends HealthLimits {
  /** UDP; the same on all nodes. */
  readonly port: number;
  /** Milliseconds between two probes of a peer. */
  readonly interval: number;
}

/** Who is told of peers. */
export interface ProbeListener {
  /** Peers whose health is another one now. */
  readonly onChange: (changes: readonly HealthChange[]) => void;
  /** An answer is late: whoever wants to know what still comes by that tunnel looks at it now. */
  readonly onDoubt: () => void;
}

/** What the agent needs of a {@link Prober}. */
export interface Probes {
  /** Tells `listener`, and nobody else, until disposed of. */
  listen(listener: ProbeListener): Disposable;
  set(own: readonly Address[], peers: readonly ProbedPeer[]): Promise<readonly Error[]>;
  keep(peers: readonly { readonly name: string }[]): void;
  report(name: string): ProbeReport | undefined;
  health(name: string): ProbeReport["health"];
  isDoubtful(name: string): boolean;
  isHeard(name: string): boolean;
  hurry(name: string): void;
}

/** Probes the peers through their tunnels, and answers theirs. */
export class Prober implements Probes, Disposable {
  readonly #table: ProbeTable;
  readonly #sockets = new Map<Address, UdpSocket>();
  readonly #timer: NodeJS.Timeout;
  readonly #tickEvery: number;
  #listener: ProbeListener | undefined;
  #lastTick = performance.now();

  constructor(private readonly options: ProberOptions) {
    const { interval } = options;
    const pace = { interval, doubt: Math.min(TICK, interval), rest: 5 * interval };
    this.#table = new ProbeTable(randomInt(2 ** 32), pace, options);
    this.#tickEvery = Math.min(TICK, interval);
    this.#timer = setInterval(() => this.#tick(), this.#tickEvery);
  }

  listen(listener: ProbeListener): Disposable {
    this.#listener = listener;
    return {
      [Symbol.dispose]: () => {
        if (this.#listener === listener) this.#listener = undefined;
      },
    };
  }

  /**
   * Uses these addresses of this node, which need not be there yet, and probes these peers.
   * @returns Why an address cannot be used now; to be called again then.
   */
  async set(own: readonly Address[], peers: readonly ProbedPeer[]): Promise<readonly Error[]> {
    for (const [address, socket] of this.#sockets) {
      if (own.includes(address)) continue;
      socket[Symbol.dispose]();
      this.#sockets.delete(address);
    }
    const failures: Error[] = [];
    for (const address of own) {
      if (this.#sockets.has(address)) continue;
      try {
        this.#sockets.set(address, await this.#open(address));
      } catch (error) {
        if (!(error instanceof Error)) throw error;
        failures.push(error);
      }
    }
    this.#table.set(
      peers.map((peer) => this.#reachable(peer)),
      performance.now(),
    );
    return failures;
  }

  /** Sends nothing any more to whoever is not among these: for before their tunnels and guards go. */
  keep(peers: readonly { readonly name: string }[]): void {
    this.#table.keep(new Set(peers.map(({ name }) => name)));
  }

  report(name: string): ProbeReport | undefined {
    return this.#table.report(name, performance.now());
  }

  health(name: string): ProbeReport["health"] {
    return this.#table.health(name);
  }

  isDoubtful(name: string): boolean {
    return this.#table.isDoubtful(name);
  }

  isHeard(name: string): boolean {
    return this.#table.isHeard(name, performance.now());
  }

  /** Probes a peer at once: another way to it is tried. */
  hurry(name: string): void {
    this.#table.hurry(name, performance.now());
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    for (const socket of this.#sockets.values()) socket[Symbol.dispose]();
    this.#sockets.clear();
  }

  /** Of families that this node has as well. */
  #reachable({ name, probes }: ProbedPeer): ProbedPeer {
    return { name, probes: probes.filter((address) => this.#socketTo(address) !== undefined) };
  }

  #socketTo(address: Address): UdpSocket | undefined {
    const six = address.includes(":");
    for (const [own, socket] of this.#sockets) if (own.includes(":") === six) return socket;
    return undefined;
  }

  async #open(own: Address): Promise<UdpSocket> {
    const socket = await openUdp({ address: own, port: this.options.port, limit: PROBE_LENGTH }, (bytes, from) => {
      const address = from.port === this.options.port ? parseAddress(from.address) : undefined;
      if (address === undefined) return;
      const answer = this.#table.take(bytes, address, performance.now(), Date.now());
      if (answer !== undefined) socket.send(answer, this.options.port, address);
      else this.#tell();
    });
    return socket;
  }

  #tick(): void {
    const now = performance.now();
    const late = now - this.#lastTick - this.#tickEvery;
    this.#lastTick = now;
    if (late > STOPPED) this.#table.forgive(late);
    for (const { address, bytes } of this.#table.tick(now))
      this.#socketTo(address)?.send(bytes, this.options.port, address);
    if (this.#table.hasNewDoubts()) this.#listener?.onDoubt();
    this.#tell();
  }

  #tell(): void {
    if (this.#listener === undefined) return; // it is kept for the next one
    const changes = this.#table.changes();
    if (changes.length > 0) this.#listener.onChange(changes);
  }
}
