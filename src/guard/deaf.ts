import { ensureTable, removeTables } from "../nftables/apply.ts";
import { type Table, tableName } from "../nftables/table.ts";

/**
 * Keeps a charon that has no configuration yet from hearing anybody: it would refuse with NO_PROPOSAL_CHOSEN, and who was
 * refused when it came back does not ask again (`keyingtries = 0` covers silence only; strongSwan 5.9.8). To be called
 * before charon starts. Idempotent. @param name Of the table. @throws NetlinkError.
 */
export function shutOut(name: string): Promise<void> {
  return ensureTable(table(name));
}

/** To be called when charon has its configuration, and when it is taken down. Idempotent. @throws NetlinkError. */
export function letIn(name: string): Promise<void> {
  return removeTables([table(name)]);
}

function table(name: string): Table {
  return {
    family: "inet",
    name: tableName(name),
    chains: [
      {
        name: "ike",
        type: "filter",
        hook: "input",
        priority: 0,
        rules: [500, 4500].map((udpPort) => ({ matches: [{ udpPort }], action: "drop" })),
      },
    ],
  };
}
