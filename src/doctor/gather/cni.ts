import { cniPrefixes } from "../../agent/prefixes.ts";
import { configContext, NO_POD } from "../../attachment/context.ts";
import type { JsonObject } from "../../cni/json.ts";
import { isObject } from "../../cni/json.ts";
import { parseNetworkList } from "../../cni/network-list.ts";
import { parseStrongswanConfig } from "../../config/strongswan.ts";
import { parseWireguardConfig } from "../../config/wireguard.ts";
import { Code, Fault } from "../../fault.ts";
import { overlaps, type Prefix } from "../../net/prefix.ts";
import { listDirectory, readText } from "../../os/file.ts";

/** A network configuration in the runtime's directory. */
export interface CniFile {
  readonly path: string;
  /** The runtime cannot read it. */
  readonly broken?: string;
  /** What podvpn's plugin would refuse of it, with the remedy. */
  readonly faults: readonly { readonly what: string; readonly remedy: string }[];
  /** The plugins that it calls: of its list, and those that these call. */
  readonly types: readonly string[];
  readonly isPodvpns: boolean;
  /** Its tunnels are those of the node's agent. */
  readonly isAgents: boolean;
  readonly usesWireguard: boolean;
  readonly usesIpsec: boolean;
  /** Of its pods. */
  readonly subnets: readonly { readonly prefix: Prefix /** As it stands in the file. */; readonly text: string }[];
  /** Name of the bridge that its pods are on. */
  readonly bridge?: string;
}

/** The runtime's directory of network configurations. */
export interface CniFacts {
  readonly directory: string;
  /** In the order in which the runtime tries them. */
  readonly files: readonly CniFile[];
}

/** Pods of a node with an agent. */
export interface AgentPods {
  /** Prefixes of this node's, as its agent tells all others. */
  readonly own: readonly Prefix[];
  /** Of all nodes, also of those that are not there yet. */
  readonly mesh: readonly Prefix[];
}

/** Whether the pods of a configuration are podvpn's: by its plugins, or by a bridge with addresses of the mesh. Pure. */
export function isOfMesh({ isPodvpns, subnets }: CniFile, agent: AgentPods | undefined): boolean {
  const mesh = agent === undefined ? [] : [...agent.own, ...agent.mesh];
  return isPodvpns || subnets.some(({ prefix }) => mesh.some((one) => overlaps(one, prefix)));
}

/** Reads them, and the files that they name. @throws Fault 5 when the directory cannot be read. */
export async function readCni(directory: string): Promise<CniFacts> {
  const names = listDirectory(directory).filter((name) => /\.(?:conf|conflist|json)$/.test(name));
  const files: CniFile[] = [];
  for (const name of names.sort()) files.push(await readFile(`${directory}/${name}`));
  return { directory, files };
}

const NOTHING = { faults: [], types: [], isPodvpns: false, isAgents: false, usesWireguard: false, usesIpsec: false };

async function readFile(path: string): Promise<CniFile> {
  const text = readText(path) ?? "";
  const read = parsed(text);
  if (read instanceof Fault) return { path, ...NOTHING, broken: read.what, subnets: [] };
  const { plugins } = read;
  const own = plugins.filter(({ type }) => type === "wireguard" || type === "strongswan");
  const called = plugins.flatMap((plugin) => {
    const { ipam } = plugin;
    const types = isObject(ipam) && typeof ipam.type === "string" ? [ipam.type] : [];
    return own.includes(plugin) ? (types.length === 0 ? [] : ["bridge", ...types]) : types;
  });
  const faults: { what: string; remedy: string }[] = [];
  for (const plugin of own) faults.push(...(await faultsOf(plugin)));
  const { prefixes } = cniPrefixes([{ name: path, text }]);
  const bridge = plugins.map(bridgeOf).find((name) => name !== undefined);
  return {
    path,
    faults,
    types: [...new Set([...plugins.map(({ type }) => String(type)), ...called])],
    isPodvpns: own.length > 0,
    isAgents: own.some(({ wireguard }) => isObject(wireguard) && wireguard.agent === true),
    usesWireguard: own.some(({ type }) => type === "wireguard"),
    usesIpsec: own.some(({ type }) => type === "strongswan"),
    subnets: prefixes.map((prefix) => ({ prefix, text: writtenAs(text, prefix) })),
    ...(bridge !== undefined && { bridge }),
  };
}

function parsed(text: string) {
  try {
    const json: unknown = JSON.parse(text);
    if (!isObject(json)) return new Fault(Code.decode, "it holds no JSON object", "");
    return parseNetworkList(json);
  } catch (error) {
    if (error instanceof Fault) return error;
    return new Fault(Code.decode, `it is not JSON (${error instanceof Error ? error.message : error})`, "");
  }
}

async function faultsOf(plugin: JsonObject): Promise<{ what: string; remedy: string }[]> {
  try {
    const context = await configContext(NO_POD);
    if (plugin.type === "wireguard") await parseWireguardConfig(plugin, context);
    else parseStrongswanConfig(plugin, context);
    return [];
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    const { what, remedy, details } = error;
    return [{ what: details === undefined ? what : `${what} ${details.replaceAll(/\s+/g, " ").trim()}`, remedy }];
  }
}

/** What the bridge plugin calls its bridge where it is not told (its default). */
const BRIDGE = "cni0";
const BRIDGING: readonly unknown[] = ["bridge", "wireguard", "strongswan"];

/** Undefined in a chain, where the link is another plugin's, and for plugins that make no bridge. */
function bridgeOf({ type, ipam, bridge }: JsonObject): string | undefined {
  if (ipam === undefined || !BRIDGING.includes(type)) return undefined;
  return typeof bridge === "string" ? bridge : BRIDGE;
}

/** `10.1.1.5/24` for 10.1.1.0/24, if the file has it so. */
function writtenAs(text: string, prefix: Prefix): string {
  return text.includes(`"${prefix}"`) ? prefix : "";
}
