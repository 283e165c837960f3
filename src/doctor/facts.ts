import { openRoute } from "../netlink/open.ts";
import { type Observed, observeNode } from "../node/observe.ts";
import { readStatus, type Status } from "../status/status.ts";
import { type AgentFacts, readAgent } from "./gather/agent.ts";
import { type ClockFacts, type PeerClock, readClock } from "./gather/clock.ts";
import { type CniFacts, readCni } from "./gather/cni.ts";
import { type MeshDevice, readMeshDevices } from "./gather/devices.ts";
import { type FirewallFacts, readFirewalls } from "./gather/firewalls.ts";
import { type KernelFacts, readKernel } from "./gather/kernel.ts";
import { measurePaths, type PathFacts } from "./gather/paths.ts";
import { type PodPing, pingFromPods } from "./gather/pods.ts";
import { type ProgramsFacts, readPrograms } from "./gather/programs.ts";
import { type Gathered, gathered, told } from "./gather/source.ts";
import { readWays, type Way } from "./gather/ways.ts";
import { readXfrm, type XfrmFacts } from "./gather/xfrm.ts";

/** Where things are on this node, and how this program is called. */
export interface DoctorOptions {
  /** The runtime's network configurations. */
  readonly confDirectory: string;
  /** The runtime's plugins. */
  readonly binDirectory: string;
  /** This executable, as a command names it. */
  readonly podvpn: string;
}

/** All that was read and measured; what failed is known by its failure. */
export interface Facts {
  /** Milliseconds since 1970. */
  readonly now: number;
  readonly kernel: Gathered<KernelFacts>;
  readonly programs: Gathered<ProgramsFacts>;
  readonly cni: Gathered<CniFacts>;
  readonly agent: Gathered<AgentFacts>;
  readonly status: Gathered<Status>;
  readonly clock: Gathered<ClockFacts>;
  readonly node: Gathered<Observed>;
  readonly devices: Gathered<readonly MeshDevice[]>;
  readonly ways: Gathered<readonly Way[]>;
  readonly firewalls: Gathered<readonly FirewallFacts[]>;
  readonly paths: Gathered<readonly PathFacts[]>;
  readonly pings: Gathered<readonly PodPing[]>;
  readonly xfrm: Gathered<XfrmFacts>;
}

const NO_NODE: Observed = { links: [], subnets: [], routes: [], rules: [] };

/** Reads the node, then sends some packets to each peer and measures them. Changes nothing. */
export async function gatherFacts({ confDirectory, binDirectory }: DoctorOptions): Promise<Facts> {
  const [kernel, cni, agent, status, xfrm, node] = await Promise.all([
    gathered("kernel", "the kernel's features", readKernel),
    gathered("configuration", "the network configurations", () => readCni(confDirectory)),
    gathered("agent", "the agent", readAgent),
    gathered("agent", "podvpn's records", () => readStatus(Date.now())),
    gathered("ESP", "security associations of the kernel", readXfrm),
    gathered("routes", "links, routes and rules", observe),
  ]);
  const observed = told(node) ?? NO_NODE;
  const devices = await gathered("tunnel", "the devices of the node", () => readMeshDevices(observed, told(agent)));
  const all = told(devices) ?? [];
  const types = (told(cni)?.files ?? []).filter(({ isPodvpns }) => isPodvpns).flatMap((file) => file.types);
  const [programs, clock, ways, firewalls, paths] = await Promise.all([
    gathered("programs", "the programs", () => readPrograms(binDirectory, types)),
    gathered("clock", "the clock", () =>
      readClock(timedDirectories(confDirectory, told(agent)), handshakes(all), peerClocks(told(agent))),
    ),
    gathered("routes", "the ways to peers", () => readWays(all)),
    gathered("forwarding", "firewalls", () => Promise.all(all.map((device) => readFirewalls(device, observed)))),
    gathered("underlay", "the paths to peers", () => measureAll(all, observed)),
  ]);
  // Afterwards: the tunnels' counters must not see them.
  const pings = await gathered("pods", "pings from pods", () => pingFromPods(all));
  const read = { kernel, programs, cni, agent, status, clock, node, devices };
  return { now: Date.now(), ...read, ways, firewalls, paths, pings, xfrm };
}

async function observe(): Promise<Observed> {
  using nl = openRoute();
  return await observeNode(nl);
}

/** One device after the other: their counters must not see each other's pings. */
async function measureAll(devices: readonly MeshDevice[], observed: Observed): Promise<PathFacts[]> {
  const paths: PathFacts[] = [];
  for (const device of devices) paths.push(...(await measurePaths(device, observed)));
  return paths;
}

function timedDirectories(confDirectory: string, agent: AgentFacts | undefined): string[] {
  const registry = agent?.status?.registry.where ?? agent?.config?.registry.directory;
  return [confDirectory, ...(registry === undefined ? [] : [`${registry}/nodes`])];
}

function peerClocks(agent: AgentFacts | undefined): PeerClock[] {
  return (agent?.status?.peers ?? []).flatMap(({ name, clockOffsetSeconds: ahead }) =>
    ahead === undefined ? [] : [{ name, ahead: ahead * 1000 }],
  );
}

function handshakes(devices: readonly MeshDevice[]) {
  return devices.flatMap(({ peers }) =>
    peers.flatMap(({ name, established: at }) =>
      at === undefined ? [] : [{ what: `the latest session with ${name} began`, at }],
    ),
  );
}
