import type { Secret } from "../../secret.ts";
import type { DeviceState } from "../../wireguard/device.ts";
import { type PublicKey, sameSecret } from "../../wireguard/key.ts";
import type { KeyChange } from "../driver.ts";
import { Quiet } from "./quiet.ts";
import type { SlotPlan } from "./slot-plan.ts";
import type { Known } from "./wish-change.ts";

/** Milliseconds for which nothing must have come by the first device: then the peer sends nothing there any more. */
const QUIET_FIRST = 2000;
/** Bytes of a keepalive: it says that there is a session, and not that packets go by it. A packet has twice as many. */
const KEEPALIVE = 32;
/** Milliseconds for which what others have in their firewalls is not looked at again. */
const FORWARDING = 25_000;

/**
 * What a driver knows from one apply to the next. None of it is needed to go on after a restart: it is found out again,
 * or waited for a little longer.
 */
export class Memory {
  readonly #first = new Quiet(KEEPALIVE);
  readonly #second = new Quiet();
  readonly #clock: () => number;
  #plan: SlotPlan | undefined;
  #devices: ReadonlyMap<string, number> = new Map();
  #own: { readonly privateKey: Secret; readonly publicKey: PublicKey } | undefined;
  #forwarding: { readonly key: string; readonly at: number; readonly obstacles: readonly string[] } | undefined;

  #known: Known | undefined;

  /** @param clock Gives milliseconds, and never jumps. */
  constructor(clock = () => performance.now()) {
    this.#clock = clock;
  }

  /** What is there, as far as nobody else changes it; undefined when it has to be read. */
  get known(): Known | undefined {
    return this.#known;
  }

  know(known: Known | undefined): void {
    this.#known = known;
  }

  /** What was read of both devices. */
  note(first: DeviceState | undefined, second: DeviceState | undefined): void {
    const now = this.#clock();
    this.#first.note(first, now);
    this.#second.note(second, now);
  }

  /** Milliseconds for which nothing has come from a peer by the second device. */
  readonly quiet = (publicKey: PublicKey): number => this.#second.of(publicKey);

  /** The step that is being made. */
  plan(plan: SlotPlan): void {
    this.#plan = plan;
  }

  /** Whether nothing is left to be done. */
  get settled(): boolean {
    return this.#plan?.settled === true;
  }

  keyChange(): KeyChange | undefined {
    if (this.#plan === undefined) return undefined;
    const peers = this.#plan.progress.map(({ name, publicKey, hasTunnel, hasMoved }) => {
      return { name, hasTunnel, hasMoved: hasMoved && this.#first.of(publicKey) >= QUIET_FIRST };
    });
    return { atRest: this.settled, peers };
  }

  /** The driver's devices that there are: indices of their links, by name. */
  devices(devices: ReadonlyMap<string, number>): void {
    this.#devices = devices;
  }

  get links(): ReadonlyMap<string, number> {
    return this.#devices;
  }

  /** The public key of a private one: it takes a millisecond, and hardly ever changes. */
  async publicKey(privateKey: Secret, publicKeyOf: (key: Secret) => Promise<PublicKey>): Promise<PublicKey> {
    if (this.#own === undefined || !sameSecret(this.#own.privateKey, privateKey)) {
      this.#own = { privateKey, publicKey: await publicKeyOf(privateKey) };
    }
    return this.#own.publicKey;
  }

  /** What is in the way of forwarding: looked at again when something else is asked for, and now and then. */
  async forwarding(key: string, look: () => Promise<readonly string[]>): Promise<readonly string[]> {
    const known = this.#forwarding;
    const now = this.#clock();
    if (known !== undefined && known.key === key && now - known.at < FORWARDING) return known.obstacles;
    const obstacles = await look();
    this.#forwarding = { key, at: now, obstacles };
    return obstacles;
  }
}
