import { type PodAddress, podAddresses } from "../../src/attachment/addresses.ts";
import { ensureBridge } from "../../src/attachment/bridge.ts";
import { makeLink } from "../../src/attachment/link.ts";
import { type SharedTunnel, writeAttachment } from "../../src/attachment/record.ts";
import type { Result } from "../../src/cni/result.ts";
import type { StrongswanConfig } from "../../src/config/strongswan.ts";
import { requireKernelOfNode } from "../../src/dataplane/choose.ts";
import { Code, Fault } from "../../src/fault.ts";
import type { PodTunnel } from "../../src/ipsec/pod-tunnel.ts";
import { type LinkAddress, listAddresses } from "../../src/netlink/addresses.ts";
import { claimInterface } from "../../src/node/charon/claim.ts";
import { connectShared } from "../../src/node/charon/connect.ts";
import { keepPsk, type SharedAttachment } from "../../src/node/charon/directory.ts";
import { ensureNodeCharon } from "../../src/node/charon/ensure.ts";
import { releaseNodeCharon, removeSharedTunnel } from "../../src/node/charon/release.ts";
import { trace } from "../../src/os/trace.ts";
import { together } from "../../src/together.ts";
import { complete } from "./complete.ts";
import { tunnelMtu } from "./mtu.ts";
import { excludeLink, firstRecord, setGuard } from "./prepare.ts";
import { keyOf, linkCall, type Work } from "./work.ts";
import { freeDeviceName, moveDevice, removeDevice, setUpDevice } from "./xfrm-device.ts";

/**
 * `attach: node`: the node's charon holds the pod's tunnel, the pod gets an XFRM interface. That is made on the node,
 * where its policies and security associations stay, out of the pod's reach, and moved into the pod, which never sees a
 * packet but in plain by it. The pod's guard comes before it gets any link.
 */
export async function attach(work: Work): Promise<Result> {
  const { call, directory, netns, node, pod, undo } = work;
  const claimed = await claim(work);
  trace("data plane chosen, XFRM interface made, record written");
  const bridge = claimed.delegate === undefined ? Promise.resolve() : ensureBridge(node, claimed.delegate);
  await together(setGuard(work, claimed), bridge);
  trace("guard set, bridge there");

  // Side by side: the tunnel begins at the node, and needs nothing of the pod's link.
  undo.tunnel.defer(() => removeDevice(pod, claimed));
  const [link, tunnel] = await together(
    makeLink(linkCall(work, claimed), claimed, call.config.prevResult, undo.link),
    connect(work, claimed),
    moveDevice(node, netns, claimed.shared),
  );
  trace("link, tunnel and device ready");
  const addresses: PodAddress[] = podAddresses(link, call.ifname);
  const { virtualIPs } = tunnel;
  const record = { ...(await excludeLink(work, claimed, addresses)), virtualIPs };
  writeAttachment(directory, record);
  await setUpDevice(pod, { ...claimed, virtualIPs });
  trace("device up");
  return await complete(work, { record, link, addresses, virtualIPs, mtu: claimed.shared.mtu });
}

/** What the kernel knows the tunnel by: on disk before it is made. */
async function claim(work: Work): Promise<SharedAttachment> {
  const { call, config, directory, node, pod, undo } = work;
  const addresses = listAddresses(node);
  const [nodes, first, device, mtu] = await together(
    addresses,
    firstRecord(work, "kernel", addresses),
    freeDeviceName(pod),
    tunnelMtu(config, "kernel", node),
    requireKernelOfNode(),
  );
  requireHubElsewhere(config, nodes);
  const recordOf = (ifId: number): SharedAttachment => ({
    ...first,
    shared: { ...tunnelOf(config), ifId, device, mtu },
  });
  undo.released.defer(async () => void (await releaseNodeCharon()));
  let noted: number | undefined;
  undo.tunnel.defer(() => removeSharedTunnel(keyOf(call), noted));
  const ifId = await claimInterface(node, { ...keyOf(call), identity: config.identity }, (chosen) => {
    noted = chosen;
    writeAttachment(directory, recordOf(chosen));
  });
  return recordOf(ifId);
}

function tunnelOf(config: StrongswanConfig): Omit<SharedTunnel, "ifId" | "device" | "mtu"> {
  const { servers, serverID, proposals, espProposals, dpd } = config;
  return { servers, proposals, espProposals, dpdDelay: dpd, ...(serverID === undefined ? {} : { serverID }) };
}

/**
 * The kernel knows a security association by its destination and SPI: of a tunnel within one namespace the pod's and the
 * hub's are the same one, and the second to be installed is refused. @throws Fault 7.
 */
function requireHubElsewhere({ servers }: StrongswanConfig, addresses: readonly LinkAddress[]): void {
  const own = servers.find((server) => addresses.some(({ address }) => address === server));
  if (own === undefined) return;
  throw new Fault(
    Code.invalidConfig,
    `vpn.attach is "node", and vpn.serverIP is "${own}", an address of this node`,
    "set vpn.attach to pod on the hub's own node, or run the hub in a network namespace of its own",
  );
}

async function connect(work: Work, record: SharedAttachment): Promise<PodTunnel> {
  const { config, directory } = work;
  keepPsk(directory, config.psk);
  await using charon = await ensureNodeCharon({ logLevel: config.logLevel === "debug" ? 2 : 1 });
  trace("the node's charon answers");
  const { psk, timeout } = config;
  const tunnel = await connectShared(charon.vici, record, { psk, timeout, again: false });
  trace("tunnel up");
  return tunnel;
}
