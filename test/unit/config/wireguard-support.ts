import type { SecretFile } from "../../../src/config/psk-file.ts";
import { parseWireguardConfig, type WireguardConfig, type WireguardContext } from "../../../src/config/wireguard.ts";
import { Fault } from "../../../src/fault.ts";

/** Keys of nobody's: thirty-two times the same byte, as base64. */
export const KEYS = Array.from({ length: 8 }, (_, index) => Buffer.alloc(32, index + 1).toString("base64"));

/** The public keys of two peers. */
export const [ALICE = "", BOB = ""] = KEYS;
/** A private and a preshared key, which must never be shown. */
export const PRIVATE = Buffer.from("private-key-never-to-be-seen-QzX").toString("base64");
export const SHARED = Buffer.from("preshared-key-not-to-be-seen-9Kx").toString("base64");

/** A peer as a configuration has it, with other keys; one that is undefined is taken out. */
export function peer(keys: Record<string, unknown> = {}): Record<string, unknown> {
  return withoutUndefined({ publicKey: ALICE, endpoint: "192.0.2.2:51820", allowedIPs: ["10.1.2.0/24"], ...keys });
}

/** A network configuration with these keys in its `wireguard`; a key that is undefined is taken out. */
export function withWireguard(
  keys: Record<string, unknown>,
  top: Record<string, unknown> = {},
): Record<string, unknown> {
  return {
    name: "mesh",
    type: "wireguard",
    wireguard: withoutUndefined({ peers: [peer()], ...keys }),
    bridge: "cni0",
    isDefaultGateway: true,
    ipam: { type: "host-local", subnet: "10.1.1.0/24" },
    ...top,
  };
}

/** Files of root's, by their paths. */
export function files(texts: Readonly<Record<string, string | Partial<SecretFile>>>) {
  return (path: string): SecretFile | undefined => {
    const file = texts[path];
    if (file === undefined) return undefined;
    const text = typeof file === "string" ? { bytes: Buffer.from(file) } : file;
    return { uid: 0, mode: 0o100600, bytes: new Uint8Array(), ...text };
  };
}

/** A call as a kubelet makes it, on a node without any files. */
export const context: WireguardContext = {
  containerID: "4f0c2a",
  ifname: "eth0",
  node: "node1",
  args: new Map([
    ["K8S_POD_NAME", "web-0"],
    ["IP", "10.8.0.7"],
    ["EVIL", "../../etc/shadow"],
    ["DEEP", "a/b"],
  ]),
  euid: 0,
  readSecretFile: () => undefined,
};

export function parse(raw: Record<string, unknown>, changed: Partial<WireguardContext> = {}): Promise<WireguardConfig> {
  return parseWireguardConfig(raw, { ...context, ...changed });
}

/** What parsing throws; a failure of the test when it throws nothing, or something else than a Fault. */
export async function faultOf(raw: Record<string, unknown>, changed: Partial<WireguardContext> = {}): Promise<Fault> {
  try {
    await parse(raw, changed);
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
  throw new Error(`${JSON.stringify(raw)} was accepted`);
}

/** Each line that an operator reads of what is wrong. */
export async function issuesOf(
  raw: Record<string, unknown>,
  changed: Partial<WireguardContext> = {},
): Promise<string[]> {
  const fault = await faultOf(raw, changed);
  return fault.details === undefined ? [`${fault.what}: ${fault.remedy}`] : fault.details.split("\n");
}

function withoutUndefined(keys: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(keys).filter(([, value]) => value !== undefined));
}
