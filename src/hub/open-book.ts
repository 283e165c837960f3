import type { HubConfig } from "../config/hub.ts";
import { Code, Fault } from "../fault.ts";
import { Secret } from "../secret.ts";
import { Book } from "./book.ts";
import type { Journal } from "./journal.ts";
import { type LeaseFile, readLeaseFile, setLeaseFileAside } from "./lease-file.ts";

/**
 * The book of a hub that starts, out of its file. Times offline begin anew: while the hub was down no pod could come
 * back, however much it wanted to.
 * @param discardDamaged Begins with an empty book when the file is damaged, which is kept beside.
 * @throws Fault 5 or 6.
 */
export function openBook(config: HubConfig, discardDamaged: boolean, log: Journal): Book {
  const file = readOrDiscard(config.leases, discardDamaged, log);
  const book = new Book(config.subnets, file?.given);
  const identities =
    config.psks instanceof Secret ? undefined : new Set(config.psks.map(({ identity }) => identity.toLowerCase()));
  for (const { offline, ...entry } of file?.entries ?? []) {
    const { identity, addresses } = entry;
    const key = identity.toLowerCase();
    if (identities !== undefined && !identities.has(key)) {
      log("info", `free: ${addresses.join(" and ")}, as ${identity} is not configured any more`);
      continue;
    }
    const isKept = identities !== undefined || config.leaseTime === 0;
    const until = isKept ? {} : { until: performance.now() + config.leaseTime * 1000 };
    const since = offline?.since ?? Date.now();
    if (book.restore({ ...entry, offline: { since, ...until } })) continue;
    log("info", `${identity} had ${addresses.join(" and ")}, of which no pool has all any more`);
  }
  return book;
}

function readOrDiscard(path: string, discardDamaged: boolean, log: Journal): LeaseFile | undefined {
  try {
    return readLeaseFile(path);
  } catch (error) {
    if (!discardDamaged || !(error instanceof Fault) || error.code !== Code.decode) throw error;
    const aside = setLeaseFileAside(path, new Date());
    log("error", `${error.what}; it is kept as ${aside}, and the hub begins without: pods may get other virtual IPs`);
    return undefined;
  }
}
