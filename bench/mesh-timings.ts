// Runs inside a node of the testbed, where the agent would run; all that it measures is done by the agent's own code in
// this process. Its argument is a TimingPlan; its result goes to a file.
import { writeFileSync } from "node:fs";
import { Agent } from "../src/agent/agent.ts";
import type { Applied, TunnelDriver, WantedTunnels } from "../src/agent/driver.ts";
import { AgentMemory } from "../src/agent/memory.ts";
import { agentParts } from "../src/agent/parts.ts";
import { splitPlan } from "../src/agent/split.ts";
import { wireguardDriver } from "../src/agent/wireguard/driver.ts";
import { parseAgentConfig } from "../src/config/agent.ts";
import { isAddress } from "../src/mesh/candidates.ts";
import { diffPlans } from "../src/mesh/diff.ts";
import { plan } from "../src/mesh/plan.ts";
import type { NodeRecord } from "../src/registry/node-record.ts";
import { Secret } from "../src/secret.ts";
import { now } from "./command.ts";
import { rawReplace, request } from "./device.ts";
import { NETWORK, nameOf, prefix, putRecord, stranger, withMore } from "./mesh-records.ts";
import type { BenchPeer } from "./networks.ts";
import type { Series } from "./rounds.ts";

/** What is to be measured, with so many nodes besides this one. */
export interface TimingPlan {
  readonly count: number;
  readonly rounds: number;
  /** The registry's directory: one that nobody else uses. */
  readonly registry: string;
  readonly output: string;
}

/** Names of what is measured. */
export const MESH_SERIES = {
  plan: "plan and difference to the plan before, one node having changed",
  raw: "one raw UAPI replace of all peers",
  full: "full apply: guard, peers, routes, record",
  same: "full apply that finds all as it should be",
  read: "apply of one changed node, everything being read",
  known: "apply of one changed node by what is known",
  change: "one changed node, from its file in the registry until applied",
  work: "of that, processor time of the agent, all threads",
} as const;

const INTERFACE = "podvpn0";
const PORT = 51_820;

async function measure({ count, rounds, registry, output }: TimingPlan): Promise<void> {
  const strangers = Array.from({ length: count }, (_, index) => stranger(index));
  const series = {
    [MESH_SERIES.plan]: planning(strangers, rounds),
    ...(await applying(strangers, Math.min(rounds, 8))),
    ...(await changing(strangers, registry, rounds)),
  } satisfies Series;
  writeFileSync(output, JSON.stringify(series));
}

/** As this node would publish itself. */
const OWN: NodeRecord = { ...stranger(4095), name: "n1" };

function planOf(nodes: readonly NodeRecord[]) {
  return plan([OWN, ...nodes], OWN.name, { topology: "full", down: new Set(), network: [prefix(NETWORK)] });
}

function planning(strangers: readonly NodeRecord[], rounds: number): number[] {
  let before = planOf(strangers);
  return Array.from({ length: rounds }, (_, round) => {
    const changed = changedAt(strangers, round);
    const start = now();
    const after = planOf(changed);
    diffPlans(before, after);
    const took = now() - start;
    before = after;
    return took;
  });
}

/** One of them has another prefix besides. */
function changedAt(strangers: readonly NodeRecord[], number: number): NodeRecord[] {
  const at = number % strangers.length;
  return strangers.map((record, index) => (index === at ? withMore(record, number) : record));
}

type Applies = "raw" | "full" | "same" | "read" | "known";

/** Both on the same device, by turns: the driver adopts what the other has made of it. */
async function applying(strangers: readonly NodeRecord[], rounds: number): Promise<Series> {
  const privateKey = new Secret(Buffer.alloc(32, 0x42));
  await using driver = wireguardDriver({
    interface: INTERFACE,
    port: PORT,
    dataplane: "userspace",
    privateKey: () => privateKey,
  });
  const [none, all] = [wantedOf([]), wantedOf(strangers)];
  const replacement = rawReplace(strangers.map(benchPeer));
  const times: Record<Applies, number[]> = { raw: [], full: [], same: [], read: [], known: [] };
  const timed = async (of: Applies, work: () => Promise<unknown>) => {
    const start = now();
    await work();
    times[of].push(now() - start);
  };
  await driver.apply(none);
  for (let round = 0; round < rounds; round += 1) {
    await timed("raw", () => request(INTERFACE, replacement));
    await request(INTERFACE, rawReplace([]));
    await timed("full", () => driver.apply(all));
    await timed("same", () => driver.apply(all));
    const [one, other] = [round, round + rounds].map((number) => wantedOf(changedAt(strangers, number)));
    if (one === undefined || other === undefined) throw new RangeError("no nodes");
    await timed("read", () => driver.apply(one));
    await timed("known", () => driver.apply(other, "known"));
    await driver.apply(none);
  }
  await driver.remove();
  const names = ["raw", "full", "same", "read", "known"] as const;
  return Object.fromEntries(names.map((name) => [MESH_SERIES[name], times[name]]));
}

