import type { Address } from "../net/address.ts";
import type { Prefix } from "../net/prefix.ts";
import { Secret } from "../secret.ts";
import { inconsistencies } from "./consistency.ts";
import { parseFields, unknownKeys, type Values } from "./fields.ts";
import { type IdentityValues, identityOf } from "./identity.ts";
import { type Issue, issuesFault, shown } from "./issues.ts";
import { readPskFile, type SecretFileAccess } from "./psk-file.ts";
import { rootFields, vpnFields } from "./strongswan-fields.ts";

export { delegateConfig } from "./delegate.ts";

/** The `strongswan` plugin's configuration: parsed, complete and consistent. */
export interface StrongswanConfig {
  /** Hubs, in the order in which they are tried. */
  readonly servers: readonly [Address, ...Address[]];
  /** What is tunnelled; no two overlap. */
  readonly virtualSubnets: readonly [Prefix, ...Prefix[]];
  /** What stays outside the tunnel. */
  readonly hostSubnets: readonly Prefix[];
  readonly psk: Secret;
  /** The identity that the hub must prove; undefined accepts any that proves the PSK. */
  readonly serverID?: string;
  /** The pod's own, with nothing left to expand. */
  readonly identity: string;
  readonly proposals: readonly [string, ...string[]];
  readonly espProposals: readonly [string, ...string[]];
  /** Milliseconds for all hubs together. */
  readonly timeout: number;
  /** Seconds; 0 never asks. */
  readonly dpd: number;
  /** Bytes; undefined for what fits. */
  readonly mtu?: number;
  readonly dataplane: "auto" | "kernel" | "userspace";
  /** Whose charon it is: the pod's own, or the node's. */
  readonly attach: "pod" | "node";
  readonly logFile?: string;
  readonly logLevel: "error" | "info" | "debug";
}

/** What the configuration is read with: all that is outside of it. */
export interface StrongswanContext extends IdentityValues, SecretFileAccess {}

/**
 * Reads the plugin's own keys of a network configuration. The bridge's keys and those that nobody knows are left alone
 * (SPEC 1.1.0, section 1); inside `vpn`, which is ours, an unknown key is an error.
 * @throws Fault 7 with everything that is wrong, never with the PSK.
 */
export function parseStrongswanConfig(
  raw: Readonly<Record<string, unknown>>,
  context: StrongswanContext,
): StrongswanConfig {
  const root = parseFields(rootFields(), raw, "");
  if (!isObject(raw.vpn)) throw issuesFault([noVpn(raw.vpn), ...root.issues]);
  const fields = vpnFields();
  const vpn = parseFields(fields, raw.vpn, "vpn");
  const psk = chosenPsk(raw.vpn, vpn.values, context);
  const template = vpn.values.identity;
  const expanded = template === undefined ? undefined : identityOf(template, context);
  const [first, ...others] = [
    ...unknownKeys(fields, raw.vpn, "vpn"),
    ...vpn.issues,
    ...(psk === undefined || psk instanceof Secret ? [] : [psk]),
    ...(expanded?.issues ?? []),
    ...inconsistencies({ ...vpn.values, ipam: raw.ipam }),
    ...root.issues,
  ];
  if (first !== undefined) throw issuesFault([first, ...others]);
  if (!root.complete || !vpn.complete || !(psk instanceof Secret) || expanded === undefined) {
    throw new TypeError("an error in the configuration was found and not told");
  }
  return configOf(root.values, vpn.values, psk, expanded.identity);
}

type Root = Values<ReturnType<typeof rootFields>>;
type Vpn = Values<ReturnType<typeof vpnFields>>;

function configOf(root: Root, vpn: Vpn, psk: Secret, identity: string): StrongswanConfig {
  const { proposals, espProposals, timeout, dpd, dataplane, attach } = vpn;
  return {
    servers: vpn.serverIP,
    virtualSubnets: vpn.virtualSubnet,
    hostSubnets: vpn.hostSubnet,
    psk,
    ...(vpn.serverID === undefined ? {} : { serverID: vpn.serverID }),
    identity,
    proposals,
    espProposals,
    timeout,
    dpd,
    ...(vpn.mtu === undefined ? {} : { mtu: vpn.mtu }),
    dataplane,
    attach,
    ...(root.logFile === undefined ? {} : { logFile: root.logFile }),
    logLevel: root.logLevel,
  };
}

type JsonObject = Readonly<Record<string, unknown>>;

/** Of a scalar only its type is shown: it may be the PSK. */
function noVpn(value: unknown): Issue {
  const remedy = "give an object with serverIP, virtualSubnet, and PSK or pskFile";
  if (value === undefined || value === null) return { what: "vpn is missing", remedy };
  return { what: `vpn is ${Array.isArray(value) ? shown(value) : `a ${typeof value}`}`, remedy };
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Undefined when the one that is given has an issue already. */
function chosenPsk(raw: JsonObject, vpn: Partial<Vpn>, context: StrongswanContext): Secret | Issue | undefined {
  const inline = (raw.PSK ?? undefined) !== undefined;
  const file = (raw.pskFile ?? undefined) !== undefined;
  if (inline && file) return { what: "vpn.PSK and vpn.pskFile are both given", remedy: "take one of them out" };
  if (inline) return vpn.PSK;
  if (file) return vpn.pskFile === undefined ? undefined : readPskFile("vpn.pskFile", vpn.pskFile, context);
  const remedy = "give the pre-shared key, or in vpn.pskFile the absolute path of a file with it";
  return { what: "vpn.PSK is missing", remedy };
}
