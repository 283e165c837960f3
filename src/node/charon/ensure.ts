import type { Vici } from "vici";
import { adoptCharon, startCharon, trimLog } from "../../ipsec/charon.ts";
import { NODE_SETTINGS } from "../../ipsec/strongswan-conf.ts";
import { openXfrm } from "../../netlink/open.ts";
import { listStates } from "../../netlink/xfrm.ts";
import type { Lock } from "../../os/lock.ts";
import { trace } from "../../os/trace.ts";
import { hasHadTunnel } from "./connect.ts";
import { lockNodeCharon, NODE_CHARON_DIRECTORY, sharedAttachments } from "./directory.ts";
import { charonLost } from "./lost.ts";
import { notedRecovery, noteRecovery } from "./note.ts";
import { type Recovered, recover } from "./recover.ts";
import { orphansOf } from "./recovery.ts";

/**
 * Milliseconds for a charon to start, and for one that runs to answer: it takes 10 and 1, on a busy node more. Who takes
 * a busy one for a dead one makes it busier still.
 */
const START = 20_000;
const ANSWER = 10_000;

/** The node's charon, and what had to be done for it. */
export interface NodeCharon extends AsyncDisposable {
  readonly vici: Vici;
  /** Whether it had to be started. */
  readonly started: boolean;
  /** When pods had lost their charon: what became of them. */
  readonly recovered?: Recovered;
}

/**
 * The node's charon: the one that runs, or a new one, with all tunnels of this node's pods brought up again. One that
 * does not answer (stopped, deadlocked) is killed: that cuts no traffic, which the kernel carries on.
 * @throws Fault 11 when another call holds it for too long, Fault 101 or 103 when it cannot be started.
 */
export async function ensureNodeCharon({ logLevel }: { readonly logLevel: 1 | 2 }): Promise<NodeCharon> {
  using lock = await lockNodeCharon();
  await using undo = new AsyncDisposableStack();
  const running = await adoptCharon(NODE_CHARON_DIRECTORY, ANSWER);
  const vici = undo.use(running ?? (await start(lock, logLevel)));
  const noted = notedRecovery();
  const recovered = noted === undefined ? undefined : await recover(vici, noted).catch(lost);
  if (recovered !== undefined) trace("tunnels of the node's charon up again");
  trimLog(NODE_CHARON_DIRECTORY);
  const ending = undo.move();
  return {
    vici,
    started: running === undefined,
    ...(recovered === undefined ? {} : { recovered }),
    [Symbol.asyncDispose]: () => ending.disposeAsync(),
  };
}

async function start(lock: Lock, logLevel: 1 | 2): Promise<Vici> {
  const pods = sharedAttachments().filter(({ record }) => hasHadTunnel(record));
  if (pods.length > 0) {
    using xfrm = openXfrm();
    noteRecovery(orphansOf(await listStates(xfrm), pods)); // of all charons that have died, as none runs
  }
  const vici = await startCharon({
    directory: NODE_CHARON_DIRECTORY,
    dataPlane: "kernel",
    logLevel,
    settings: NODE_SETTINGS,
    // Each pod brings interfaces and routes, at each of which charon would look at the way of each of its tunnels.
    noRoaming: true,
    lockFd: lock.fd,
    timeout: START,
  });
  trace("the node's charon started");
  return vici;
}

function lost(cause: unknown): never {
  throw charonLost("while it brought tunnels up again", cause);
}
