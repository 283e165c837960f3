import { Code, Fault } from "../fault.ts";
import type { Netns } from "../os/namespace.ts";
import { run } from "../os/process.ts";
import { createScript, removeScript, replaceScript, type Table } from "./table.ts";

/** Milliseconds: nft waits for the kernel's commit mutex while others change tables. */
const TIMEOUT = 10_000;

/**
 * Makes a table that is most likely not there yet, or replaces it.
 * @param lockFd A lock that nft shares: it outlives us when we are killed, and must not change anything afterwards that
 * whoever takes the lock next has seen. @throws Fault 101 or 102.
 */
export async function ensureTable(table: Table, netns?: Netns, lockFd?: number): Promise<void> {
  const created = await nft(createScript(table), netns, lockFd);
  if (created === undefined) return;
  if (!/File exists/.test(created)) throw refused(table.name, created);
  const replaced = await nft(replaceScript(table), netns, lockFd);
  if (replaced !== undefined) throw refused(table.name, replaced);
}

/**
 * Removes tables in one transaction; those that are not there are fine.
 * @param lockFd As for {@link ensureTable}. @throws Fault 101 or 102.
 */
export async function removeTables(
  tables: readonly Pick<Table, "family" | "name">[],
  netns?: Netns,
  lockFd?: number,
): Promise<void> {
  if (tables.length === 0) return;
  const failure = await nft(tables.map(removeScript).join(""), netns, lockFd);
  if (failure !== undefined) throw refused(tables.map(({ name }) => name).join(", "), failure);
}

/** Names of the tables of a namespace, as `family name`. @throws Fault 101 or 102. */
export async function listTables(netns?: Netns): Promise<string[]> {
  const { code, stdout, stderr } = await runNft(["list", "tables"], "", netns);
  if (code !== 0) throw refused("the list of tables", stderr.toString());
  return stdout
    .toString()
    .split("\n")
    .filter((line) => line.startsWith("table "))
    .map((line) => line.slice("table ".length));
}

/** Runs a script as one transaction; undefined when it was carried out, else what nft said. */
async function nft(script: string, netns: Netns | undefined, lockFd: number | undefined): Promise<string | undefined> {
  const { code, stderr } = await runNft(["-f", "-"], script, netns, lockFd);
  return code === 0 ? undefined : stderr.toString();
}

function runNft(args: readonly string[], input: string, netns: Netns | undefined, lockFd?: number) {
  return run("nft", [...args], {
    input,
    timeout: TIMEOUT,
    ...(netns === undefined ? {} : { netns }),
    ...(lockFd === undefined ? {} : { extraFds: [lockFd] }),
  });
}

function refused(what: string, stderr: string): Fault {
  return new Fault(Code.kernel, `nft refused ${what}`, "see that the kernel has nf_tables (`nft list ruleset`)", {
    details: stderr.trim(),
  });
}
