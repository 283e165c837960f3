import { addressFromBytes } from "../net/address.ts";
import { aggregate } from "../net/aggregate.ts";
import { hostPrefix, type Prefix } from "../net/prefix.ts";
import { PrefixMap } from "../net/prefix-map.ts";

/** Addresses that must not be seen in plain: those of the prefixes, save what stays outside the tunnel on purpose. */
export interface Scope {
  readonly prefixes: readonly Prefix[];
  readonly except: readonly Prefix[];
}

/** Tells for the address in these bytes whether it is in a scope. */
export type ScopeTest = (bytes: Buffer) => boolean;

/** All that is looked for, as the kernel's filter and the title of the report have it: without exceptions. Pure. */
export function wholeOf(scopes: readonly Scope[]): Prefix[] {
  return aggregate(scopes.flatMap(({ prefixes }) => prefixes));
}

/** A test that takes as long for thousands of prefixes as for one, and remembers the addresses that it has seen. */
export function scopeTest(scopes: readonly Scope[]): ScopeTest {
  const maps = [...new Map(scopes.map((scope) => [keyOf(scope), scope])).values()].map(({ prefixes, except }) => ({
    inside: mapOf(prefixes),
    outside: mapOf(except),
  }));
  const known = new Map<string, boolean>();
  return (bytes) => {
    const key = bytes.toString("latin1");
    const before = known.get(key);
    if (before !== undefined) return before;
    const host = hostPrefix(addressFromBytes(bytes));
    const found = maps.some(({ inside, outside }) => inside.holder(host) && outside.holder(host) === undefined);
    if (known.size >= REMEMBERED) known.clear();
    known.set(key, found);
    return found;
  };
}

/** Of the peers of a large mesh, all; against somebody who sends from ever new addresses, a bound. */
const REMEMBERED = 8192;

/** The pods of one network have the same. */
function keyOf({ prefixes, except }: Scope): string {
  return `${[...prefixes].sort().join(" ")} - ${[...except].sort().join(" ")}`;
}

function mapOf(prefixes: readonly Prefix[]): PrefixMap<true> {
  const map = new PrefixMap<true>();
  for (const prefix of prefixes) map.set(prefix, true);
  return map;
}
