import { obstacleText } from "../../forwarding/obstacles.ts";
import { openForwarding } from "../../forwarding/open.ts";
import { applySysctls, mergedSysctls } from "../../forwarding/sysctl.ts";
import type { DataPlane } from "../../ipsec/strongswan-conf.ts";
import { meshMtuOf } from "../../mesh/mtu.ts";
import { family } from "../../net/address.ts";
import { aggregate } from "../../net/aggregate.ts";
import { overlaps, type Prefix } from "../../net/prefix.ts";
import type { Netlink } from "../../netlink/netlink.ts";
import { type Route, Table } from "../../netlink/routes.ts";
import { applyRouteMoves, routeDifference, routeMoves } from "../../node/differences.ts";
import { neededSysctls } from "../../node/forwarding.ts";
import type { Observed } from "../../node/observe.ts";
import { meshRoutes, PROTOCOL_MESH } from "../../node/plan.ts";
import { underlayMtu } from "../../node/underlay.ts";
import { setUpDevice } from "../../node/up.ts";
import type { WantedTunnels } from "../driver.ts";
import { deviceAddresses } from "./device.ts";
import type { FittingTunnel } from "./fitting.ts";
import type { Memory } from "./memory.ts";
import type { RecordKeeper } from "./record.ts";

/** IPv6 needs 1280 bytes on every link (RFC 8200 section 5); Linux turns IPv6 off below it. */
const IPV6_MTU = 1280;

/** What leads packets of this node's pods into the tunnels. */
export interface NetworkRequest {
  readonly device: string;
  readonly dataPlane: DataPlane;
  readonly tunnels: readonly FittingTunnel[];
  readonly wanted: WantedTunnels;
  /** Before anything of this apply was made. */
  readonly observed: Observed;
  /** The device has been made just now: routes of one before have gone with it. */
  readonly isNew: boolean;
  readonly record: RecordKeeper;
  readonly memory: Memory;
}

/** What came of it. */
export interface NetworkResult {
  /** Peers whose routes were written. */
  readonly routed: readonly string[];
  /** What stands in the way all the same, in words, with the remedy. */
  readonly obstacles: readonly string[];
}

/** The device up with its addresses and MTU, forwarding to and from it, and a route for each prefix. @throws Fault, NetlinkError. */
export async function ensureNetwork(nl: Netlink, request: NetworkRequest): Promise<NetworkResult> {
  const { device, dataPlane, tunnels, wanted } = request;
  const addresses = deviceAddresses(dataPlane, wanted.addresses, localSelectors(tunnels));
  const [mtu, tooSmall] = tunnelMtu(request);
  const index = await setUpDevice(nl, { interface: device, addresses, listenPort: 0 }, mtu);
  const closed = await forward(nl, request, index);
  const { routed, foreign } = await route(nl, request, index);
  return { routed, obstacles: [...tooSmall, ...closed, ...foreign] };
}

/** In bytes; and what is in the way when the underlay leaves too few. Pure. */
function tunnelMtu({ device, dataPlane, tunnels, wanted, observed }: NetworkRequest): [number, string[]] {
  const endpoints = tunnels.flatMap(({ endpoint }) => endpoint ?? []);
  const { mtu: given, addresses, guarded } = wanted;
  const mtu = meshMtuOf({ peers: tunnels.map(({ peer }) => peer) }, "ipsec", {
    underlayMtu: given ?? underlayMtu(observed, endpoints, device),
    ipsecDataPlane: dataPlane,
  });
  const hasIPv6 = [...guarded, ...addresses].some((one) => family(one) === 6);
  if (mtu >= IPV6_MTU || !hasIPv6) return [mtu, []];
  const text = `the underlay leaves ${mtu} bytes for the tunnel, and IPv6 needs ${IPV6_MTU}; give the nodes' links, and "mtu" in their agents' configuration, at least ${IPV6_MTU + 100}`;
  return [IPV6_MTU, [text]];
}

/** Lets the node forward between the device and the pods, whoever has made these. @returns What is in the way. */
async function forward(nl: Netlink, request: NetworkRequest, index: number): Promise<readonly string[]> {
  const { device, tunnels, observed, record, memory, wanted } = request;
  const { podPrefixes } = wanted;
  const subnets = aggregate([...podPrefixes, ...localSelectors(tunnels)]);
  const podInterfaces = observed.subnets
    .filter(({ dev, prefix }) => dev !== device && podPrefixes.some((pods) => overlaps(pods, prefix)))
    .map(({ dev }) => dev);
  const needs = { devices: [device], podInterfaces: [...new Set(podInterfaces)].sort(), subnets };
  return await memory.forwarding(JSON.stringify([needs, index]), async () => {
    if (subnets.length === 0) return [];
    const changes = await neededSysctls(nl, needs);
    if (changes.length > 0) record.write({ sysctls: mergedSysctls(record.current?.sysctls ?? [], changes) });
    applySysctls(changes);
    return (await openForwarding({ device, subnets })).map(obstacleText);
  });
}

async function route(nl: Netlink, { tunnels, wanted: { addresses }, observed, isNew }: NetworkRequest, index: number) {
  const owners = new Map(tunnels.flatMap(({ peer, remote }) => remote.map((prefix) => [prefix, peer.name] as const)));
  // What a node itself sends to the mesh comes from its address there, and from none that only stands in for others.
  const source = (dst: Prefix) => addresses.find((address) => family(address) === family(dst));
  const wanted = meshRoutes([...owners.keys()], index, undefined).map((one): Route => {
    const src = source(one.dst);
    return src === undefined ? one : { ...one, src };
  });
  const existing = isNew ? [] : observed.routes.filter((one) => one.oif === index && isOwn(one));
  const moves = routeMoves(routeDifference(wanted, existing));
  const foreign = (await applyRouteMoves(nl, moves)).map(
    ({ dst }) => `the node has another route to ${dst} (${owners.get(dst)}); remove it: \`ip route del ${dst}\``,
  );
  return { routed: [...moves.add, ...moves.replace].flatMap(({ dst }) => owners.get(dst) ?? []), foreign };
}

/** A route of the mesh into a device. */
function isOwn({ protocol, type, table }: Route): boolean {
  return protocol === PROTOCOL_MESH && type === "unicast" && table === Table.main;
}

/** All that peers take from here. */
function localSelectors(tunnels: readonly FittingTunnel[]): Prefix[] {
  return [...new Set(tunnels.flatMap(({ local }) => local))];
}
