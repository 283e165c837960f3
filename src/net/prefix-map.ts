import { type Family, family } from "./address.ts";
import { networkAddress, type Prefix, prefixLength, prefixOf } from "./prefix.ts";

/** Values by prefix, found by what the prefix holds: as fast with thousands of them as with one. */
export class PrefixMap<V extends NonNullable<unknown>> {
  readonly #values = new Map<Prefix, V>();
  /** The lengths that occur, longest first. */
  readonly #lengths: Record<Family, number[]> = { 4: [], 6: [] };

  /** A second value for the same prefix replaces the first. */
  set(prefix: Prefix, value: V): void {
    this.#values.set(prefix, value);
    const lengths = this.#lengths[family(prefix)];
    const length = prefixLength(prefix);
    if (lengths.includes(length)) return;
    lengths.push(length);
    lengths.sort((one, other) => other - one);
  }

  get(prefix: Prefix): V | undefined {
    return this.#values.get(prefix);
  }

  /** The longest prefix that holds all of `inner` (which may be `inner` itself), with its value; or undefined. */
  holder(inner: Prefix): Held<V> | undefined {
    for (const length of this.#lengths[family(inner)]) {
      const held = this.#held(inner, length);
      if (held !== undefined) return held;
    }
    return undefined;
  }

  /** All prefixes that hold all of `inner`, with their values; the longest first. */
  holders(inner: Prefix): Held<V>[] {
    return this.#lengths[family(inner)].flatMap((length) => this.#held(inner, length) ?? []);
  }

  #held(inner: Prefix, length: number): Held<V> | undefined {
    if (length > prefixLength(inner)) return undefined;
    const prefix = prefixOf(networkAddress(inner), length);
    const value = this.#values.get(prefix);
    return value === undefined ? undefined : { prefix, value };
  }
}

/** A prefix of a {@link PrefixMap} that holds what was asked for. */
export interface Held<V> {
  readonly prefix: Prefix;
  readonly value: V;
}
