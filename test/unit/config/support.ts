import {
  parseStrongswanConfig,
  type StrongswanConfig,
  type StrongswanContext,
} from "../../../src/config/strongswan.ts";
import { Fault } from "../../../src/fault.ts";

export const PSK = "Correct-Horse/Battery+Staple";

/** A call as a kubelet makes it, on a node without any files. */
export const context: StrongswanContext = {
  containerID: "4f0c2a",
  ifname: "eth0",
  node: "node1",
  args: new Map([
    ["K8S_POD_NAME", "web-0"],
    ["K8S_POD_UID", "77d1"],
  ]),
  euid: 0,
  readSecretFile: () => undefined,
};

/** The seed's configuration with other keys in its `vpn`; a key that is undefined is taken out. */
export function withVpn(keys: Record<string, unknown>, top: Record<string, unknown> = {}): Record<string, unknown> {
  const vpn = { serverIP: "10.9.0.254", virtualSubnet: "10.173.0.0/16", hostSubnet: "10.9.0.0/24", PSK, ...keys };
  return {
    name: "podvpn",
    type: "strongswan",
    vpn: Object.fromEntries(Object.entries(vpn).filter(([, value]) => value !== undefined)),
    bridge: "cni0",
    isDefaultGateway: true,
    forceAddress: false,
    ipMasq: true,
    hairpinMode: true,
    ipam: { type: "host-local", subnet: "172.17.1.0/24" },
    ...top,
  };
}

export function parse(raw: Record<string, unknown>, changed: Partial<StrongswanContext> = {}): StrongswanConfig {
  return parseStrongswanConfig(raw, { ...context, ...changed });
}

/** What parsing throws; a failure of the test when it throws nothing, or something else than a Fault. */
export function faultOf(raw: Record<string, unknown>, changed: Partial<StrongswanContext> = {}): Fault {
  try {
    parse(raw, changed);
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
  throw new Error(`${JSON.stringify(raw)} was accepted`);
}

/** Each line that an operator reads of what is wrong. */
export function issuesOf(raw: Record<string, unknown>, changed: Partial<StrongswanContext> = {}): string[] {
  const fault = faultOf(raw, changed);
  return fault.details === undefined ? [`${fault.what}: ${fault.remedy}`] : fault.details.split("\n");
}
