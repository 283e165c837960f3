import { ViciError } from "vici";
import { findCharon, openVici } from "../../ipsec/charon.ts";
import type { DataPlane } from "../../ipsec/strongswan-conf.ts";
import type { Address } from "../../net/address.ts";
import { Group } from "../../netlink/events.ts";
import { getLink } from "../../netlink/links.ts";
import { openRoute } from "../../netlink/open.ts";
import { MESH_DIRECTORY, readMeshRecord } from "../../node/guards.ts";
import type { Applied, DriverState, KeyChange, TunnelDriver, WantedTunnels } from "../driver.ts";
import { DriverSocket } from "../driver-socket.ts";
import { applyTunnels } from "./apply.ts";
import { GivenCredentials, type IpsecCredentials } from "./credentials.ts";
import { Memory } from "./memory.ts";
import { observeTunnels } from "./observe.ts";
import { removeMesh } from "./remove.ts";

/** How the driver's tunnels are made. */
export interface IpsecDriverOptions {
  /** Of charon: its configuration, socket, pid and log; absent: `/run/podvpn/mesh`. */
  readonly directory?: string;
  readonly dataPlane: DataPlane | "auto";
  /** IKE identity of this node. */
  readonly identity: string;
  /** Asked at each apply. */
  readonly credentials: () => IpsecCredentials;
  /** This node's addresses to speak IKE from; absent: what the routes say. */
  readonly listen?: readonly Address[];
  /** Of charon's log; absent: 1. */
  readonly logLevel?: 1 | 2;
}

/** Milliseconds for charon to answer. */
const ANSWER = 10_000;
/** Milliseconds from charon's last word to its end. */
const LAST_BREATH = 2000;

/** IPsec between nodes: a charon of the node's own, which outlives the agent, and ESP in the kernel or in that charon. */
export function ipsecDriver(options: IpsecDriverOptions): TunnelDriver {
  return new IpsecDriver(options);
}

class IpsecDriver implements TunnelDriver {
  readonly name = "ipsec";
  readonly #options: IpsecDriverOptions;
  readonly #directory: string;
  readonly #memory = new Memory();
  readonly #given = new GivenCredentials();
  readonly #socket = new DriverSocket();
  #usesKeys = false;

  constructor(options: IpsecDriverOptions) {
    this.#options = options;
    this.#directory = options.directory ?? MESH_DIRECTORY;
  }

  apply(wanted: WantedTunnels): Promise<Applied> {
    return this.#socket.exclusive((nl) => {
      const { dataPlane, identity, credentials, listen, logLevel = 1 } = this.#options;
      const given = credentials();
      this.#usesKeys = given.by === "key";
      const options = { directory: this.#directory, dataPlane, identity, credentials: given, logLevel };
      const request = { ...options, ...(listen && { listen }) };
      return applyTunnels(nl, request, wanted, { memory: this.#memory, given: this.#given });
    });
  }

  observe(): Promise<DriverState | undefined> {
    return observeTunnels(this.#socket.netlink, this.#directory, (label) => this.#memory.nameOf(label));
  }

  /** The key changes tunnel by tunnel: PSKs and certificates are changed with charon's next tunnels. */
  keyChange(): KeyChange | undefined {
    return this.#usesKeys ? this.#memory.keyChange() : undefined;
  }

  /** charon's end closes its sockets at once; with kernel ESP the device may go as well, without charon. */
  async died(signal: AbortSignal): Promise<"died" | "aborted"> {
    const over = new AbortController();
    const stop = AbortSignal.any([signal, over.signal]);
    try {
      await Promise.race([this.#charonEnds(stop), this.#deviceGoes(stop)]);
    } catch {
      // What cannot be looked at is as good as dead: the next apply tells why.
    } finally {
      over.abort();
    }
    return signal.aborted ? "aborted" : "died";
  }

  remove(): Promise<void> {
    return this.#socket.exclusive((nl) => removeMesh(nl, this.#directory));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#socket[Symbol.asyncDispose]();
  }

  /** Returns when charon has ended, or at `stop`. */
  async #charonEnds(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      using charon = findCharon(this.#directory);
      if (charon === undefined) return;
      try {
        await using vici = await openVici(this.#directory, ANSWER);
        await using events = await vici.subscribe(["ike-updown"], { signal: stop });
        for await (const _ of events);
      } catch (error) {
        if (!(error instanceof ViciError)) throw error;
      }
      if (stop.aborted || (await charon.ended(LAST_BREATH))) return;
    }
  }

  /** Returns when the device has gone, or at `stop`. */
  async #deviceGoes(stop: AbortSignal): Promise<void> {
    const stopped = Promise.withResolvers<undefined>();
    stop.addEventListener("abort", () => stopped.resolve(undefined), { once: true });
    if (stop.aborted) return;
    using nl = openRoute();
    let changed = Promise.withResolvers<undefined>();
    using _subscription = nl.subscribe([Group.link], () => changed.resolve(undefined));
    const name = readMeshRecord(this.#directory)?.interface;
    while (!stop.aborted && name !== undefined && (await getLink(nl, name)) !== undefined) {
      await Promise.race([changed.promise, stopped.promise]);
      changed = Promise.withResolvers();
    }
    if (name === undefined) await stopped.promise;
  }
}
