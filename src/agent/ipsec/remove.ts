import { closeForwarding } from "../../forwarding/close.ts";
import { restoreSysctls } from "../../forwarding/sysctl.ts";
import { letIn } from "../../guard/deaf.ts";
import { findCharon, stopCharon } from "../../ipsec/charon.ts";
import { UNUSED_RULE_PRIORITY, UNUSED_TABLE } from "../../ipsec/mesh-settings.ts";
import { deleteLink, getLink } from "../../netlink/links.ts";
import type { Netlink } from "../../netlink/netlink.ts";
import { openXfrm } from "../../netlink/open.ts";
import { ensureNoRoute } from "../../netlink/routes.ts";
import { ensureNoRule } from "../../netlink/rules.ts";
import { removeXfrmOf } from "../../netlink/xfrm-states.ts";
import { removeTables } from "../../nftables/apply.ts";
import { type MeshRecord, readMeshRecord } from "../../node/guards.ts";
import { observeNode, ownRoutes } from "../../node/observe.ts";
import { meshTableKey } from "../../node/plan.ts";
import { giveUpWaiting } from "../../node/remove.ts";
import { removeTree } from "../../os/file.ts";
import { lockDirectory } from "../../os/lock.ts";
import { Attempts } from "../../together.ts";
import { LOADING } from "./charon.ts";
import { DEVICE, IF_ID } from "./device.ts";

/** Milliseconds for another process of this node that holds the directory. */
const LOCK_WAIT = 30_000;
const SIGCONT = 18;

/**
 * Takes away the charon of the mesh with all around it; what is gone is fine. The guard goes after the tunnels, and the
 * record last, so that what failed can be tried again.
 * @throws Fault, NetlinkError, or AggregateError of several; the rest has been removed all the same.
 */
export async function removeMesh(nl: Netlink, directory: string): Promise<void> {
  using _lock = await lockDirectory(directory, { create: true, wait: LOCK_WAIT });
  const record = intactRecord(directory);
  const device = record?.interface ?? DEVICE;
  const attempts = new Attempts();
  const observed = await observeNode(nl);
  await attempts.try(() => endCharon(directory));
  await attempts.try(() => removeKernelPart(nl, record));
  await attempts.try(() => giveUpWaiting(nl, record?.podSubnets ?? []));
  await attempts.try(async () => {
    for (const route of ownRoutes(observed, device)) await ensureNoRoute(nl, route);
    for (const family of [4, 6] as const) {
      // A charon that was killed leaves it. Protocol 0 matches any: charon sets none.
      const rule = {
        family,
        priority: UNUSED_RULE_PRIORITY,
        action: "lookup",
        table: UNUSED_TABLE,
        protocol: 0,
      } as const;
      await ensureNoRule(nl, rule);
    }
  });
  await attempts.try(() => letIn(LOADING));
  await attempts.try(() => removeTables([meshTableKey(DEVICE)]));
  await attempts.try(async () => closeForwarding({ device }));
  await attempts.try(async () => restoreSysctls(record?.sysctls ?? []));
  attempts.finish("several parts of the IPsec between nodes could not be removed");
  removeTree(directory);
}

/** Its DELETEs tell the peers. */
async function endCharon(directory: string): Promise<void> {
  using charon = findCharon(directory);
  charon?.signal(SIGCONT); // one that is stopped would take no notice of SIGTERM
  await stopCharon(directory);
}

async function removeKernelPart(nl: Netlink, record: MeshRecord | undefined): Promise<void> {
  const link = await getLink(nl, DEVICE);
  if (link?.ifId === IF_ID) await deleteLink(nl, link.index);
  if (record?.dataPlane !== "kernel" && link === undefined) return;
  using xfrm = openXfrm();
  await removeXfrmOf(xfrm, (ifId) => ifId === IF_ID);
}

/** A damaged record is none: what it told is found in the kernel by its marks. */
function intactRecord(directory: string): MeshRecord | undefined {
  try {
    return readMeshRecord(directory);
  } catch {
    return undefined;
  }
}
