import type { Vici } from "vici";
import { adoptCharon, findCharon, startCharon, stopCharon, trimLog } from "../../ipsec/charon.ts";
import { meshCharonOptions } from "../../ipsec/mesh-settings.ts";
import type { DataPlane } from "../../ipsec/strongswan-conf.ts";
import type { Prefix } from "../../net/prefix.ts";
import { openXfrm } from "../../netlink/open.ts";
import { ensureNoPolicy, listPolicies, listStates } from "../../netlink/xfrm.ts";
import { ensureNoState, type XfrmStateKey } from "../../netlink/xfrm-states.ts";
import { IF_ID, tunDevice } from "./device.ts";
import type { FittingTunnel } from "./fitting.ts";
import { requireFreePorts } from "./ports.ts";

/** Milliseconds for a charon to start, and for one that runs to answer: it takes 10 and 1, on a busy node more. */
const START = 20_000;
const ANSWER = 10_000;

/** The table that keeps a charon without connections from hearing anybody. */
export const LOADING = "ipsec-loading";

/** The charon of the mesh, and whether it had to be started. */
export interface MeshCharon extends AsyncDisposable {
  readonly vici: Vici;
  readonly started: boolean;
  /** Name of its TUN device; undefined with ESP in the kernel. */
  readonly tun?: string;
}

/** How charon is to be started, if it is not there. */
export interface CharonRequest {
  readonly directory: string;
  readonly dataPlane: DataPlane;
  readonly logLevel: 1 | 2;
  readonly lockFd: number;
  /** Called before one is started, with what a charon before left in the kernel. */
  readonly onStart: (orphans: readonly XfrmStateKey[]) => Promise<void>;
  readonly tunnels: readonly FittingTunnel[];
}

/**
 * The charon that runs, or a new one. One that does not answer, or that does ESP elsewhere than it should, is ended.
 * @throws Fault 103 when another program has its ports, Fault 101, NetlinkError.
 */
export async function ensureMeshCharon(request: CharonRequest): Promise<MeshCharon> {
  const { directory, dataPlane, logLevel, lockFd } = request;
  await using undo = new AsyncDisposableStack();
  if (runningDataPlane(directory) !== dataPlane) await stopCharon(directory);
  const running = await adoptCharon(directory, ANSWER);
  if (running === undefined) {
    requireFreePorts();
    await request.onStart(dataPlane === "kernel" ? await takeStock(request) : []);
  }
  const vici = undo.use(
    running ?? (await startCharon({ ...meshCharonOptions(directory, dataPlane, logLevel), lockFd, timeout: START })),
  );
  trimLog(directory);
  using charon = findCharon(directory);
  const tun = charon === undefined ? undefined : tunDevice(charon.pid);
  const ending = undo.move();
  return {
    vici,
    started: running === undefined,
    ...(dataPlane === "userspace" && tun !== undefined ? { tun } : {}),
    [Symbol.asyncDispose]: () => ending.disposeAsync(),
  };
}

/** Where the charon that runs does ESP; undefined when none runs. */
export function runningDataPlane(directory: string): DataPlane | undefined {
  using charon = findCharon(directory);
  if (charon === undefined) return undefined;
  return tunDevice(charon.pid) === undefined ? "kernel" : "userspace";
}

/** Removes what a charon that died left in the kernel. @throws NetlinkError. */
export async function removeOrphans(orphans: readonly XfrmStateKey[]): Promise<void> {
  using xfrm = openXfrm();
  for (const state of orphans) await ensureNoState(xfrm, state);
}

/**
 * When no charon runs: what is there is a dead one's. Its tunnels go on until there are new ones; policies for what is
 * nobody's any more go now.
 */
async function takeStock({ tunnels }: CharonRequest): Promise<XfrmStateKey[]> {
  using xfrm = openXfrm();
  const states = (await listStates(xfrm)).filter(({ ifId }) => ifId === IF_ID);
  const wanted = new Set(
    tunnels.flatMap(({ local, remote }) => local.flatMap((one) => remote.map((other) => key(one, other)))),
  );
  for (const policy of await listPolicies(xfrm)) {
    if (policy.ifId !== IF_ID) continue;
    const isWanted = wanted.has(policy.direction === "out" ? key(policy.src, policy.dst) : key(policy.dst, policy.src));
    if (!isWanted) await ensureNoPolicy(xfrm, policy);
  }
  return states.map(({ dst, spi, protocol }) => ({ dst, spi, protocol }));
}

function key(local: Prefix, remote: Prefix): string {
  return `${local} ${remote}`;
}
