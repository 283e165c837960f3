import type { Secret } from "../secret.ts";
import type { Values } from "./fields.ts";
import type { Issue } from "./issues.ts";
import { readOwnFile, type SecretFileAccess } from "./psk-file.ts";
import type { WgConfig } from "./wg-config.ts";
import type { Located } from "./wg-keys.ts";
import type { wireguardFields } from "./wireguard-fields.ts";
import type { WantedPeer } from "./wireguard-peer.ts";
import { peersOf, peersOfFile } from "./wireguard-peers.ts";

/** What the configuration, or a file that it names, says of peers; and what a wg file says of the device besides. */
export interface Source {
  readonly peers: readonly WantedPeer[];
  readonly privateKey?: Secret;
  readonly listenPort?: number;
  readonly fwmark?: number;
}

type Section = Readonly<Record<string, unknown>>;
type Wireguard = Partial<Values<ReturnType<typeof wireguardFields>>>;

/**
 * Reads `peers`, `peersFile` or `configFile`; what is wrong goes to `issues`.
 * @param section `wireguard` as it was given, to tell what was given from what is a default.
 */
export async function sourceOf(
  section: Section,
  values: Wireguard,
  access: SecretFileAccess,
  issues: Issue[],
): Promise<Source> {
  const given = ["peers", "peersFile", "configFile"].filter((key) => isGiven(section, key));
  const [first, second] = given;
  if (second !== undefined) {
    const what = `wireguard.${first} and wireguard.${second} are both given`;
    issues.push({ what, remedy: "take one of them out: the peers stand in one place" });
    return { peers: [] };
  }
  if (values.configFile !== undefined) return wgSource(section, values, values.configFile, access, issues);
  if (values.peersFile !== undefined) return { peers: await peersOfFile(values.peersFile, access, issues) };
  return { peers: peersOf(values.peers ?? [], "wireguard.peers", access, issues) };
}

async function wgSource(
  section: Section,
  values: Wireguard,
  path: string,
  access: SecretFileAccess,
  issues: Issue[],
): Promise<Source> {
  const bytes = readOwnFile("wireguard.configFile", path, "nobody", access);
  if (!(bytes instanceof Uint8Array)) {
    issues.push(bytes);
    return { peers: [] };
  }
  const { parseWgConfig } = await import("./wg-config.ts");
  const { config, issues: found } = parseWgConfig(Buffer.from(bytes).toString("utf8"), path);
  issues.push(...found, ...contradictions(section, values, config));
  const { peers, privateKey, listenPort, fwmark } = config;
  return {
    peers,
    ...(privateKey === undefined ? {} : { privateKey: privateKey.value }),
    ...(listenPort === undefined ? {} : { listenPort: listenPort.value }),
    ...(fwmark === undefined ? {} : { fwmark: fwmark.value }),
  };
}

/** What stands in both, and is not the same: which of them counts would be a guess. */
function contradictions(section: Section, values: Wireguard, config: WgConfig): Issue[] {
  const issues: Issue[] = [];
  if (config.privateKey !== undefined && isGiven(section, "privateKeyFile")) {
    const what = `${config.privateKey.path} and wireguard.privateKeyFile are both given`;
    issues.push({ what, remedy: "take one of them out" });
  }
  const compare = (key: "listenPort" | "fwmark", inFile: Located<number> | undefined) => {
    const value = values[key];
    if (inFile === undefined || !isGiven(section, key) || value === undefined || value === inFile.value) return;
    const what = `wireguard.${key} is ${value}, and ${inFile.path} is ${inFile.value}`;
    issues.push({ what, remedy: "take one of them out, or make them the same" });
  };
  compare("listenPort", config.listenPort);
  compare("fwmark", config.fwmark);
  return issues;
}

/** JSON null counts as absent, as in Go. */
function isGiven(section: Section, key: string): boolean {
  return (section[key] ?? undefined) !== undefined;
}
