import type { HubSubnet } from "../config/hub-pool.ts";
import { type Address, type Family, family } from "../net/address.ts";
import { Ring } from "./ring.ts";

/** Whose virtual IPs they are, be the pod online or not. */
export interface Entry {
  readonly identity: string;
  /** At most one of each family, IPv4 first. */
  readonly addresses: readonly Address[];
  /** From where its tunnel came last: its node, when that masquerades. */
  readonly host?: Address;
  readonly offline?: Offline;
}

export interface Offline {
  /** Milliseconds since 1970; for people only. */
  readonly since: number;
  /** When the addresses become free, on the clock that is used (see {@link Book}); absent: never. */
  readonly until?: number;
}

/** The address of each family that a new pod got last: the next one gets a later one. */
export type LastGiven = Partial<Readonly<Record<Family, Address>>>;

/**
 * Who has which virtual IP. No address is ever in two entries. charon (5.9.8) compares names without regard to capitals,
 * and so does this.
 * Times are of any one clock that only goes forward; `Date.now()` is kept beside for those who read.
 */
export class Book {
  readonly #entries = new Map<string, Entry>();
  readonly #owners = new Map<Address, string>();
  readonly #rings: ReadonlyMap<Family, Ring>;
  #given: LastGiven;

  constructor(subnets: readonly HubSubnet[], given: LastGiven = {}) {
    this.#rings = ringsOf(subnets);
    this.#given = given;
  }

  /**
   * Takes so many addresses of each family for given: they come last of all. For what somebody may have been given of
   * whom nothing is known.
   */
  skip(count: number): void {
    for (const [version, ring] of this.#rings) {
      const step = Math.min(count, Math.floor(ring.size / 4));
      if (step > 0) this.#given = { ...this.#given, [version]: ring.at(this.#next(version) + step - 1) };
    }
  }

  get given(): LastGiven {
    return this.#given;
  }

  get families(): Family[] {
    return [...this.#rings.keys()];
  }

  entries(): Entry[] {
    return [...this.#entries.values()];
  }

  get(identity: string): Entry | undefined {
    return this.#entries.get(keyOf(identity));
  }

  /** Whose the address is. */
  ownerOf(address: Address): Entry | undefined {
    const key = this.#owners.get(address);
    return key === undefined ? undefined : this.#entries.get(key);
  }

  /** Whether pools have the address. */
  serves(address: Address): boolean {
    return this.#rings.get(family(address))?.indexOf(address) !== undefined;
  }

  ring(version: Family): Ring | undefined {
    return this.#rings.get(version);
  }

  /**
   * Takes down what an entry of the file says, as far as the pools still have it and nobody else does.
   * @returns Whether all of it.
   */
  restore(entry: Entry): boolean {
    if (this.get(entry.identity) !== undefined) return false;
    const addresses = entry.addresses.filter((address) => this.serves(address) && !this.#owners.has(address));
    if (addresses.length === 0) return false;
    this.#put({ ...entry, addresses });
    return addresses.length === entry.addresses.length;
  }

  /** A pod that was not known is online with these addresses. */
  learn(identity: string, addresses: readonly Address[]): void {
    for (const address of addresses) this.#advance(address);
    this.#put({ identity, addresses });
  }

  /**
   * Gives an identity an address of each family that it has none of, before it comes.
   * @returns Whether it has all of them: false when a pool is used up.
   */
  reserve(identity: string, since: number): boolean {
    const entry = this.get(identity);
    const addresses = this.#completed(entry?.addresses ?? []);
    if (addresses.length === 0) return false;
    if (addresses.length !== entry?.addresses.length) {
      for (const address of addresses) this.#advance(address);
      this.#put({ ...entry, identity, addresses, offline: entry?.offline ?? { since } });
    }
    return addresses.length === this.#rings.size;
  }

  /** @returns Whether anything changed: since when it is offline never does. */
  setOffline(identity: string, offline: Offline): boolean {
    const entry = this.get(identity);
    if (entry === undefined || entry.offline !== undefined) return false;
    this.#put({ ...entry, offline });
    return true;
  }

  /** @param host From where its tunnel comes. @returns Whether anything changed. */
  setOnline(identity: string, host: Address | undefined): boolean {
    const entry = this.get(identity);
    if (entry === undefined || (entry.offline === undefined && entry.host === host)) return false;
    const { offline: _, ...rest } = entry;
    this.#put(host === undefined ? rest : { ...rest, host });
    return true;
  }

  /** Its addresses are nobody's from now on. @returns The entry as it was. */
  free(identity: string): Entry | undefined {
    const entry = this.get(identity);
    if (entry === undefined) return undefined;
    this.#entries.delete(keyOf(identity));
    for (const address of entry.addresses) this.#owners.delete(address);
    return entry;
  }

  /**
   * Free addresses in the order in which they are to be given out: those after the last one given first, so that one
   * that was given back is used again as late as possible. @param without These are passed over.
   */
  *freeAddresses(version: Family, without: ReadonlySet<Address> = new Set()): Generator<Address> {
    const ring = this.#rings.get(version);
    if (ring === undefined) return;
    const start = this.#next(version);
    for (let step = 0; step < ring.size; step += 1) {
      const address = ring.at(start + step);
      if (!this.#owners.has(address) && !without.has(address)) yield address;
    }
  }

  #completed(addresses: readonly Address[]): Address[] {
    return this.families.flatMap((version) => {
      const own = addresses.filter((address) => family(address) === version);
      if (own.length > 0) return own.slice(0, 1);
      const [free] = this.freeAddresses(version);
      return free === undefined ? [] : [free];
    });
  }

  /** Pods that come together are told in any order: the one furthest on counts. */
  #advance(address: Address): void {
    const version = family(address);
    const ring = this.#rings.get(version);
    const index = ring?.indexOf(address);
    if (ring === undefined || index === undefined) return;
    const start = this.#next(version);
    // What is behind the last one given is far ahead in a circle; nothing new is given further on than half of it.
    if (ring.distance(start, index) <= ring.size / 2) this.#given = { ...this.#given, [version]: address };
  }

  #next(version: Family): number {
    const given = this.#given[version];
    const index = given === undefined ? undefined : this.#rings.get(version)?.indexOf(given);
    return index === undefined ? 0 : index + 1;
  }

  #put(entry: Entry): void {
    const key = keyOf(entry.identity);
    for (const address of this.#entries.get(key)?.addresses ?? []) this.#owners.delete(address);
    this.#entries.set(key, entry);
    for (const address of entry.addresses) this.#owners.set(address, key);
  }
}

function keyOf(identity: string): string {
  return identity.toLowerCase();
}

function ringsOf(subnets: readonly HubSubnet[]): Map<Family, Ring> {
  const rings = new Map<Family, Ring>();
  for (const version of [4, 6] as const) {
    const pools = subnets.filter(({ subnet }) => family(subnet) === version).map(({ pool }) => pool);
    if (pools.length > 0) rings.set(version, new Ring(pools));
  }
  return rings;
}
