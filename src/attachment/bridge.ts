import { type DelegateOptions, delegate } from "../cni/delegate.ts";
import type { Call } from "../cni/dispatch.ts";
import type { Result } from "../cni/result.ts";
import { delegateConfig } from "../config/delegate.ts";
import { changed } from "../netlink/error.ts";
import { addLink, getLink } from "../netlink/links.ts";
import type { Netlink } from "../netlink/netlink.ts";
import type { AttachmentKey } from "./record.ts";

/** The delegate's configuration: ours without our own keys (SPEC 1.1.0, section 4). */
export type BridgeConfig = Readonly<Record<string, unknown>>;

/**
 * What the bridge gets of the network configuration: all but our own keys, and without masquerading, which is ours
 * (src/nftables/masquerade.ts): its DEL would also look for rules for the virtual IPs that it finds on the interface.
 */
export function bridgeConfig(raw: Readonly<Record<string, unknown>>): BridgeConfig {
  const { ipMasqBackend: _, ...config } = delegateConfig(raw);
  return { ...config, ipMasq: false };
}

/** The name of the bridge; "cni0" is the bridge plugin's own default. */
export function bridgeName(config: BridgeConfig): string {
  return typeof config.bridge === "string" ? config.bridge : "cni0";
}

/** For whom the bridge is called, and with what environment. */
export interface BridgeCall extends AttachmentKey {
  readonly call: Call;
  readonly config: BridgeConfig;
  /** Path of the namespace; "" when it is gone, which the bridge takes for a container that has ended. */
  readonly netns: string;
  /** CNI_ARGS. */
  readonly args: string | undefined;
  /** Inherited by the bridge: our lock, which it then holds even if we are killed. */
  readonly lockFd?: number;
}

/** The bridge's ADD. @throws PluginFault with the bridge's own code and message. */
export function bridgeAdd(request: BridgeCall): Promise<Result> {
  return delegate({ ...options(request), verb: "ADD" });
}

/** The bridge's DEL; its IPAM releases the address. @throws PluginFault as {@link bridgeAdd}. */
export async function bridgeDel(request: BridgeCall): Promise<void> {
  await delegate({ ...options(request), verb: "DEL" });
}

/** The bridge's CHECK of what it had made. @throws PluginFault as {@link bridgeAdd}. */
export async function bridgeCheck(request: BridgeCall, prevResult: Result): Promise<void> {
  await delegate({ ...options(request), verb: "CHECK", prevResult });
}

/** The bridge's STATUS or GC, where it knows them (1.1.0). @throws PluginFault as {@link bridgeAdd}. */
export async function bridgeNode(verb: "STATUS" | "GC", call: Call, config: BridgeConfig): Promise<void> {
  await delegate({ verb, type: BRIDGE, path: call.path, env: call.env, config, cniVersion: call.config.cniVersion });
}

/**
 * Makes the bridge before the plugin does, with an address of its own: without one the plugin (1.1.1) pins the address
 * of the first port to it, which is all zeros after a first ADD that failed, and then every later ADD fails.
 * A bridge with VLANs is left to the plugin, which sets VLAN filtering only on bridges that it makes.
 */
export async function ensureBridge(nl: Netlink, config: BridgeConfig): Promise<void> {
  const name = bridgeName(config);
  if (config.vlan !== undefined || config.vlanTrunk !== undefined) return;
  if ((await getLink(nl, name)) !== undefined) return;
  const mtu = typeof config.mtu === "number" && config.mtu > 0 ? { mtu: config.mtu } : {};
  // EEXIST: another ADD made it in between.
  await changed(addLink(nl, { kind: "bridge", name, address: localMac(), ...mtu }), "EEXIST");
}

const BRIDGE = "bridge";

function options(request: BridgeCall): Omit<DelegateOptions, "verb"> {
  const { call, config, containerID, ifname, netns, args, lockFd } = request;
  return {
    type: BRIDGE,
    path: call.path,
    env: {
      ...call.env,
      CNI_CONTAINERID: containerID,
      CNI_IFNAME: ifname,
      CNI_NETNS: netns,
      CNI_ARGS: args,
    },
    config,
    cniVersion: call.config.cniVersion,
    ...(lockFd === undefined ? {} : { inheritFds: [lockFd] }),
  };
}

/** A random unicast address, locally administered (IEEE 802: second-lowest bit of the first octet). */
function localMac(): string {
  const octets = crypto.getRandomValues(new Uint8Array(6));
  octets[0] = ((octets[0] ?? 0) & 0xfc) | 0x02;
  return [...octets].map((octet) => octet.toString(16).padStart(2, "0")).join(":");
}
