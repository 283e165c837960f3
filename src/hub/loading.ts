import { ensureTable, removeTables } from "../nftables/apply.ts";
import { type Table, tableName } from "../nftables/table.ts";

/**
 * Keeps a charon that has no configuration yet from hearing anybody: it would refuse with NO_PROPOSAL_CHOSEN, and a pod
 * whose reconnection was refused does not ask again (`keyingtries = 0` covers silence only; strongSwan 5.9.8).
 */
const LOADING: Table = {
  family: "inet",
  name: tableName("hub-loading"),
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

/** To be called before charon starts. Idempotent. @throws NetlinkError. */
export function shutPodsOut(): Promise<void> {
  return ensureTable(LOADING);
}

/** To be called when charon has its configuration, and when the hub is taken down. Idempotent. @throws NetlinkError. */
export function letPodsIn(): Promise<void> {
  return removeTables([LOADING]);
}