function wantedOf(nodes: readonly NodeRecord[]): WantedTunnels {
  const wanted = splitPlan(planOf(nodes), {
    drivers: ["wireguard"],
    addresses: OWN.addresses,
    endpointOf: ({ candidates }) => {
      const host = candidates.map((candidate) => candidate.host).find(isAddress);
      return host === undefined ? undefined : { address: host, port: PORT };
    },
  }).get("wireguard");
  if (wanted === undefined) throw new TypeError("nothing is wanted");
  return wanted;
}

function benchPeer({ wireguard, underlay, podPrefixes }: NodeRecord): BenchPeer {
  return { publicKey: wireguard?.publicKey ?? "", endpoint: `${underlay.private[0]}:${PORT}`, allowedIPs: podPrefixes };
}

/** The agent itself; its peers are silent, and it hardly asks them, so that nothing else is under way. */
async function changing(strangers: readonly NodeRecord[], registry: string, rounds: number): Promise<Series> {
  const yaml = {
    name: OWN.name,
    network: NETWORK,
    ipsPerNode: 256,
    registry: { directory: registry },
    wireguard: { dataplane: "userspace" },
    probe: { interval: "60s", downAfter: "600s" },
  };
  const files = { hostname: OWN.name, euid: 0, readSecretFile: () => undefined };
  const config = parseAgentConfig(yaml, "agent.yaml", files);
  for (const record of strangers) putRecord(registry, record);
  using memory = new AgentMemory();
  await using parts = await agentParts(config, memory, () => undefined);
  let applied = Promise.withResolvers<Applied>();
  const drivers = parts.drivers.map((driver) => watched(driver, (what) => applied.resolve(what)));
  const agent = new Agent({ ...parts, drivers });
  const stop = new AbortController();
  const running = agent.run(stop.signal);
  const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
  while (agent.unready().length > 0) await pause(50);
  await pause(2000); // what follows from the start comes first
  const [times, work]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round += 1) {
    const record = strangers[round % strangers.length];
    if (record === undefined) throw new RangeError("there are no nodes");
    applied = Promise.withResolvers();
    putRecord(registry, withMore({ ...record, generation: round + 1 }, round));
    const [start, used] = [now(), process.cpuUsage()];
    const { altered } = await applied.promise;
    times.push(now() - start);
    const { user, system } = process.cpuUsage(used);
    work.push((user + system) / 1000);
    if (altered.join() !== nameOf(round % strangers.length)) throw new Error(`altered: ${altered.join()}`);
    await pause(300); // what the agent does afterwards
  }
  stop.abort();
  await running;
  for (const driver of parts.drivers) await driver.remove();
  return { [MESH_SERIES.change]: times, [MESH_SERIES.work]: work };
}

/** The driver; each apply that has changed something is told when it is done. */
function watched(driver: TunnelDriver, told: (applied: Applied) => void): TunnelDriver {
  return {
    name: driver.name,
    apply: async (wanted, basis) => {
      const applied = await driver.apply(wanted, basis);
      if (applied.made.length + applied.altered.length + applied.removed.length > 0) told(applied);
      return applied;
    },
    observe: () => driver.observe(),
    died: (signal) => driver.died(signal),
    remove: () => driver.remove(),
    keyChange: () => driver.keyChange?.(),
    [Symbol.asyncDispose]: () => driver[Symbol.asyncDispose](),
  };
}

if (process.argv[1] === import.meta.filename) {
  const given: TimingPlan = JSON.parse(process.argv[2] ?? "");
  await measure(given);
}
