import { type Address, parseAddress } from "../net/address.ts";
import type { Endpoint } from "../net/endpoint.ts";
import { contains, type Prefix } from "../net/prefix.ts";
import {
  agentFields,
  agentIpsecFields,
  agentMetricsFields,
  agentProbeFields,
  agentRegistryFields,
  agentUnderlayFields,
  agentWireguardFields,
} from "./agent-fields.ts";
import { type IpsecAuthentication, ipsecAuthentication } from "./agent-ipsec.ts";
import { type PodPrefixKeys, type PodPrefixSource, podPrefixSource } from "./agent-pods.ts";
import { labelsOf, NODE_NAME, NODE_NAME_EXPECTED, repeated, withoutKeys } from "./agent-values.ts";
import { type Fields, type Parsed, parseFields, unknownKeys, type Values } from "./fields.ts";
import { isObject, kindOf, parseItem } from "./hub-item.ts";
import { fileFault, type Issue, pathOf, shown } from "./issues.ts";
import type { SecretFileAccess } from "./psk-file.ts";

/** The agent's configuration: parsed, complete and consistent. */
export interface AgentConfig {
  /** Of the node, in the mesh. */
  readonly name: string;
  readonly registry: { readonly directory: string };
  readonly pods: PodPrefixSource;
  /** The preferred one first. */
  readonly drivers: readonly ["wireguard" | "ipsec", ...("wireguard" | "ipsec")[]];
  readonly topology: "full" | "site";
  readonly site?: string;
  readonly gateway: boolean;
  readonly underlay: {
    /** Absent: the agent finds them. */
    readonly private?: readonly Address[];
    readonly public: readonly (Address | string)[];
  };
  readonly wireguard: {
    readonly interface: string;
    /** UDP. */
    readonly port: number;
    readonly privateKeyFile: string;
    readonly dataplane: "auto" | "kernel" | "userspace";
  };
  readonly ipsec: {
    /** IKE identity. */
    readonly identity: string;
    readonly authentication: IpsecAuthentication;
    readonly dataplane: "auto" | "kernel" | "userspace";
  };
  /** In seconds; 0 for never. */
  readonly keepalive: number;
  /** Of the underlay, in bytes; absent: what the node's link has. */
  readonly mtu?: number;
  readonly labels: Readonly<Record<string, string>>;
  /** In milliseconds, possibly more than a timer can wait (2^31); 0 for never. */
  readonly rotateEvery: number;
  readonly probe: {
    /** In milliseconds. */
    readonly interval: number;
    /** UDP. */
    readonly port: number;
    /** In milliseconds. */
    readonly downAfter: number;
    /** Of the last probes: above 0, up to 1. */
    readonly degradedLoss: number;
  };
  /** TCP; absent: off. */
  readonly metrics?: Endpoint;
  readonly logLevel: "error" | "info" | "debug";
  /** Absent: standard error. */
  readonly logFile?: string;
}

/** What the configuration is read with: all that is outside of it. */
export interface AgentContext extends SecretFileAccess {
  /** What stands for an absent `name`. */
  readonly hostname: string;
}

/** Where the agent's configuration is unless it is told. */
export const AGENT_CONFIG = "/etc/podvpn/agent.yaml";

/**
 * Reads what the text of agent.yaml holds.
 * @param raw As YAML gives it; nothing at all is a configuration of defaults. @param file For messages.
 * @throws Fault 7 with everything that is wrong, never with a key.
 */
export function parseAgentConfig(raw: unknown, file: string, context: AgentContext): AgentConfig {
  const issues: Issue[] = [];
  const config = agentConfig(raw ?? {}, context, issues);
  const [first, ...others] = issues.map(withoutKeys);
  if (first !== undefined) throw fileFault(file, [first, ...others]);
  if (config === undefined) throw new TypeError("an error in the configuration was found and not told");
  return config;
}

