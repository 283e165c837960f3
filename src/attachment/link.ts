import type { Call } from "../cni/dispatch.ts";
import type { Result } from "../cni/result.ts";
import { Code, Fault } from "../fault.ts";
import { getLink } from "../netlink/links.ts";
import type { Netlink } from "../netlink/netlink.ts";
import { ensureTable, removeTables } from "../nftables/apply.ts";
import { masqueradeTableKeys, masqueradeTables } from "../nftables/masquerade.ts";
import type { Netns } from "../os/namespace.ts";
import { trace } from "../os/trace.ts";
import { podAddresses } from "./addresses.ts";
import { type BridgeCall, type BridgeConfig, bridgeAdd, bridgeDel } from "./bridge.ts";
import type { Attachment, AttachmentKey } from "./record.ts";

/** For which attachment a link is made or removed. */
export interface LinkCall extends AttachmentKey {
  readonly call: Call;
  /** CNI_ARGS. */
  readonly args: string | undefined;
  readonly lockFd?: number;
}

/**
 * A taken name is told before the bridge is called, whose roll-back would remove the link that is there; in a chain the
 * link must be there. @param type Ours, for the message. @throws Fault 4.
 */
export async function requireLink(type: string, ifname: string, chained: boolean, pod: Netlink): Promise<void> {
  const link = await getLink(pod, ifname);
  if (chained === (link !== undefined)) return;
  throw chained
    ? new Fault(
        Code.invalidEnvironment,
        `CNI_IFNAME "${ifname}" is not in the container, though prevResult is given`,
        `put ${type} behind the plugin that makes the interface`,
      )
    : new Fault(Code.invalidEnvironment, `CNI_IFNAME "${ifname}" is taken in the container`, "choose another name");
}

/**
 * The pod's link by the bridge plugin, with its masquerading; in a chain it is there already, with whatever
 * masquerading the chain has. Its undo is on `undo` before it is made. @throws PluginFault, NetlinkError.
 */
export async function makeLink(
  request: LinkCall,
  record: Pick<Attachment, "delegate" | "masquerade" | "netns">,
  prevResult: Result | undefined,
  undo: AsyncDisposableStack,
): Promise<Result> {
  const { ifname, containerID } = request;
  if (record.delegate === undefined) return prevResult ?? { interfaces: [], ips: [], routes: [] };
  const call: BridgeCall = { ...request, config: record.delegate, netns: record.netns };
  // Before the call: also a bridge that failed half-way may have reserved an address.
  undo.defer(() => bridgeDel(call));
  const result = await bridgeAdd(call);
  trace("bridge added");
  if (!record.masquerade) return result;
  const tables = masqueradeTables({ containerID, ifname, addresses: podAddresses(result, ifname) });
  undo.defer(() => removeTables(tables));
  for (const table of tables) await ensureTable(table);
  trace("masquerading set");
  return result;
}

/** The bridge's DEL for what ADD made; its IPAM releases the address. @throws PluginFault. */
export async function removeLink(request: LinkCall, config: BridgeConfig, netns: Netns | undefined): Promise<void> {
  await bridgeDel({ ...request, config, netns: netns?.path ?? "" });
}

/** Takes the masquerading away; none there is fine. @throws NetlinkError. */
export async function removeMasquerade(key: AttachmentKey): Promise<void> {
  await removeTables(masqueradeTableKeys(key));
}

/** What of the masquerading is not there as it was made, in words. @throws NetlinkError. */
export async function missingMasquerade(record: Attachment): Promise<string[]> {
  const { masquerade, linkResult, ifname } = record;
  if (!masquerade || linkResult === undefined) return [];
  const { missingOfTable } = await import("../nftables/missing.ts");
  const missing: string[] = [];
  for (const table of masqueradeTables({ ...record, addresses: podAddresses(linkResult, ifname) })) {
    const broken = await missingOfTable(table);
    if (broken.length > 0) missing.push(`the masquerading of the pod's address (${broken.join(", ")})`);
  }
  return missing;
}
