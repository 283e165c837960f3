import * as z from "zod/mini";
import { legalIdentity } from "../config/identity.ts";
import { parsedBy } from "../config/schemas.ts";
import { Code, Fault } from "../fault.ts";
import { type Address, type Family, family, parseAddress } from "../net/address.ts";
import { moveAside, readText, writeDurable } from "../os/file.ts";
import type { Book, Entry, LastGiven } from "./book.ts";

/** What the file of a hub's leases says. */
export interface LeaseFile {
  readonly given: LastGiven;
  readonly entries: readonly Entry[];
}

/** @returns Undefined when there is no such file. @throws Fault 6 when it is damaged, Fault 5 when it cannot be read. */
export function readLeaseFile(path: string): LeaseFile | undefined {
  const text = readText(path);
  if (text === undefined) return undefined;
  const parsed = parseLeases(text);
  if (!("damage" in parsed)) return parsed;
  throw new Fault(
    Code.decode,
    `${path}, which says who has which virtual IP, is damaged: ${parsed.damage}`,
    "mend it, or put a copy in its place, or start once with --discard-damaged-leases: that keeps the file aside, and pods may get other virtual IPs",
  );
}

/**
 * Moves a damaged file out of the way.
 * @param now For its name: the time. @returns Its new path.
 */
export function setLeaseFileAside(path: string, now: Date): string {
  const aside = `${path}.damaged-${now.toISOString().replaceAll(/[:.]/g, "-")}`;
  moveAside(path, aside);
  return aside;
}

/** On the disk when this returns, also if the machine's power fails. @throws Fault 5. */
export function writeLeaseFile(path: string, book: Pick<Book, "given" | "entries">, wallClock: WallClock): void {
  writeDurable(path, leaseText(book.entries(), book.given, wallClock));
}

/** Makes a time of the book's clock one since 1970. */
export type WallClock = (time: number) => number;

/** The text of a file. Pure. */
export function leaseText(entries: readonly Entry[], given: LastGiven, wallClock: WallClock): string {
  const leases = entries.map(({ identity, addresses, host, offline }) => ({
    identity,
    addresses,
    ...(host === undefined ? {} : { host }),
    ...(offline === undefined ? {} : { offlineSince: new Date(offline.since).toISOString() }),
    ...(offline?.until === undefined ? {} : { keptUntil: new Date(wallClock(offline.until)).toISOString() }),
  }));
  // One line for each lease: a file that is read by people, and by diff(1).
  const lines = leases.map((lease) => `    ${JSON.stringify(lease)}`).join(",\n");
  return `{\n  "version": 1,\n  "given": ${JSON.stringify(given)},\n  "leases": [\n${lines}\n  ]\n}\n`;
}

/** Reads a text, or says what is wrong with it. `until` of what it returns is in milliseconds since 1970. Pure. */
export function parseLeases(text: string): LeaseFile | { readonly damage: string } {
  const json = parseJson(text);
  if (json === undefined) return { damage: text.trim() === "" ? "it is empty" : "it is not JSON" };
  const result = z.safeParse(schema(), json);
  if (!result.success) {
    const [issue] = result.error.issues;
    const at = issue?.path.map(String).join(".") ?? "";
    return { damage: `${at === "" ? "it" : at} is not what it should be` };
  }
  const { given, leases } = result.data;
  const repeated = repetition(leases);
  if (repeated !== undefined) return { damage: repeated };
  return {
    given: { ...(given[4] && { 4: given[4] }), ...(given[6] && { 6: given[6] }) },
    entries: leases.map(({ identity, addresses, host, offlineSince, keptUntil }) => ({
      identity,
      addresses,
      ...(host === undefined ? {} : { host }),
      ...(offlineSince === undefined
        ? {}
        : { offline: { since: offlineSince, ...(keptUntil === undefined ? {} : { until: keptUntil }) } }),
    })),
  };
}

function schema() {
  const time = () =>
    parsedBy((text) => {
      const milliseconds = Date.parse(text);
      return Number.isNaN(milliseconds) ? undefined : milliseconds;
    });
  const address = (version?: Family) =>
    parsedBy((text) => {
      const parsed = parseAddress(text);
      return parsed === undefined || (version !== undefined && family(parsed) !== version) ? undefined : parsed;
    });
  return z.strictObject({
    version: z.literal(1),
    given: z.strictObject({ 4: z.optional(address(4)), 6: z.optional(address(6)) }),
    leases: z.array(
      z.strictObject({
        identity: parsedBy((text) => (legalIdentity(text) ? text : undefined)),
        addresses: z.array(address()).check(z.minLength(1), z.maxLength(2)),
        host: z.optional(address()),
        offlineSince: z.optional(time()),
        keptUntil: z.optional(time()),
      }),
    ),
  });
}

/** No address may be two pods', and no pod may stand there twice. */
function repetition(leases: readonly { readonly identity: string; readonly addresses: readonly Address[] }[]) {
  const seen = new Set<string>();
  for (const [index, { identity, addresses }] of leases.entries()) {
    const families = addresses.map(family);
    if (new Set(families).size < families.length) return `leases.${index} has two addresses of one family`;
    for (const key of [identity.toLowerCase(), ...addresses]) {
      if (seen.has(key)) return `leases.${index} has ${JSON.stringify(key)}, which another has as well`;
      seen.add(key);
    }
  }
  return undefined;
}

function parseJson(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return value;
  } catch {
    return undefined;
  }
}
