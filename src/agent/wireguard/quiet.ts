import type { DeviceState } from "../../wireguard/device.ts";
import type { PublicKey } from "../../wireguard/key.ts";

/** For how long nothing has come from the peers of a device: what no device tells, and is found by looking again. */
export class Quiet {
  readonly #ignored: number;
  #seen = new Map<PublicKey, { readonly bytes: number; readonly since: number }>();
  #looked = 0;

  /** @param ignored Bytes that do not count, of what comes between two looks. */
  constructor(ignored = 0) {
    this.#ignored = ignored;
  }

  /** @param now In milliseconds, of a clock that does not jump. */
  note(state: DeviceState | undefined, now: number): void {
    const before = this.#seen;
    this.#looked = now;
    this.#seen = new Map(
      state?.peers.map(({ publicKey, receivedBytes: bytes }) => {
        const known = before.get(publicKey);
        const isQuiet = known !== undefined && bytes >= known.bytes && bytes - known.bytes <= this.#ignored;
        return [publicKey, { bytes, since: isQuiet ? known.since : now }];
      }),
    );
  }

  /** In milliseconds, until the last look: what has come since then nobody knows. 0 for a peer that is looked at for the first time. */
  of(publicKey: PublicKey): number {
    return this.#looked - (this.#seen.get(publicKey)?.since ?? this.#looked);
  }
}
