import { Code, Fault } from "../../fault.ts";
import { letIn, shutOut } from "../../guard/deaf.ts";
import { logTail } from "../../ipsec/charon.ts";
import type { DataPlane } from "../../ipsec/strongswan-conf.ts";
import type { Address } from "../../net/address.ts";
import type { Netlink } from "../../netlink/netlink.ts";
import { type Observed, observeNode } from "../../node/observe.ts";
import { lockDirectory } from "../../os/lock.ts";
import { trace } from "../../os/trace.ts";
import type { Applied, WantedTunnels } from "../driver.ts";
import { ensureMeshCharon, LOADING, type MeshCharon, removeOrphans, runningDataPlane } from "./charon.ts";
import type { GivenCredentials, IpsecCredentials } from "./credentials.ts";
import { chooseMeshDataPlane, DEVICE, ensureXfrmDevice } from "./device.ts";
import { fittingTunnels } from "./fitting.ts";
import { ensureGuard } from "./guard.ts";
import type { Memory } from "./memory.ts";
import { ensureNetwork } from "./network.ts";
import { reconcile } from "./reconcile.ts";
import { RecordKeeper } from "./record.ts";

/** What the tunnels are made with. */
export interface ApplyOptions {
  readonly directory: string;
  readonly dataPlane: DataPlane | "auto";
  readonly identity: string;
  readonly credentials: IpsecCredentials;
  readonly listen?: readonly Address[];
  readonly logLevel: 1 | 2;
}

/** What a driver has from one apply to the next. */
export interface Kept {
  readonly memory: Memory;
  readonly given: GivenCredentials;
}

/** Milliseconds for another process of this node that holds the directory: `podvpn uninstall`, an agent that ends. */
const LOCK_WAIT = 30_000;

/**
 * Reads all that there is, and writes what is different: guard, charon, device and routes, and then charon's connections.
 * @throws Fault, NetlinkError; the guard is there all the same, unless it is what failed.
 */
export async function applyTunnels(
  nl: Netlink,
  options: ApplyOptions,
  wanted: WantedTunnels,
  kept: Kept,
): Promise<Applied> {
  const { directory } = options;
  using lock = await lockDirectory(directory, { create: true, wait: LOCK_WAIT });
  if (lock === undefined) throw new Fault(Code.internal, `${directory} was not made`, "report this");
  const record = new RecordKeeper(directory);
  const observed = await observeNode(nl);
  const { interface: before = DEVICE, dataPlane: planeBefore } = record.current ?? {};
  const fitting = fittingTunnels(wanted, nodeFacts(options, observed, before));
  const { tunnels, guarded } = fitting;
  const guard = (device: string) => {
    return ensureGuard(nl, record, observed, { guarded, podPrefixes: wanted.podPrefixes, device });
  };
  await guard(before);
  trace("guard of the mesh set");

  const dataPlane = await dataPlaneOf(nl, options);
  record.write({ dataPlane });
  await using charon = await ensureMeshCharon({
    ...{ directory, dataPlane, tunnels, logLevel: options.logLevel, lockFd: lock.fd },
    onStart: async (orphans) => {
      record.write({ orphans, isLoading: true });
      await shutOut(LOADING);
    },
  });
  const { memory, given } = kept;
  if (charon.started) {
    memory.started();
    given.forget();
  }
  trace("charon of the mesh there");
  const device = deviceOf(charon, dataPlane, directory);
  if (device !== before || dataPlane !== planeBefore) await guard(device);
  const isNew = charon.started && dataPlane === "userspace";
  const network = await ensureNetwork(nl, { device, dataPlane, tunnels, wanted, observed, isNew, record, memory });
  trace("device of the mesh up");

  const own = { ...options, dataPlane };
  const listen = () => hearPeers(record);
  const changes = await reconcile({ vici: charon.vici, directory, tunnels, own, memory, given, listen });
  await clearOrphans(record, dataPlane, memory);
  const { again } = memory;
  const { made, altered, removed } = changes;
  return {
    made: sorted(made),
    altered: sorted([...altered, ...network.routed].filter((name) => !made.includes(name))),
    removed: sorted(removed),
    started: charon.started,
    obstacles: [...new Set([...fitting.obstacles, ...network.obstacles, ...changes.obstacles, ...memory.reasons])],
    ...(again === undefined ? {} : { again }),
  };
}

function nodeFacts({ identity, credentials }: ApplyOptions, { subnets }: Observed, device: string) {
  const addresses = subnets.filter(({ dev }) => dev !== device && dev !== DEVICE);
  return { identity, by: credentials.by, addresses };
}

/** One that runs stays where it is, unless the configuration says otherwise: to move it cuts all tunnels. */
async function dataPlaneOf(nl: Netlink, { dataPlane, directory }: ApplyOptions): Promise<DataPlane> {
  const running = runningDataPlane(directory);
  const stays = running !== undefined && (dataPlane === "auto" || dataPlane === running);
  if (!stays) return chooseMeshDataPlane(nl, dataPlane);
  if (running === "kernel") await ensureXfrmDevice(nl);
  return running;
}

function deviceOf({ tun }: MeshCharon, dataPlane: DataPlane, directory: string): string {
  if (dataPlane === "kernel") return DEVICE;
  if (tun !== undefined) return tun;
  throw new Fault(Code.charon, "charon has no TUN device", `see ${directory}/charon.log`, {
    details: logTail(directory),
  });
}

/** Charon has its connections: from now on it may hear from peers. */
async function hearPeers(record: RecordKeeper): Promise<void> {
  if (record.current?.isLoading !== true) return;
  await letIn(LOADING);
  record.write({ isLoading: false });
}

/** What a dead charon left in the kernel carries packets until all peers have a new tunnel. */
async function clearOrphans(record: RecordKeeper, dataPlane: DataPlane, memory: Memory): Promise<void> {
  const orphans = record.current?.orphans ?? [];
  if (orphans.length === 0 || !memory.hasRecovered) return;
  if (dataPlane === "kernel") await removeOrphans(orphans);
  record.write({ orphans: [] });
}

function sorted(names: readonly string[]): string[] {
  return [...new Set(names)].sort();
}
