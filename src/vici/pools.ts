import { requiredInteger, requiredText } from "./fields.ts";
import type { Message } from "./message.ts";

/** A pool of virtual IPs. */
export interface Pool {
  readonly name: string;
  /** First address of the pool. */
  readonly base: string;
  /** Number of addresses; of those, in use, and kept for an identity that is offline. */
  readonly size: number;
  readonly online: number;
  readonly offline: number;
  /** Empty unless leases were asked for. */
  readonly leases: readonly Lease[];
}

export interface Lease {
  readonly address: string;
  readonly identity: string;
  /** `online` or `offline`. */
  readonly status: string;
}

/** The answer to `get-pools`. @throws ViciError `PROTOCOL`. */
export function readPools(message: Message): Pool[] {
  return message.sections().map(([name, pool]) => ({
    name,
    base: requiredText(pool, "base"),
    size: requiredInteger(pool, "size"),
    online: requiredInteger(pool, "online"),
    offline: requiredInteger(pool, "offline"),
    leases: (pool.section("leases")?.sections() ?? []).map(([, lease]) => ({
      address: requiredText(lease, "address"),
      identity: requiredText(lease, "identity"),
      status: requiredText(lease, "status"),
    })),
  }));
}
