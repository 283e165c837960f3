import { Group } from "../../netlink/events.ts";
import { getLink } from "../../netlink/links.ts";
import type { Netlink } from "../../netlink/netlink.ts";
import { openRoute } from "../../netlink/open.ts";
import { AGENT_NETWORK, DEVICE_LOCK_WAIT, deviceDirectory, readDeviceRecord } from "../../node/record.ts";
import { removeLocked } from "../../node/remove.ts";
import { lockDirectory } from "../../os/lock.ts";
import type { Secret } from "../../secret.ts";
import type { DataPlane } from "../../wireguard/device.ts";
import type { Applied, ApplyBasis, DriverState, KeyChange, TunnelDriver, WantedTunnels } from "../driver.ts";
import { DriverSocket } from "../driver-socket.ts";
import { applyTunnels, type DeviceOptions } from "./apply.ts";
import { applyChange } from "./apply-change.ts";
import { Memory } from "./memory.ts";
import { observeTunnels } from "./observe.ts";
import { wishChange } from "./wish-change.ts";

/** How the driver's devices are made. */
export interface WireguardDriverOptions {
  /** Name of the device. While keys change there is a second one, of the next number. */
  readonly interface: string;
  /** UDP. The second device has the next one. */
  readonly port: number;
  readonly dataplane: DataPlane | "auto";
  /** Asked at each apply. */
  readonly privateKey: () => Secret;
  /** While this node's key changes: the one that comes; asked at each apply. */
  readonly nextPrivateKey?: () => Secret | undefined;
  /** Routing table of the routes to peers, with a rule that leads to it; absent: main. */
  readonly table?: number;
  /** Mark of the encrypted packets; absent or 0: none. */
  readonly fwmark?: number;
}

/** WireGuard between nodes: one device for all peers, in the kernel or by a wireguard-go that outlives the agent. */
export function wireguardDriver(options: WireguardDriverOptions): TunnelDriver {
  return new WireguardDriver(options);
}

class WireguardDriver implements TunnelDriver {
  readonly name = "wireguard";
  readonly #options: WireguardDriverOptions;
  readonly #memory = new Memory();
  readonly #socket = new DriverSocket();

  constructor(options: WireguardDriverOptions) {
    this.#options = options;
  }

  apply(wanted: WantedTunnels, basis: ApplyBasis = "read"): Promise<Applied> {
    return this.#socket.exclusive(async (nl) => {
      const { privateKey, nextPrivateKey, fwmark = 0, ...rest } = this.#options;
      const next = nextPrivateKey?.();
      const options = { ...rest, fwmark, privateKey: privateKey(), ...(next && { nextPrivateKey: next }) };
      const applied = basis === "known" ? await this.#applyChange(nl, wanted, options) : undefined;
      return applied ?? (await applyTunnels(nl, options, wanted, this.#memory));
    });
  }

  observe(): Promise<DriverState | undefined> {
    return observeTunnels(this.#socket.netlink, this.#options.interface);
  }

  keyChange(): KeyChange | undefined {
    return this.#memory.keyChange();
  }

  /** The link of a wireguard-go that ends goes with it; so one look at links is enough for both data planes. */
  async died(signal: AbortSignal): Promise<"died" | "aborted"> {
    const aborted = Promise.withResolvers<"aborted">();
    const onAbort = () => aborted.resolve("aborted");
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    let notification = Promise.withResolvers<undefined>();
    using nl = openRoute();
    using _subscription = nl.subscribe([Group.link], () => notification.resolve(undefined));
    try {
      for (;;) {
        const how = await Promise.race([this.#socket.exclusive(() => this.#hasDied(nl)), aborted.promise]);
        if (how === "aborted") return how;
        if (how) return "died";
        const next = await Promise.race([notification.promise, aborted.promise]);
        if (next !== undefined) return next;
        notification = Promise.withResolvers(); // before the next look: what comes during it counts
      }
    } catch {
      // What cannot be looked at is as good as dead: the next apply tells why.
      return signal.aborted ? "aborted" : "died";
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  remove(): Promise<void> {
    return this.#socket.exclusive(async (nl) => {
      const { interface: name } = this.#options;
      using lock = await lockDirectory(deviceDirectory(name), { create: true, wait: DEVICE_LOCK_WAIT });
      const record = lock === undefined ? undefined : readDeviceRecord(name);
      this.#memory.devices(new Map());
      this.#memory.know(undefined);
      // Without a record (somebody has cleared /run) it is found by its marks; one with another network is not ours.
      if (record === undefined || record.network === AGENT_NETWORK) await removeLocked(nl, name);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#socket[Symbol.asyncDispose]();
  }

  /** Of what has changed, and no more; undefined where that cannot be told, or is not enough. */
  async #applyChange(nl: Netlink, wanted: WantedTunnels, options: DeviceOptions): Promise<Applied | undefined> {
    const { known } = this.#memory;
    const change = known && wishChange(known, wanted, options);
    if (known === undefined || change === undefined) return undefined;
    this.#memory.know(undefined); // also when it fails
    const applied = await applyChange(nl, known, change);
    if (applied !== undefined) this.#memory.know(change.next);
    return applied;
  }

  async #hasDied(nl: Netlink): Promise<boolean> {
    for (const [name, index] of this.#memory.links) {
      if ((await getLink(nl, index))?.name !== name) return true;
    }
    return false;
  }
}
