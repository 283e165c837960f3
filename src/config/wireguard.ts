import { aggregate } from "../net/aggregate.ts";
import type { InterfaceAddress, Prefix } from "../net/prefix.ts";
import type { Secret } from "../secret.ts";
import { parseFields, unknownKeys, type Values } from "./fields.ts";
import { isObject, kindOf } from "./hub-item.ts";
import type { IdentityValues } from "./identity.ts";
import { type Issue, issuesFault } from "./issues.ts";
import type { SecretFileAccess } from "./psk-file.ts";
import { rootFields } from "./strongswan-fields.ts";
import { wireguardInconsistencies } from "./wireguard-consistency.ts";
import { wireguardFields } from "./wireguard-fields.ts";
import type { WantedPeer } from "./wireguard-peer.ts";
import { type Source, sourceOf } from "./wireguard-source.ts";
import { deviceAddresses, keyPath } from "./wireguard-templates.ts";

export type { WantedPeer } from "./wireguard-peer.ts";

/** The `wireguard` plugin's configuration: parsed, complete and consistent. */
export interface WireguardConfig {
  readonly attach: "node" | "pod";
  /** The tunnels are those of `podvpn agent`: interface and prefixes are what it has, and the rest is without meaning. */
  readonly agent?: true;
  /** Name of the device, on the node or in the pod. */
  readonly interface: string;
  /** Out of `configFile`. */
  readonly privateKey?: Secret;
  /** With nothing left to expand. Absent with `privateKey`, or when the pod's key is to go with it. */
  readonly privateKeyFile?: string;
  /** 0 is any. */
  readonly listenPort: number;
  /** The device's own. Without those that CNI_ARGS would tell (STATUS). */
  readonly addresses: readonly InterfaceAddress[];
  /** Bytes; undefined for what fits. */
  readonly mtu?: number;
  /** 0 is none. */
  readonly fwmark: number;
  /** Undefined for the main table. */
  readonly table?: number;
  readonly peers: readonly WantedPeer[];
  readonly dataplane: "auto" | "kernel" | "userspace";
  readonly removeWithLastPod: boolean;
  readonly logFile?: string;
  readonly logLevel: "error" | "info" | "debug";
  /** Exactly what the peers' allowed IPs hold, in the fewest prefixes; no two overlap. */
  readonly meshPrefixes: readonly Prefix[];
}

/** What the configuration is read with: all that is outside of it. */
export interface WireguardContext extends IdentityValues, SecretFileAccess {}

/** Kept across reboots: peers know the node by its key. */
const KEY_DIRECTORY = "/var/lib/podvpn/wireguard";
const NODE_PORT = 51_820;

/**
 * Reads the plugin's own keys of a network configuration, and the files that they name. The bridge's keys and those that
 * nobody knows are left alone (SPEC 1.1.0, section 1); inside `wireguard`, which is ours, an unknown key is an error.
 * @throws Fault 7 with everything that is wrong, never with a private or preshared key.
 */
export async function parseWireguardConfig(
  raw: Readonly<Record<string, unknown>>,
  context: WireguardContext,
): Promise<WireguardConfig> {
  const root = parseFields(rootFields(), raw, "");
  const section = raw.wireguard;
  if (!isObject(section)) throw issuesFault([noSection(section), ...root.issues]);
  const fields = wireguardFields();
  const wireguard = parseFields(fields, section, "wireguard");
  const { attach, interface: name, mtu, table } = wireguard.values;
  const issues = [...unknownKeys(fields, section, "wireguard"), ...wireguard.issues];
  const isAgents = wireguard.values.agent === true;
  if (isAgents) issues.push(...besidesAgent(section));
  const source = isAgents ? { peers: [] } : await sourceOf(section, wireguard.values, context, issues);
  const privateKeyFile = isAgents ? undefined : keyPath(wireguard.values, context, issues);
  const addresses = isAgents ? [] : deviceAddresses(wireguard.values, context, issues);
  const { ifname } = context;
  const { bridge, ipam } = raw;
  const device = isAgents ? undefined : name; // the agent's may have any name
  const compared = { attach, interface: device, ifname, addresses, mtu, table, peers: source.peers, bridge, ipam };
  const found = [...issues, ...root.issues].map(withoutKeys);
  const [first, ...others] = [...found, ...wireguardInconsistencies(compared)];
  if (first !== undefined) throw issuesFault([first, ...others]);
  if (!root.complete || !wireguard.complete) {
    throw new TypeError("an error in the configuration was found and not told");
  }
  return configOf(root.values, wireguard.values, source, privateKeyFile, addresses);
}

type Root = Values<ReturnType<typeof rootFields>>;
type Wireguard = Values<ReturnType<typeof wireguardFields>>;

function configOf(
  root: Root,
  values: Wireguard,
  source: Source,
  keyFile: string | undefined,
  addresses: readonly InterfaceAddress[],
): WireguardConfig {
  const { attach, agent, interface: name, mtu, table, dataplane, removeWithLastPod } = values;
  const privateKeyFile = keyFile ?? (attach === "node" ? `${KEY_DIRECTORY}/${name}.key` : undefined);
  return {
    attach,
    ...(agent && { agent }),
    interface: name,
    ...(source.privateKey === undefined ? {} : { privateKey: source.privateKey }),
    ...(source.privateKey !== undefined || privateKeyFile === undefined ? {} : { privateKeyFile }),
    listenPort: values.listenPort ?? source.listenPort ?? (attach === "node" ? NODE_PORT : 0),
    addresses: addresses.map(({ address, prefixLength }) => ({ address, prefixLength })),
    ...(mtu === "auto" ? {} : { mtu }),
    fwmark: source.fwmark ?? values.fwmark, // both only when they are the same
    ...(table === undefined ? {} : { table }),
    peers: source.peers,
    dataplane,
    removeWithLastPod,
    ...(root.logFile === undefined ? {} : { logFile: root.logFile }),
    logLevel: root.logLevel,
    meshPrefixes: aggregate(source.peers.flatMap(({ allowedIPs }) => allowedIPs)),
  };
}

/** What stands beside `agent: true`: it would have no effect, and whoever wrote it thinks that it has. */
function besidesAgent(section: Readonly<Record<string, unknown>>): Issue[] {
  const attach: Issue[] =
    section.attach === "pod"
      ? [
          {
            what: 'wireguard.attach is "pod", and wireguard.agent is true',
            remedy: "take attach out: its device is the node's",
          },
        ]
      : [];
  const others = Object.keys(wireguardFields()).filter((key) => key !== "agent" && key !== "attach");
  const given = others.filter((key) => (section[key] ?? undefined) !== undefined);
  const issues = given.map((key) => ({
    what: `wireguard.${key} is given, and wireguard.agent is true`,
    remedy: "take it out: it is the agent's, which has it in its own configuration or finds it out",
  }));
  return [...attach, ...issues];
}

/** Values are shown, and any of them may be a private key that was put there by mistake. */
function withoutKeys({ what, remedy }: Issue): Issue {
  return { what: what.replaceAll(/[A-Za-z\d+/]{40,}=/g, "[secret]"), remedy };
}

/** Of a scalar only its type is shown: it may be a key. */
function noSection(value: unknown): Issue {
  const remedy = "give an object with peers, peersFile or configFile, or with agent";
  if (value === undefined || value === null) return { what: "wireguard is missing", remedy };
  return { what: `wireguard is ${kindOf(value)}`, remedy };
}
