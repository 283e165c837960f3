import { type Vici, ViciCommandError, ViciError } from "vici";
import { Code, Fault } from "../../fault.ts";
import { logTail } from "../../ipsec/charon.ts";
import type { MeshConnection } from "../../ipsec/mesh-connection.ts";
import { meshFailure } from "../../ipsec/mesh-failure.ts";
import { meshNameText, peerLabel } from "../../ipsec/mesh-name.ts";
import { type MeshStep, type PeerPlan, planRemoval } from "../../ipsec/mesh-plan.ts";
import {
  changesOf,
  loadedBy,
  type OwnSide,
  planPeers,
  type WantedConnection,
  wantedConnections,
} from "./connections.ts";
import type { GivenCredentials } from "./credentials.ts";
import type { FittingTunnel } from "./fitting.ts";
import type { Memory } from "./memory.ts";
import { readBare, rekey } from "./policies.ts";
import { awaitTunnels, readHeld, take } from "./steps.ts";

/** Milliseconds for tunnels that were asked for; those that take longer are looked at by the next apply. */
const TUNNELS = 500;

/** What charon is to have. */
export interface Reconciliation {
  readonly vici: Vici;
  /** Of charon. */
  readonly directory: string;
  readonly tunnels: readonly FittingTunnel[];
  readonly own: OwnSide;
  readonly memory: Memory;
  readonly given: GivenCredentials;
  /** Called as soon as charon has its connections: from then on it may hear from peers. */
  readonly listen: () => Promise<void>;
}

/** Names of peers, by what became of their tunnels, and what is in the way of others. */
export interface Reconciled {
  readonly made: readonly string[];
  readonly altered: readonly string[];
  readonly removed: readonly string[];
  readonly obstacles: readonly string[];
}

/** Brings charon to what is wanted; what has come up within a moment is looked at again. @throws Fault 103. */
export async function reconcile(request: Reconciliation): Promise<Reconciled> {
  const { vici, directory, tunnels, own, given } = request;
  try {
    await given.give(vici, own.credentials, tunnels);
  } catch (error) {
    throw charonFault(directory, error, "the credentials");
  }
  try {
    return await reconcileConnections(request, wantedConnections(tunnels, own));
  } catch (error) {
    throw charonFault(directory, error, "its connections");
  }
}

type Connections = ReadonlyMap<string, WantedConnection>;

async function reconcileConnections(request: Reconciliation, connections: Connections): Promise<Reconciled> {
  const { vici, tunnels, own, memory, listen } = request;
  const names = new Map(tunnels.map(({ peer }) => [peerLabel(peer.name), peer.name]));
  const nameOf = (label: string) => names.get(label) ?? label;
  const held = await readHeld(vici);
  const gone = [...held].filter(([label]) => !connections.has(label));
  const removed = gone.map(([label]) => memory.nameOf(label));
  for (const [, peer] of gone) for (const step of planRemoval(peer)) await take(vici, step, undefined);
  const staying = new Map([...held].filter(([label]) => connections.has(label)));
  const bare = own.dataPlane === "kernel" ? await readBare(staying) : [];
  await rekey(vici, bare);
  const obstacles: string[] = [];
  const takeAll = async (plans: readonly PeerPlan[]) => {
    const { initiated, refusals } = await takePlans(request, plans, connections);
    obstacles.push(...refusals);
    return initiated;
  };
  const first = planPeers(connections, held, own.dataPlane, memory);
  let last = first;
  if (first.some(({ steps }) => steps.length > 0)) {
    const said = await awaitTunnels(vici, TUNNELS, () => takeAll(first));
    for (const [label, lines] of byPeer(said)) explain(memory, connections.get(label)?.connection, label, lines);
    last = planPeers(connections, await readHeld(vici), own.dataPlane, memory);
    await takeAll(last);
  }
  await listen();
  memory.note(
    last.map(({ progress }) => progress),
    names,
  );
  const { made, altered } = changesOf(first, held);
  const mended = bare.map(({ peer }) => peer);
  return { made: made.map(nameOf), altered: [...altered, ...mended].map(nameOf), removed, obstacles };
}

/**
 * First what charon has to know before it hears from anybody, then what it is to ask for. A connection that it does not
 * take is in the way of its own peer alone. @returns Names of the connections that were initiated.
 */
async function takePlans(
  { vici, memory, listen }: Reconciliation,
  plans: readonly PeerPlan[],
  connections: Connections,
): Promise<{ readonly initiated: string[]; readonly refusals: string[] }> {
  const refused = new Map<string, string>();
  const takeThose = async (isNow: (step: MeshStep) => boolean): Promise<MeshStep[]> => {
    const taken: MeshStep[] = [];
    for (const { steps, progress } of plans) {
      const known = connections.get(progress.peer)?.connection;
      if (refused.has(progress.peer)) continue;
      try {
        for (const step of steps.filter(isNow)) {
          await take(vici, step, known && loadedBy(step, known));
          taken.push(step);
        }
      } catch (error) {
        if (!(error instanceof ViciCommandError)) throw error;
        const why = `charon refuses it (${error.errmsg})`;
        refused.set(progress.peer, `no tunnel to ${known?.peer}: ${why}; correct its record`);
      }
    }
    return taken;
  };
  await takeThose((step) => step.do !== "initiate");
  await listen();
  const initiated = (await takeThose((step) => step.do === "initiate")).flatMap((step) => {
    if (step.do !== "initiate") return [];
    memory.tries(step.name);
    return [meshNameText(step.name)];
  });
  return { initiated, refusals: [...refused.values()] };
}

function explain(
  memory: Memory,
  connection: MeshConnection | undefined,
  label: string,
  lines: readonly string[],
): void {
  if (connection === undefined) return;
  const { identity, peerIdentity, peer } = connection;
  const reason = meshFailure({ peer, identity, peerIdentity }, lines);
  if (reason !== undefined) memory.refused(label, reason);
}

function byPeer(said: ReadonlyMap<string, readonly string[]>): ReadonlyMap<string, readonly string[]> {
  return new Map([...said].map(([name, lines]) => [/^mesh-(.+)\.\d+\.\d+[ia]\./.exec(name)?.[1] ?? "", lines]));
}

function charonFault(directory: string, error: unknown, what: string): unknown {
  if (!(error instanceof ViciError)) return error;
  const details = logTail(directory);
  const remedy = `see ${directory}/charon.log`;
  if (error instanceof ViciCommandError) {
    return new Fault(Code.charon, `charon refuses ${what} (${error.errmsg})`, remedy, { cause: error, details });
  }
  const lost = `charon ended or stopped answering while it was given ${what} (${error.message})`;
  return new Fault(Code.charon, lost, remedy, { cause: error, details });
}
