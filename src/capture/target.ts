import { secondPort } from "../agent/wireguard/slots.ts";
import { type Attachment, isStrongswan, isWireguard, listAttachments } from "../attachment/record.ts";
import { Code, Fault } from "../fault.ts";
import { type Address, family } from "../net/address.ts";
import { aggregate } from "../net/aggregate.ts";
import { hostPrefix, type Prefix, prefixLength } from "../net/prefix.ts";
import { type Link, listLinks } from "../netlink/links.ts";
import type { Netlink } from "../netlink/netlink.ts";
import { openRoute } from "../netlink/open.ts";
import { listRoutes, lookupRoute, Table } from "../netlink/routes.ts";
import { type GuardRecord, listGuards } from "../node/guards.ts";
import { AGENT_NETWORK } from "../node/record.ts";
import { addressesOf } from "../status/attachments.ts";
import { type DeviceRef, type DeviceView, listDevices, readDevice } from "../status/devices.ts";
import { hubAddresses } from "../status/hubs.ts";
import { meshPeerAddresses } from "../status/mesh-peers.ts";
import type { CaptureLink, Target } from "./capture.ts";
import type { Scope } from "./scope.ts";

/** What an operator has said; what is empty is found out. */
export interface TargetRequest {
  readonly interfaces: readonly string[];
  readonly prefixes: readonly Prefix[];
  /** UDP ports of WireGuard besides those of the devices. */
  readonly ports: readonly number[];
}

/** WireGuard's usual port, for a machine that has no device of its own: a router. */
const USUAL_PORT = 51_820;

/**
 * What to look for on this node: the virtual subnets and meshes of what is attached, and what its agent guards, on the
 * links by which their tunnels go.
 * @throws Fault 7 when there is nothing to look for, or no link to look at.
 */
export async function findTarget(request: TargetRequest): Promise<Target> {
  const attachments = listAttachments();
  const strongswan = attachments.flatMap(({ directory, record }) =>
    isStrongswan(record) ? [{ directory, record }] : [],
  );
  const [devices, hubs, mesh] = await Promise.all([
    Promise.all(listDevices().flatMap(withOthers).map(readDevice)),
    hubAddresses(strongswan),
    meshPeerAddresses(),
  ]);
  const peers = devices.flatMap(({ peers }) => peers.flatMap(({ endpoint }) => endpoint ?? []));
  const endpoints = [...new Set([...hubs, ...mesh, ...peers.map(({ address }) => address)])];
  const ports = [...new Set([...request.ports, ...devices.flatMap(wireguardPorts)])];
  const records = attachments.map(({ record }) => record);
  const tunnels = [
    ...devices.map((device) => device.interface),
    ...listGuards().flatMap((guard) => [guard.interface, ...(guard.otherDevices ?? [])]),
  ];
  using nl = openRoute();
  return {
    scopes: requireScopes(request.prefixes.length > 0 ? [named(request)] : scopesOf(records, listGuards())),
    links: await findLinks(nl, request.interfaces, endpoints, tunnels),
    endpoints,
    wireguardPorts: ports.length > 0 ? ports : [USUAL_PORT],
  };
}

/** With the device that the agent has beside its first one while its key changes. */
function withOthers(ref: DeviceRef): DeviceRef[] {
  if (ref.of === "pod") return [ref];
  const others = ref.record.otherDevices ?? [];
  return [ref, ...others.map((name): DeviceRef => ({ of: "node", record: { ...ref.record, interface: name } }))];
}

/**
 * The UDP ports of a device and of its peers; of an agent's also those to which they go while keys change: that may begin
 * while the capture runs. Pure.
 */
export function wireguardPorts({ network, listenPort, peers }: Pick<DeviceView, "network" | "listenPort" | "peers">) {
  const now = [listenPort, ...peers.flatMap(({ endpoint }) => endpoint?.port ?? [])].filter((port) => port !== 0);
  const next = network === AGENT_NETWORK ? now.map(secondPort).filter((port) => port <= LAST_PORT) : [];
  return [...new Set([...now, ...next])];
}

const LAST_PORT = 65_535;

function named({ prefixes }: TargetRequest): Scope {
  return { prefixes, except: [] };
}

