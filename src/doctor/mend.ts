import { mendBare } from "../agent/ipsec/policies.ts";
import { Code, Fault } from "../fault.ts";
import { findCharon } from "../ipsec/charon.ts";
import { setLink } from "../netlink/links.ts";
import { openRoute } from "../netlink/open.ts";
import { ensureRule } from "../netlink/rules.ts";
import { ensureTableAs } from "../nftables/apply.ts";
import { applyRouteDifference, routeDifference } from "../node/differences.ts";
import { MESH_DIRECTORY, type MeshRecord, readMeshRecord, tableOfGuard } from "../node/guards.ts";
import { linkOf, observeNode, ownRules, sameRule } from "../node/observe.ts";
import { meshRefusals, meshRoutes, meshRules } from "../node/plan.ts";
import { DEVICE_LOCK_WAIT, deviceDirectory, readDeviceRecord } from "../node/record.ts";
import { lockDirectory } from "../os/lock.ts";
import { readDevice } from "../status/devices.ts";

/**
 * Writes anew what podvpn itself has around a device of the node, as far as it is not there: the guard first, the link,
 * rules, and a route for each prefix of its peers. What others have made stays.
 * @returns What was written, in words. @throws Fault 7 for a device that podvpn does not have, NetlinkError.
 */
export async function mendDevice(name: string): Promise<string[]> {
  using _lock = await lockDirectory(deviceDirectory(name), { create: false, wait: DEVICE_LOCK_WAIT });
  const wireguard = readDeviceRecord(name);
  const record = wireguard ?? ofMesh(name);
  if (record === undefined) {
    throw new Fault(Code.invalidConfig, `podvpn has no device ${name} on this node`, "see `podvpn status`");
  }
  const written: string[] = [];
  const table = tableOfGuard(record);
  if (await ensureTableAs(table)) written.push(`the guard ${table.name}`);
  using nl = openRoute();
  const before = await observeNode(nl);
  const refusals = routeDifference(meshRefusals(record), before.routes).add;
  await applyRouteDifference(nl, { add: refusals, remove: [] });
  written.push(...refusals.map(({ dst }) => `the refusal of ${dst}`));
  const link = linkOf(before, name);
  if (link === undefined) throw new Fault(Code.kernel, `there is no interface ${name}`, "make a pod: its ADD makes it");
  if (!link.up) {
    await setLink(nl, link.index, { up: true });
    written.push(`${name} is up`);
  }
  for (const rule of meshRules(record)) {
    if (ownRules(before, name).some((one) => sameRule(one, rule))) continue;
    await ensureRule(nl, rule);
    written.push(`the rule to table ${rule.table}`);
  }
  if (wireguard === undefined) return [...written, ...(await mendMesh())];
  const { peers } = await readDevice({ of: "node", record: wireguard });
  const prefixes = peers.flatMap(({ allowedIPs }) => allowedIPs);
  const now = await observeNode(nl);
  const routes = routeDifference(meshRoutes(prefixes, link.index, record.table), now.routes).add;
  await applyRouteDifference(nl, { add: routes, remove: [] });
  written.push(...routes.map(({ dst }) => `the route to ${dst}`));
  return written;
}

/** The policies of ESP in the kernel: libipsec has its own. */
async function mendMesh(): Promise<string[]> {
  using charon = findCharon(MESH_DIRECTORY);
  if (charon === undefined || readMeshRecord(MESH_DIRECTORY)?.dataPlane !== "kernel") return [];
  return (await mendBare(MESH_DIRECTORY)).map((peer) => `the policies of ${peer}`);
}

function ofMesh(name: string): MeshRecord | undefined {
  const record = readMeshRecord(MESH_DIRECTORY);
  return record?.interface === name ? record : undefined;
}
