import type { IkeSa } from "vici";

/** IKE_SAs that are remembered: charon (5.9.8) tells the two things of one within milliseconds. */
const REMEMBERED = 1024;

/**
 * Finds out which tunnels their pods ended themselves (DEL), rather than the hub, or nobody (DPD). charon's event says
 * only that an IKE_SA is down; why, says a line of its log, which comes before or after it.
 */
export class Endings {
  readonly #down = new Map<number, IkeSa>();
  readonly #deleted = new Map<number, undefined>();

  /** An IKE_SA is down. @returns It, when its pod ended it. */
  down(sa: IkeSa): IkeSa | undefined {
    if (this.#deleted.delete(sa.uniqueid)) return sa;
    remember(this.#down, sa.uniqueid, sa);
    return undefined;
  }

  /** The pod of this IKE_SA sent a DELETE for it. @returns It, when it is down: not one that was rekeyed. */
  deleted(uniqueid: number): IkeSa | undefined {
    const sa = this.#down.get(uniqueid);
    if (sa === undefined) remember(this.#deleted, uniqueid, undefined);
    this.#down.delete(uniqueid);
    return sa;
  }
}

function remember<T>(map: Map<number, T>, key: number, value: T): void {
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > REMEMBERED && oldest !== undefined) map.delete(oldest);
}
