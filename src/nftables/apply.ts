import { Code, Fault } from "../fault.ts";
import { NetlinkError } from "../netlink/error.ts";
import type { Change, Netlink } from "../netlink/netlink.ts";
import type { Netns } from "../os/namespace.ts";
import { createTable, deleteTable } from "./messages.ts";
import { missing } from "./missing.ts";
import { openNftables } from "./open.ts";
import { NFNL_SUBSYS_NFTABLES } from "./protocol.ts";
import { readTable, readTables } from "./read.ts";
import { type Table, type TableKey, tableText } from "./table.ts";

// By netlink and not by nft(8): 1 ms where that takes 5, besides what starting a process costs us; and there is no
// process that could still change something when we have been killed.

/**
 * Makes a table that is most likely not there yet, or replaces it: in one transaction, without a moment in which there
 * is none. @throws NetlinkError.
 */
export async function ensureTable(table: Table, netns?: Netns): Promise<void> {
  using nl = openNftables(netns);
  try {
    await make(nl, table);
  } catch (error) {
    if (!(error instanceof NetlinkError) || error.errno !== "EEXIST") throw error;
    await replace(nl, table);
  }
}

/**
 * Makes a table that is most likely there already, as it shall be: then nothing is written, and its counters go on. One
 * that is different, in whatever way, is replaced as by {@link ensureTable}.
 * @returns Whether something was written. @throws NetlinkError.
 */
export async function ensureTableAs(table: Table, netns?: Netns): Promise<boolean> {
  using nl = openNftables(netns);
  const exists = (await readTable(nl, table)) !== undefined;
  if (exists && (await missing(nl, table)).length === 0) return false;
  await (exists ? replace : make)(nl, table);
  return true;
}

/** Removes tables in one transaction; those that are not there are fine. @throws NetlinkError. */
export async function removeTables(tables: readonly TableKey[], netns?: Netns): Promise<void> {
  if (tables.length === 0) return;
  using nl = openNftables(netns);
  await transact(nl, tables.flatMap(deleteTable), `remove the nft tables ${tables.map(tableText).join(", ")}`);
}

/** The inet, ip and ip6 tables of a namespace, as `family name`. @throws NetlinkError. */
export async function listTables(netns?: Netns): Promise<string[]> {
  using nl = openNftables(netns);
  return (await readTables(nl)).map(tableText);
}

function make(nl: Netlink, table: Table): Promise<void> {
  return transact(nl, createTable(table), `make the nft table ${tableText(table)}`);
}

function replace(nl: Netlink, table: Table): Promise<void> {
  const changes = [...deleteTable(table), ...createTable(table)];
  return transact(nl, changes, `replace the nft table ${tableText(table)}`);
}

async function transact(nl: Netlink, changes: readonly Change[], operation: string): Promise<void> {
  try {
    await nl.transaction(NFNL_SUBSYS_NFTABLES, changes, operation);
  } catch (cause) {
    if (!(cause instanceof NetlinkError) || cause.errno !== "EMSGSIZE") throw cause;
    // A transaction is one message, of 208 KiB by default (net.core.wmem_default): 5,000 prefixes of IPv4, 3,000 of IPv6.
    const what = `cannot ${operation}: its prefixes do not fit into one transaction (EMSGSIZE)`;
    throw new Fault(Code.kernel, what, "give fewer prefixes, each of more addresses", { cause });
  }
}
