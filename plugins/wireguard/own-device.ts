import { ownGuard } from "../../src/attachment/guard.ts";
import type { AttachmentKey, OwnDevice, WireguardAttachment } from "../../src/attachment/record.ts";
import { fnv1a64 } from "../../src/attachment/record.ts";
import type { WireguardConfig } from "../../src/config/wireguard.ts";
import { Code, Fault } from "../../src/fault.ts";
import { missingOfGuard } from "../../src/guard/apply.ts";
import { tunnelRoute } from "../../src/guard/tunnel-route.ts";
import { removeTunnelRule, tunnelRule } from "../../src/guard/tunnel-rule.ts";
import { TUNNEL_TABLE } from "../../src/ipsec/strongswan-conf.ts";
import { type Address, family } from "../../src/net/address.ts";
import { ensureAddress, listAddresses } from "../../src/netlink/addresses.ts";
import { getLink, moveLink, setLink } from "../../src/netlink/links.ts";
import type { Netlink } from "../../src/netlink/netlink.ts";
import { openRoute } from "../../src/netlink/open.ts";
import { ensureRoute, isRoute, listRoutes, type Route } from "../../src/netlink/routes.ts";
import { ensureRule, listRules } from "../../src/netlink/rules.ts";
import { requireFitting } from "../../src/node/fitting.ts";
import { describeChange } from "../../src/node/missing.ts";
import { sameRule } from "../../src/node/observe.ts";
import { deviceSettings, namesToResolve, resolvePeers } from "../../src/node/settings.ts";
import { setUpLink } from "../../src/node/up.ts";
import { inNetns, type Netns } from "../../src/os/namespace.ts";
import type { Secret } from "../../src/secret.ts";
import { diff } from "../../src/wireguard/diff.ts";
import { removeKernel } from "../../src/wireguard/kernel.ts";
import { randomPublicKey } from "../../src/wireguard/keys.ts";
import { ensureDevice, openDevice, removeDevice } from "../../src/wireguard/open.ts";
import { privateKeyOf } from "./key.ts";

/** What it takes to make a pod's own device. */
export interface OwnWork {
  readonly config: WireguardConfig;
  readonly directory: string;
  readonly netns: Netns;
  readonly node: Netlink;
  readonly pod: Netlink;
  readonly lockFd: number;
  readonly own: OwnDevice;
  /** Its name in the pod. */
  readonly name: string;
}

/** The name that a pod's device has on the node, until it is moved: at most 15 bytes, and no other pod's. Pure. */
export function hostName({ containerID, ifname }: AttachmentKey): string {
  return `pv${fnv1a64(`${containerID}+${ifname}`).slice(0, 13)}`;
}

/**
 * Makes the device on the node, with key and peers, and moves it into the pod, where it goes up. Idempotent.
 * @returns Host names of endpoints that have no address now. @throws Fault of the parts.
 */
export async function makeOwnDevice(work: OwnWork, privateKey: Secret): Promise<string[]> {
  const { config, directory, netns, node, pod, lockFd, own, name } = work;
  await requireFitting(config, privateKey, { subnets: [], meshes: [], routes: [] });
  const { device } = await ensureDevice({
    name: own.madeAs,
    directory,
    dataplane: own.dataPlane,
    lockFd,
    moved: { netns, name },
  });
  using _device = device;
  const state = await device.read();
  const names = namesToResolve(config.peers, state, Date.now());
  const resolved = await resolvePeers(names, []);
  const wanted = deviceSettings(config, privateKey, resolved);
  await device.apply(diff(wanted, state, { now: Date.now(), dummy: randomPublicKey }));
  const made = await getLink(node, own.madeAs);
  if (made !== undefined) {
    // Here: a wireguard-go never hears of what is changed in another namespace.
    await setLink(node, made.index, { mtu: own.mtu });
    await moveLink(node, made.index, { netns, name });
  }
  const link = await getLink(pod, name);
  if (link === undefined) throw new Fault(Code.kernel, `the interface ${name} is not in the pod`, "try again");
  await setUpLink(pod, link.index, own.mtu, config.listenPort);
  for (const { address, prefixLength } of own.addresses) {
    await ensureAddress(pod, { index: link.index, address, prefixLength, scope: "universe", flags: ["nodad"] });
  }
  return names.filter((host) => !resolved.has(host));
}

/** The routes to the mesh through the device, and the rule that leads to them. Idempotent. @throws NetlinkError. */
export async function routeOwnDevice(pod: Netlink, record: WireguardAttachment, own: OwnDevice): Promise<void> {
  const link = await getLink(pod, record.interface);
  if (link === undefined)
    throw new Fault(Code.kernel, `the interface ${record.interface} has gone during ADD`, "try again");
  for (const route of ownRoutes(record, own, link.index)) await ensureRoute(pod, route);
  for (const version of [4, 6] as const) await ensureRule(pod, tunnelRule(version, own.rulePriority));
}

