import { isObject } from "../config/hub-item.ts";
import { Code, Fault } from "../fault.ts";
import { contains, type Prefix, parsePrefix } from "../net/prefix.ts";
import { listDirectory, readText } from "../os/file.ts";

/** Where the runtime has its network configurations. */
export const CNI_DIRECTORY = "/etc/cni/net.d";

/** The pod prefixes of this node as its network configurations have them. */
export interface CniPrefixes {
  /** No two overlap. */
  readonly prefixes: readonly Prefix[];
  /** Files that cannot be read, in words. */
  readonly problems: readonly string[];
}

/** A subnet that addresses of pods are taken from. */
interface PodSubnet {
  readonly prefix: Prefix;
  /** Whether its configuration leaves the tunnels to the agent. */
  readonly forAgent: boolean;
}

/**
 * Reads them. @throws Fault 7 when there is none, Fault 5 when the directory cannot be read.
 */
export function readCniPrefixes(directory = CNI_DIRECTORY): CniPrefixes {
  const files = listDirectory(directory)
    .filter((name) => /\.(?:conf|conflist|json)$/.test(name))
    .sort()
    .map((name) => ({ name, text: readText(`${directory}/${name}`) ?? "" }));
  const found = cniPrefixes(files);
  if (found.prefixes.length > 0) return found;
  const why = found.problems.length === 0 ? "" : ` (${found.problems.join("; ")})`;
  throw new Fault(
    Code.invalidConfig,
    `no configuration in ${directory} has a subnet of pods${why}`,
    "give network or podPrefixes in agent.yaml, or an ipam with a subnet to the network",
  );
}

/**
 * The subnets of all networks with a bridge of this node (`ipam.subnet` and `ipam.ranges` of host-local). Where some
 * leave their tunnels to the agent (`wireguard: {"agent": true}`), theirs alone. Pure.
 */
export function cniPrefixes(files: readonly { readonly name: string; readonly text: string }[]): CniPrefixes {
  const problems: string[] = [];
  const subnets = files.flatMap(({ name, text }) => {
    const plugins = pluginsIn(text);
    if (plugins === undefined) problems.push(`${name} is no network configuration in JSON`);
    return (plugins ?? []).flatMap(podSubnets);
  });
  const forAgent = subnets.filter((subnet) => subnet.forAgent);
  const prefixes = [...new Set((forAgent.length > 0 ? forAgent : subnets).map(({ prefix }) => prefix))];
  const isInside = (prefix: Prefix) => prefixes.some((outer) => outer !== prefix && contains(outer, prefix));
  return { prefixes: prefixes.filter((prefix) => !isInside(prefix)), problems };
}

/** Plugins that pods get an address of this node by. A chained plugin has no ipam, and counts for nothing. */
const TYPES: readonly unknown[] = ["wireguard", "strongswan", "bridge", "ptp"];

type Json = Readonly<Record<string, unknown>>;

function podSubnets(plugin: Json): PodSubnet[] {
  const ipam = plugin.ipam;
  if (!TYPES.includes(plugin.type) || !isObject(ipam)) return [];
  const ranges = listOf(ipam.ranges).flatMap(listOf).filter(isObject);
  const forAgent = isObject(plugin.wireguard) && plugin.wireguard.agent === true;
  return [ipam, ...ranges].flatMap(({ subnet }) => {
    const prefix = typeof subnet === "string" ? parsePrefix(subnet) : undefined;
    return prefix === undefined ? [] : [{ prefix, forAgent }];
  });
}

/** The plugins of a list, or the one of a single configuration; undefined for what is neither. */
function pluginsIn(text: string): Json[] | undefined {
  try {
    const json: unknown = JSON.parse(text);
    if (!isObject(json)) return undefined;
    return "plugins" in json ? listOf(json.plugins).filter(isObject) : [json];
  } catch {
    return undefined;
  }
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
