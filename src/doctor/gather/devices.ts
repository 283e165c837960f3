import type { TunnelState } from "../../agent/driver.ts";
import { observeTunnels } from "../../agent/ipsec/observe.ts";
import { isAddress } from "../../mesh/candidates.ts";
import type { PlannedPeer } from "../../mesh/mesh-plan.ts";
import { type Address, family } from "../../net/address.ts";
import type { Endpoint } from "../../net/endpoint.ts";
import type { Prefix } from "../../net/prefix.ts";
import { hostPrefix, networkAddress, prefixLength } from "../../net/prefix.ts";
import { nth } from "../../net/range.ts";
import type { Link } from "../../netlink/links.ts";
import { openRoute } from "../../netlink/open.ts";
import { missingOfTable } from "../../nftables/missing.ts";
import { type GuardRecord, MESH_DIRECTORY, readMeshRecord, tableOfGuard } from "../../node/guards.ts";
import { linkOf, type Observed } from "../../node/observe.ts";
import { AGENT_NETWORK } from "../../node/record.ts";
import { type DeviceView, listDevices, readDevice } from "../../status/devices.ts";
import { missingOfDeviceGuard } from "../../status/health.ts";
import type { AgentFacts } from "./agent.ts";

/** A device of the node that tunnels to other nodes go through. */
export interface MeshDevice {
  readonly kind: "wireguard" | "ipsec";
  readonly name: string;
  /** The agent's: it keeps it as it should be. */
  readonly isAgents: boolean;
  readonly record: GuardRecord;
  readonly dataPlane: "kernel" | "userspace";
  /** Absent: there is no such interface. */
  readonly link?: Link;
  /** UDP port that it listens at; 0: none. */
  readonly port: number;
  /** UDP port at which agents probe each other through it; absent: they do not. */
  readonly probePort?: number;
  readonly peers: readonly MeshPeer[];
  /** What of it does not work, in words. */
  readonly problems: readonly string[];
  /** What of its guard is gone, in words. */
  readonly unguarded: readonly string[];
}

/** A node at the other end of a tunnel. */
export interface MeshPeer {
  readonly name: string;
  /** Behind it. */
  readonly prefixes: readonly Prefix[];
  /** Addresses behind it that should answer, one of each family. */
  readonly targets: readonly Address[];
  /** Whether the targets are known to be the peer's own; else they are guesses. */
  readonly isSure: boolean;
  readonly endpoint?: Endpoint;
  /** The latest handshake or SA, in milliseconds since 1970. */
  readonly established?: number;
}

/** All of them. @throws Fault, NetlinkError. */
export async function readMeshDevices(observed: Observed, agent: AgentFacts | undefined): Promise<MeshDevice[]> {
  const plans = new Map(agent?.forecast?.plan.peers.map((peer) => [peer.name, peer]));
  const views = await Promise.all(listDevices().map((ref) => (ref.of === "node" ? readDevice(ref) : undefined)));
  const wireguard = await Promise.all(
    views.filter((view) => view !== undefined).map((view) => wireguardDevice(view, observed, plans)),
  );
  const ipsec = await ipsecDevice(observed, plans);
  const devices = [...wireguard.filter((device) => device !== undefined), ...(ipsec === undefined ? [] : [ipsec])];
  const probePort = agent?.config?.probe.port;
  return devices.map((one) => (one.isAgents && probePort !== undefined ? { ...one, probePort } : one));
}

type Plans = ReadonlyMap<string, PlannedPeer>;

async function wireguardDevice(view: DeviceView, observed: Observed, plans: Plans): Promise<MeshDevice | undefined> {
  const { ref, interface: name, dataPlane, listenPort, problems, peers } = view;
  if (ref.of === "pod") return undefined;
  const link = linkOf(observed, name);
  return {
    kind: "wireguard",
    name,
    isAgents: ref.record.network === AGENT_NETWORK,
    record: ref.record,
    dataPlane,
    ...(link && { link }),
    port: listenPort,
    problems,
    unguarded: await missingOfDeviceGuard({ ref }),
    peers: peers.map((peer) => {
      const called = peer.name ?? peer.publicKey;
      const { allowedIPs: prefixes, endpoint, latestHandshake } = peer;
      return {
        name: called,
        prefixes,
        ...targetsOf(plans.get(called), prefixes),
        ...(endpoint && { endpoint }),
        ...(latestHandshake !== undefined && { established: latestHandshake }),
      };
    }),
  };
}

async function ipsecDevice(observed: Observed, plans: Plans): Promise<MeshDevice | undefined> {
  const record = readMeshRecord(MESH_DIRECTORY);
  if (record === undefined) return undefined;
  using nl = openRoute();
  const state = await observeTunnels(nl, MESH_DIRECTORY, (label) => label);
  const tunnels = new Map((state?.tunnels ?? []).map((tunnel) => [tunnel.name, tunnel]));
  const names = [...plans.values()].filter(({ driver }) => driver === "ipsec").map(({ name }) => name);
  const link = linkOf(observed, record.interface);
  return {
    kind: "ipsec",
    name: record.interface,
    isAgents: true,
    record,
    dataPlane: record.dataPlane,
    ...(link && { link }),
    port: IKE_PORT,
    problems: [
      ...(link === undefined ? [`there is no interface ${record.interface}`] : []),
      ...(state === undefined && link !== undefined ? ["its charon does not run"] : []),
    ],
    unguarded: (await missingOfTable(tableOfGuard(record))).map((what) => `missing: ${what}`),
    peers: [...new Set([...names, ...tunnels.keys()])].map((name) =>
      ipsecPeer(name, plans.get(name), tunnels.get(name)),
    ),
  };
}

function ipsecPeer(name: string, plan: PlannedPeer | undefined, tunnel: TunnelState | undefined): MeshPeer {
  const prefixes = plan?.prefixes ?? [];
  // Where there is no tunnel, it is to go to the first address that the peer tells.
  const address = plan?.candidates.map(({ host }) => host).find(isAddress);
  const endpoint = tunnel?.endpoint ?? (address && { address, port: IKE_PORT });
  return {
    name,
    prefixes,
    ...targetsOf(plan, prefixes),
    ...(endpoint && { endpoint }),
    ...(tunnel?.established !== undefined && { established: tunnel.established }),
  };
}

const IKE_PORT = 500;

/** The peer's own addresses, or what a bridge with a gateway address has: the first one of its subnet. */
function targetsOf(plan: PlannedPeer | undefined, prefixes: readonly Prefix[]): Pick<MeshPeer, "targets" | "isSure"> {
  if (plan !== undefined && plan.probes.length > 0) return { targets: plan.probes, isSure: true };
  const guesses = ([4, 6] as const).flatMap((version) => {
    const prefix = prefixes.find((one) => family(one) === version && prefixLength(one) > 0);
    return prefix === undefined ? [] : [firstHost(prefix)];
  });
  return { targets: guesses, isSure: false };
}

/** The address that a bridge takes for itself; of a single address that one. */
export function firstHost(prefix: Prefix): Address {
  const address = networkAddress(prefix);
  return hostPrefix(address) === prefix ? address : nth(prefix, 1n);
}
