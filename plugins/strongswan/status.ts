import { bridgeConfig, bridgeNode } from "../../src/attachment/bridge.ts";
import { available } from "../../src/cni/available.ts";
import type { Call } from "../../src/cni/dispatch.ts";
import { findPlugin } from "../../src/cni/execute.ts";
import type { StrongswanConfig } from "../../src/config/strongswan.ts";
import { chooseDataPlane, requireKernelOfNode } from "../../src/dataplane/choose.ts";
import { charonExecutable } from "../../src/ipsec/charon.ts";
import { openRoute } from "../../src/netlink/open.ts";
import { listTables } from "../../src/nftables/apply.ts";

/**
 * STATUS: whether an ADD could succeed, as far as this node tells: charon, nf_tables, a data plane, the configuration (read
 * before this is called, its PSK file included) and the bridge. Asks no hub: a node is ready whether or not that is up.
 * @throws Fault 50 (not available), or the bridge's own.
 */
export async function status(call: Call, config: StrongswanConfig): Promise<void> {
  await available(async () => charonExecutable());
  await available(() => listTables());
  await available<unknown>(() => (config.attach === "node" ? requireNodePlane() : chooseDataPlane(config.dataplane)));
  if (call.config.raw.ipam === undefined) return;
  await available(async () => findPlugin("bridge", call.path));
  await bridgeNode("STATUS", call, bridgeConfig(call.config.raw));
}

/** What all pods of a node share: the kernel's ESP, with XFRM interfaces. @throws Fault 101, NetlinkError. */
async function requireNodePlane(): Promise<void> {
  await requireKernelOfNode();
  const { requireXfrmInterfaces } = await import("../../src/node/charon/claim.ts");
  using nl = openRoute();
  await requireXfrmInterfaces(nl);
}