/**
 * What must not be seen in plain, of what is attached and of what the node's devices guard. Of a full tunnel, which holds
 * every address, it is the addresses of the pods themselves. Pure.
 */
export function scopesOf(
  attachments: readonly Attachment[],
  guards: readonly Pick<GuardRecord, "interface" | "guarded">[],
): Scope[] {
  const pods = attachments.map((record): Scope => {
    if (isStrongswan(record)) return scope(record.virtualSubnets, record.excluded, record.virtualIPs);
    return scope(record.meshPrefixes, record.own?.excluded ?? [], addressesOf(record));
  });
  const users = attachments.filter(isWireguard).filter(({ own }) => own === undefined);
  const nodes = guards.map((guard): Scope => {
    const own = users.filter((record) => record.interface === guard.interface).flatMap(addressesOf);
    return scope(guard.guarded, [], own);
  });
  return [...pods, ...nodes].filter(({ prefixes }) => prefixes.length > 0);
}

function scope(prefixes: readonly Prefix[], except: readonly Prefix[], own: readonly Address[]): Scope {
  const merged = aggregate(prefixes); // two halves of everything are everything
  const everything = merged.filter((prefix) => prefixLength(prefix) === 0).map(family);
  const pods = own.filter((address) => everything.includes(family(address))).map(hostPrefix);
  return { prefixes: [...merged.filter((prefix) => prefixLength(prefix) > 0), ...pods], except };
}

function requireScopes(scopes: readonly Scope[]): readonly Scope[] {
  if (scopes.length > 0) return scopes;
  throw new Fault(
    Code.invalidConfig,
    "no pod of podvpn is attached to this node, so there is no prefix to look for",
    "give one with --prefix",
  );
}

/** The links that were named, or those by which the tunnels go, or those of the default routes. @throws Fault 7. */
async function findLinks(
  nl: Netlink,
  names: readonly string[],
  endpoints: readonly Address[],
  tunnels: readonly string[],
): Promise<CaptureLink[]> {
  const links = await listLinks(nl);
  if (names.length > 0) return names.map((name) => captureLink(linkNamed(name, links)));
  const byIndex = new Map(
    links.filter(({ name, index }) => index !== LOOPBACK && !tunnels.includes(name)).map((link) => [link.index, link]),
  );
  const towards = await oifsTowards(nl, endpoints);
  for (const candidates of [towards, await defaultOifs(nl)]) {
    const found = [...new Set(candidates)].flatMap((index) => byIndex.get(index) ?? []);
    if (found.length > 0) return found.map(captureLink);
  }
  throw new Fault(
    Code.invalidConfig,
    "this node has no route to a hub or peer, and no default route",
    "say with --interface where its packets go",
  );
}

/** `lo` is the first link of every network namespace: a hub on this very node is reached by it. */
const LOOPBACK = 1;

async function oifsTowards(nl: Netlink, endpoints: readonly Address[]): Promise<number[]> {
  const found: number[] = [];
  // One after the other: a mesh has a thousand, and a lookup takes less than a tenth of a millisecond.
  for (const endpoint of endpoints) found.push(...oifOf(await lookupRoute(nl, endpoint)));
  return found;
}

async function defaultOifs(nl: Netlink): Promise<number[]> {
  const routes = await listRoutes(nl, { table: Table.main });
  return routes.filter(({ dst, type }) => prefixLength(dst) === 0 && type === "unicast").flatMap(oifOf);
}

function oifOf(route: { readonly oif?: number } | undefined): number[] {
  return route?.oif === undefined ? [] : [route.oif];
}

function linkNamed(name: string, links: readonly Link[]): Link {
  const link = links.find((candidate) => candidate.name === name);
  if (link !== undefined) return link;
  const names = links.map((candidate) => candidate.name).join(", ");
  throw new Fault(
    Code.invalidConfig,
    `--interface is "${name}", which this node does not have`,
    `give one of ${names}`,
  );
}

/** Ethernet's addresses have six bytes; TUN devices have none. */
function captureLink({ name, address }: Link): CaptureLink {
  return { name, ethernet: address.split(":").length === 6 };
}