function agentConfig(raw: unknown, context: AgentContext, issues: Issue[]): AgentConfig | undefined {
  if (!isObject(raw)) {
    issues.push({ what: `it holds ${kindOf(raw)}`, remedy: "write keys with values, such as network: 10.101.0.0/16" });
    return undefined;
  }
  const fields = agentFields();
  const agent = parseFields(fields, raw, "");
  issues.push(...unknownKeys(fields, raw, ""), ...agent.issues);
  const name = nodeNameOf(raw, agent.values.name, context, issues);
  const registry = section(agentRegistryFields(), raw, "registry", issues);
  const pods = podPrefixSource(agent.values, givenKeys(raw), issues);
  const underlay = section(agentUnderlayFields(), raw, "underlay", issues);
  const wireguard = section(agentWireguardFields(), raw, "wireguard", issues);
  const ipsec = section(agentIpsecFields(), raw, "ipsec", issues);
  const authentication = ipsecAuthentication(objectAt(raw, "ipsec"), ipsec.values, context, issues);
  const labels = labelsOf(raw.labels, "labels", issues);
  const probe = section(agentProbeFields(), raw, "probe", issues);
  const { metrics } = raw;
  const isOff = metrics === "off" || metrics === false;
  const served = isOff ? undefined : section(agentMetricsFields(), raw, "metrics", issues);
  issues.push(
    ...repeated(underlay.values.private, "underlay.private"),
    ...repeated(underlay.values.public, "underlay.public"),
    ...unusedSections(raw, agent.values.drivers),
    ...underlayInMesh(underlay.values, pods),
    ...impatient(probe.values),
  );
  const [driver, ...otherDrivers] = agent.values.drivers ?? [];
  const isComplete = agent.complete && registry.complete && underlay.complete && wireguard.complete && ipsec.complete;
  if (!isComplete || !probe.complete || served?.complete === false) return undefined;
  if (name === undefined || pods === undefined || authentication === undefined || driver === undefined)
    return undefined;
  const { topology, site, gateway, keepalive, mtu, rotateEvery, logLevel, logFile } = agent.values;
  return {
    name,
    registry: registry.values,
    pods,
    drivers: [driver, ...otherDrivers],
    topology,
    ...(site === undefined ? {} : { site }),
    gateway,
    underlay: {
      ...(underlay.values.private === undefined ? {} : { private: underlay.values.private }),
      public: underlay.values.public,
    },
    wireguard: wireguard.values,
    ipsec: { identity: ipsec.values.identity ?? name, authentication, dataplane: ipsec.values.dataplane },
    keepalive,
    ...(mtu === "auto" ? {} : { mtu }),
    labels,
    rotateEvery,
    probe: { ...probe.values, degradedLoss: probe.values.degradedLoss / 100 },
    ...(served === undefined ? {} : { metrics: served.values.listen }),
    logLevel,
    ...(logFile === undefined ? {} : { logFile }),
  };
}

/** An object of its own in the configuration; an absent one is one without keys. */
function section<F extends Fields>(
  fields: F,
  raw: Readonly<Record<string, unknown>>,
  key: string,
  issues: Issue[],
): Parsed<F> {
  const parsed = parseItem(fields, raw[key] ?? {}, key);
  issues.push(...parsed.issues);
  return parsed;
}

function objectAt(raw: Readonly<Record<string, unknown>>, key: string): Readonly<Record<string, unknown>> {
  const value = raw[key];
  return isObject(value) ? value : {};
}

function isGiven(raw: Readonly<Record<string, unknown>>, key: string): boolean {
  return (raw[key] ?? undefined) !== undefined;
}

function givenKeys(raw: Readonly<Record<string, unknown>>): ReadonlySet<keyof PodPrefixKeys> {
  const keys: readonly (keyof PodPrefixKeys)[] = ["network", "ipsPerNode", "podPrefixes"];
  return new Set(keys.filter((key) => isGiven(raw, key)));
}

/** A host's name may have capitals, which names of nodes have not. */
function nodeNameOf(
  raw: Readonly<Record<string, unknown>>,
  given: string | undefined,
  { hostname }: AgentContext,
  issues: Issue[],
): string | undefined {
  if (isGiven(raw, "name")) return given;
  const name = hostname.toLowerCase();
  if (NODE_NAME.test(name)) return name;
  const what = `name is missing, and the host's name ${shown(hostname)} cannot stand for it`;
  issues.push({ what, remedy: `give ${NODE_NAME_EXPECTED}` });
  return undefined;
}

/** What is written for a driver that the node does not have was meant to count. */
function unusedSections(
  raw: Readonly<Record<string, unknown>>,
  drivers: readonly ("wireguard" | "ipsec")[] | undefined,
): Issue[] {
  if (drivers === undefined) return [];
  return (["wireguard", "ipsec"] as const)
    .filter((driver) => isGiven(raw, driver) && !drivers.includes(driver))
    .map((driver) => ({
      what: `${driver} is given, and drivers has ${drivers.join(", ")} alone`,
      remedy: `write drivers: [${[...drivers, driver].join(", ")}], or take ${driver} out`,
    }));
}

/** What carries the tunnels cannot go through them. */
function underlayInMesh(
  underlay: Partial<Values<ReturnType<typeof agentUnderlayFields>>>,
  pods: PodPrefixSource | undefined,
): Issue[] {
  const networks = networksOf(pods);
  return (["private", "public"] as const).flatMap((key) =>
    (underlay[key] ?? []).flatMap((host, index) => {
      const address = parseAddress(host);
      const holder = networks.find(({ prefix }) => address !== undefined && contains(prefix, address));
      if (holder === undefined) return [];
      const what = `${pathOf(pathOf("underlay", key), index)} is "${host}", which is in "${holder.prefix}" of ${holder.key}`;
      return [{ what, remedy: "give pods addresses that nothing else has" }];
    }),
  );
}

function networksOf(pods: PodPrefixSource | undefined): readonly { readonly prefix: Prefix; readonly key: string }[] {
  if (pods?.from === "network") return pods.cuts.map(({ network }) => ({ prefix: network, key: "network" }));
  if (pods?.from === "given") return pods.prefixes.map((prefix) => ({ prefix, key: "podPrefixes" }));
  return [];
}

function impatient({ interval, downAfter }: Partial<Values<ReturnType<typeof agentProbeFields>>>): Issue[] {
  if (interval === undefined || downAfter === undefined || downAfter > interval) return [];
  const what = `probe.downAfter is ${downAfter} ms, and probe.interval ${interval} ms`;
  return [{ what, remedy: "give a longer downAfter: within it, at least one answer must come" }];
}
