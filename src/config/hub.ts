import type { Address } from "../net/address.ts";
import { parseFields, unknownKeys } from "./fields.ts";
import { hubFields } from "./hub-fields.ts";
import { isObject, kindOf } from "./hub-item.ts";
import type { HubSubnet } from "./hub-pool.ts";
import { type HubPsks, hubPsks } from "./hub-psks.ts";
import { hubSubnets } from "./hub-subnets.ts";
import { fileFault, type Issue } from "./issues.ts";
import type { SecretFileAccess } from "./psk-file.ts";

/** The hub's configuration: parsed, complete and consistent. */
export interface HubConfig {
  /** Empty for all. */
  readonly listen: readonly Address[];
  readonly identity: string;
  /** No two overlap. */
  readonly subnets: readonly [HubSubnet, ...HubSubnet[]];
  readonly psks: HubPsks;
  readonly proposals: readonly string[];
  readonly espProposals: readonly string[];
  /** Seconds; 0 never asks. */
  readonly dpd: number;
  readonly dataplane: "auto" | "kernel" | "userspace";
  readonly directory: string;
  /** The file with the virtual IPs. */
  readonly leases: string;
  /** Seconds that a pod which is offline keeps its virtual IP; 0 for ever. */
  readonly leaseTime: number;
  readonly logLevel: "error" | "info" | "debug";
}

/**
 * Reads what the text of hub.yaml holds.
 * @param raw As YAML gives it. @param file For messages: where it comes from.
 * @throws Fault 7 with everything that is wrong, never with a PSK.
 */
export function parseHubConfig(raw: unknown, file: string, access: SecretFileAccess): HubConfig {
  if (!isObject(raw)) {
    const remedy = "write keys with values, at least virtualSubnets and pskFile";
    throw fileFault(file, [{ what: `it holds ${kindOf(raw)}`, remedy }]);
  }
  const fields = hubFields();
  const hub = parseFields(fields, raw, "");
  const issues: Issue[] = [...unknownKeys(fields, raw, ""), ...hub.issues];
  const subnets = hubSubnets(hub.values.virtualSubnets ?? [], hub.values.listen ?? [], issues);
  const psks = hubPsks(raw, hub.values, access, issues);
  const [first, ...others] = issues;
  if (first !== undefined) throw fileFault(file, [first, ...others]);
  const [subnet, ...more] = subnets;
  if (!hub.complete || subnet === undefined || psks === undefined) {
    throw new TypeError("an error in the configuration was found and not told");
  }
  const { listen, identity, proposals, espProposals, dpd, dataplane, directory, leaseTime, logLevel } = hub.values;
  return {
    listen,
    identity,
    subnets: [subnet, ...more],
    psks,
    proposals,
    espProposals,
    dpd,
    dataplane,
    directory,
    leases: hub.values.leases ?? defaultLeases(directory),
    leaseTime,
    logLevel,
  };
}

/** The default of `directory`. */
export const HUB_DIRECTORY = "/run/podvpn/hub";

/** Where the hub of a directory keeps its leases unless it is told: each hub of a machine has a file of its own. Pure. */
export function defaultLeases(directory: string): string {
  if (directory === HUB_DIRECTORY) return "/var/lib/podvpn/hub/leases.json";
  return `/var/lib/podvpn/hub/${directory.slice(1).replaceAll("/", "+")}/leases.json`;
}