/** Takes the rule away; the routes go with the device. @throws NetlinkError. */
export function unrouteOwnDevice(pod: Netlink, own: OwnDevice): Promise<void> {
  return removeTunnelRule(pod, own.rulePriority);
}

/**
 * Removes the device, wherever it is, and the rule that leads to its routes; the guard stays, as long as the namespace
 * lives. What is gone is fine. @throws Fault, NetlinkError.
 */
export async function removeOwnDevice(where: {
  readonly directory: string;
  readonly netns: Netns | undefined;
  readonly own: OwnDevice;
  readonly name: string;
}): Promise<void> {
  const { directory, netns, own, name } = where;
  await removeDevice({ name: own.madeAs, directory, ...(netns === undefined ? {} : { moved: { netns, name } }) });
  if (netns === undefined) return;
  await removeKernel(own.madeAs, netns); // where the name in the pod was taken, the kernel moves it under the old one
  using pod = inNetns(netns, openRoute);
  await unrouteOwnDevice(pod, own);
}

/** What CHECK compares. */
export interface OwnCheck {
  readonly config: WireguardConfig;
  readonly directory: string;
  readonly record: WireguardAttachment;
  readonly own: OwnDevice;
  readonly netns: Netns;
  readonly node: Netlink;
  readonly pod: Netlink;
  readonly lockFd: number;
}

/**
 * What of a pod's own device is not as it was made. One that is gone (its wireguard-go was killed) is made again.
 * @throws Fault 108 that tells of one that was gone, those of the parts.
 */
export async function missingOfOwnDevice(check: OwnCheck): Promise<string[]> {
  const { config, directory, record, own, netns, pod } = check;
  const name = record.interface;
  const privateKey = await privateKeyOf(config, directory);
  using device = await openDevice({ name: own.madeAs, directory, moved: { netns, name } });
  const link = await getLink(pod, name);
  if (device === undefined || link === undefined) {
    await makeOwnDevice({ ...check, name }, privateKey);
    await routeOwnDevice(pod, record, own);
    throw new Fault(
      Code.checkFailed,
      own.dataPlane === "userspace"
        ? `the wireguard-go of the pod's ${name} did not run, or did not answer: it had no tunnel`
        : `the pod's device ${name} was gone: it had no tunnel`,
      "nothing is left to do: it has been made again with all its peers",
    );
  }
  const wanted = deviceSettings(config, privateKey, new Map());
  const state = await device.read();
  const change = diff(wanted, state, { now: Date.now(), dummy: randomPublicKey });
  const [addresses, routes, rules] = await Promise.all([
    listAddresses(pod, link.index),
    listRoutes(pod, { table: TUNNEL_TABLE }),
    listRules(pod),
  ]);
  const missing = [
    ...(link.up ? [] : [`${name} is down`]),
    ...(link.mtu === own.mtu ? [] : [`the MTU of ${name} is ${link.mtu} instead of ${own.mtu}`]),
    ...describeChange(change, name),
    ...own.addresses
      .filter((entry) => !addresses.some(({ address }) => address === entry.address))
      .map(({ address, prefixLength }) => `missing: ${address}/${prefixLength} on ${name}`),
    ...ownRoutes(record, own, link.index)
      .filter((route) => !routes.some((one) => isRoute(one, route)))
      .map(({ dst }) => `missing: route to ${dst} by ${name}`),
    ...([4, 6] as const)
      .map((version) => tunnelRule(version, own.rulePriority))
      .filter((rule) => !rules.some((one) => sameRule(one, rule)))
      .map((rule) => `missing: routing rule to table ${rule.table} (IPv${rule.family})`),
    ...(await missingOfGuard(ownGuard(record, own), netns)).map((what) => `missing: ${what}`),
  ];
  // With nothing missing, the endpoints by name are all that there is to be written.
  const names = missing.length === 0 ? namesToResolve(config.peers, state, Date.now()) : [];
  if (names.length > 0) await makeOwnDevice({ ...check, name }, privateKey);
  return missing;
}

/** With addresses of its own the kernel chooses among those; without, the pod is what it is on its link. */
function ownRoutes({ meshPrefixes }: WireguardAttachment, own: OwnDevice, oif: number): Route[] {
  return meshPrefixes.map((dst) => tunnelRoute(dst, oif, sourceFor(family(dst), own)));
}

function sourceFor(version: 4 | 6, { addresses, sources }: OwnDevice): Address | undefined {
  if (addresses.some(({ address }) => family(address) === version)) return undefined;
  return sources.find((address) => family(address) === version);
}
