import { NetlinkError } from "../netlink/error.ts";
import type { Change } from "../netlink/netlink.ts";
import { openNetfilter } from "../netlink/open.ts";
import { inNetns, type Netns } from "../os/namespace.ts";
import { createTable, deleteTable, NFNL_SUBSYS_NFTABLES, tableOf, tablesRequest } from "./messages.ts";
import type { Table, TableKey } from "./table.ts";

// By netlink and not by nft(8): 1 ms where that takes 5, besides what starting a process costs us; and there is no
// process that could still change something when we have been killed.

/**
 * Makes a table that is most likely not there yet, or replaces it: in one transaction, without a moment in which there
 * is none. @throws NetlinkError.
 */
export async function ensureTable(table: Table, netns?: Netns): Promise<void> {
  try {
    await transact(createTable(table), `make the nft table ${text(table)}`, netns);
  } catch (error) {
    if (!(error instanceof NetlinkError) || error.errno !== "EEXIST") throw error;
    const replacement = [...deleteTable(table), ...createTable(table)];
    await transact(replacement, `replace the nft table ${text(table)}`, netns);
  }
}

/** Removes tables in one transaction; those that are not there are fine. @throws NetlinkError. */
export async function removeTables(tables: readonly TableKey[], netns?: Netns): Promise<void> {
  if (tables.length === 0) return;
  const names = tables.map(text).join(", ");
  await transact(tables.flatMap(deleteTable), `remove the nft tables ${names}`, netns);
}

/** The inet, ip and ip6 tables of a namespace, as `family name`. @throws NetlinkError. */
export async function listTables(netns?: Netns): Promise<string[]> {
  using nl = open(netns);
  const { type, body } = tablesRequest();
  const answers = await nl.dump(type, body, "list the nft tables");
  return answers.map((answer) => tableOf(answer.body)).filter((table) => table !== undefined);
}

async function transact(changes: readonly Change[], operation: string, netns: Netns | undefined): Promise<void> {
  using nl = open(netns);
  await nl.transaction(NFNL_SUBSYS_NFTABLES, changes, operation);
}

function open(netns: Netns | undefined) {
  return netns === undefined ? openNetfilter() : inNetns(netns, openNetfilter);
}

function text({ family, name }: TableKey): string {
  return `${family} ${name}`;
}
