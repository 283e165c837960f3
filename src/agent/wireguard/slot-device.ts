import type { Address } from "../../net/address.ts";
import { family } from "../../net/address.ts";
import type { Netlink } from "../../netlink/netlink.ts";
import { deviceDirectory } from "../../node/record.ts";
import { setUpDevice } from "../../node/up.ts";
import type { DataPlane, Device, DeviceState } from "../../wireguard/device.ts";
import { diff, isEmpty } from "../../wireguard/diff.ts";
import type { PublicKey } from "../../wireguard/key.ts";
import { randomPublicKey } from "../../wireguard/keys.ts";
import { ensureDevice, openDevice } from "../../wireguard/open.ts";
import type { WantedDevice } from "./slot-plan.ts";

/** One of the driver's devices, as it was found; what is done to it is in `made` and `state`. The caller has its lock. */
export class SlotDevice implements Disposable {
  readonly name: string;
  #device: Device | undefined;
  #state: DeviceState | undefined;
  #made = false;
  readonly #written = new Set<PublicKey>();

  private constructor(name: string, device: Device | undefined, state: DeviceState | undefined) {
    this.name = name;
    this.#device = device;
    this.#state = state;
  }

  /** Looks for it. @throws Fault 102. */
  static async open(name: string): Promise<SlotDevice> {
    const device = await openDevice({ name, directory: deviceDirectory(name) });
    try {
      return new SlotDevice(name, device, await device?.read());
    } catch (error) {
      device?.[Symbol.dispose]();
      throw error;
    }
  }

  /** As it was read last, and as it has been written since; undefined when there is none. */
  get state(): DeviceState | undefined {
    return this.#state;
  }

  get dataPlane(): DataPlane | undefined {
    return this.#device?.dataPlane;
  }

  /** Keys of the peers that were made, altered or removed. */
  get written(): ReadonlySet<PublicKey> {
    return this.#written;
  }

  /** Whether it was not there. */
  get made(): boolean {
    return this.#made;
  }

  /**
   * Makes it, if there is none of that data plane, with its key and port and without peers, and sets its link up.
   * @param mtu In bytes. @returns The link's index. @throws Fault 101, 102, NetlinkError.
   */
  async setUp(
    nl: Netlink,
    wanted: WantedDevice,
    link: {
      readonly dataplane: DataPlane | "auto";
      readonly lockFd: number;
      readonly mtu: number;
      readonly addresses: readonly Address[];
    },
  ): Promise<number> {
    const { dataplane, lockFd, mtu } = link;
    const { device, made } = await ensureDevice({
      name: this.name,
      directory: deviceDirectory(this.name),
      dataplane,
      lockFd,
      there: this.#device,
    });
    this.#device = device;
    if (made) {
      this.#made = true;
      this.#state = await device.read();
      await this.#apply({ ...wanted.settings, peers: [] });
      this.#state = await device.read();
    }
    const addresses = link.addresses.map((address) => ({ address, prefixLength: family(address) === 4 ? 32 : 128 }));
    const { listenPort } = wanted.settings;
    return await setUpDevice(nl, { interface: this.name, addresses, listenPort }, mtu);
  }

  /**
   * Brings key, port and peers to what is wanted, and touches nothing that is so.
   * @param lost Keys of peers that are not where they were heard last. @throws Fault 102.
   */
  async bring({ settings, anew, lost }: WantedDevice): Promise<void> {
    const state = this.#state;
    const device = this.#device;
    if (device === undefined || state === undefined) return;
    if (anew && state.peers.length > 0) {
      await device.apply({ peers: state.peers.map(({ publicKey }) => ({ publicKey, remove: true })) });
      this.#state = { ...state, peers: [] };
    }
    await this.#apply(settings, lost);
  }

  async #apply(settings: WantedDevice["settings"], lost?: WantedDevice["lost"]): Promise<void> {
    const device = this.#device;
    if (device === undefined || this.#state === undefined) return;
    const change = diff(settings, this.#state, { now: Date.now(), dummy: randomPublicKey, lost });
    if (isEmpty(change)) return;
    await device.apply(change);
    for (const { publicKey } of change.peers) this.#written.add(publicKey);
  }

  [Symbol.dispose](): void {
    this.#device?.[Symbol.dispose]();
  }
}
