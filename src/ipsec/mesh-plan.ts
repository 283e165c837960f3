import type { Address } from "../net/address.ts";
import { overlaps, type Prefix } from "../net/prefix.ts";
import {
  carriedTo,
  carriesExactly,
  type HeldConnection,
  type HeldPeer,
  type HeldSa,
  type HeldTrap,
  isCarrying,
} from "./mesh-held.ts";
import type { MeshName, MeshRole, TrapName } from "./mesh-name.ts";

/** A tunnel as it shall be. */
export interface WantedPeer extends Pick<MeshName, "peer" | "tunnel" | "rest">, Pick<TrapName, "selectors"> {
  /** Traffic selectors: aggregated. */
  readonly local: readonly Prefix[];
  readonly remote: readonly Prefix[];
  /** Absent: what the tunnel has stays. */
  readonly endpoint?: Address;
  /** Of the two sides this one begins, and brings back what was lost. */
  readonly designated: boolean;
}

/** What a plan depends on besides what there is and shall be. */
export interface MeshPlanOptions {
  /** User-space ESP: the policies of who answers are a trap's (see `meshTrap`). */
  readonly traps: boolean;
  /** Whether this side begins as well, although the other one is to: its charon has just been started and lost all. */
  readonly isLost: (peer: string) => boolean;
  /** Whether the other side has been waited for long enough to replace a tunnel: it does not know, or cannot. */
  readonly isLate: (peer: string) => boolean;
  /** Whether a tunnel has been there for long enough that nothing is on its way any more by the one of before. */
  readonly isProven: (sa: HeldSa) => boolean;
  /** Whether that connection was tried a moment ago, in vain: the other side may not be ready for it yet. */
  readonly isTried: (name: MeshName) => boolean;
}

/** One thing to tell charon. */
export type MeshStep =
  /**
   * Loads the connection of that name, which is a new one, for the wanted peer.
   * `endpoint`: also one that stays. `isStrict`: the peer must prove what it should, and nothing else will do.
   */
  | { readonly do: "load"; readonly name: MeshName; readonly endpoint?: Address; readonly isStrict: boolean }
  | { readonly do: "trap"; readonly name: TrapName }
  | { readonly do: "unload"; readonly connection: HeldConnection | HeldTrap }
  /** Asks for the tunnel of a connection that is loaded, and does not wait for it. */
  | { readonly do: "initiate"; readonly name: MeshName }
  /** @param force Without waiting for the peer's answer. */
  | { readonly do: "terminate"; readonly sa: HeldSa; readonly force: boolean };

type Termination = Extract<MeshStep, { readonly do: "terminate" }>;

/** How far a peer's tunnel is. */
export interface PeerProgress {
  readonly peer: string;
  /** Whether any tunnel carries packets to it. */
  readonly hasTunnel: boolean;
  /** Whether one is as wanted. */
  readonly isRight: boolean;
  /** Whether nothing is left of tunnels before, and nothing is on its way. */
  readonly isSettled: boolean;
  /** Whether it is the other side's turn to bring a tunnel in the place of one that is not as wanted. */
  readonly waits: boolean;
}

/** In this order. */
export interface PeerPlan {
  readonly steps: readonly MeshStep[];
  readonly progress: PeerProgress;
}

/**
 * What to tell charon about one peer. Tunnels are replaced without loss: the new one comes up beside the old one, and who
 * began it takes the old one away, as it sends by the new one already, and the other side does as soon as the old one
 * is gone. So of two sides that one begins which answered the last time: what it sends by now is by a lesser policy, and
 * what the other sends by a greater one (see `meshConnection`). Pure.
 * @param number Of the peer; see `MeshName`.
 */
export function planPeer(wanted: WantedPeer, number: number, held: HeldPeer, options: MeshPlanOptions): PeerPlan {
  const carrying = held.sas.filter(isCarrying);
  const kept = newest(carrying.filter((sa) => isGood(sa, wanted)));
  const connection = neededConnection(wanted, number, held, kept ?? newest(carrying), kept !== undefined);
  const steps: MeshStep[] = [];
  steps.push(...neededTrap(wanted, number, held, options));
  const { name, endpoint, isNew } = connection;
  // What takes the place of a tunnel must be what it is meant to be: else both sides take it for different things.
  const isStrict = name.role === "initiates" && carrying.length > 0;
  if (isNew) steps.push({ do: "load", name, isStrict, ...(endpoint && { endpoint }) });
  steps.push(...unneeded(wanted, connection.name, held, kept !== undefined && carrying.length === 1, options));
  if (kept === undefined) {
    steps.push(...tries(wanted, connection, held, carrying, options));
  } else {
    steps.push(...superfluous(wanted, kept, held, options));
  }
  const waits = kept === undefined && carrying.length > 0 && connection.name.role === "answers";
  return {
    steps,
    progress: {
      peer: wanted.peer,
      hasTunnel: carrying.length > 0,
      isRight: kept !== undefined,
      isSettled: steps.length === 0 && (kept === undefined ? isAtRest(wanted, held) : held.sas.length === 1),
      waits,
    },
  };
}

/** Without a tunnel: it is for the other side to begin. */
function isAtRest({ designated }: WantedPeer, { sas }: HeldPeer): boolean {
  return !designated && sas.length === 0;
}

/** A number for each peer: the one that it has, or one that nobody has. Pure. @param peers Labels. */
export function meshNumbers(
  peers: readonly string[],
  held: ReadonlyMap<string, HeldPeer>,
): ReadonlyMap<string, number> {
  const known = new Map(
    [...held].flatMap(([peer, { connections, traps, sas }]) => {
      const [one] = [...connections, ...traps, ...sas];
      return one === undefined ? [] : [[peer, one.name.number] as const];
    }),
  );
  const taken = new Set(known.values());
  let free = 0;
  const nextFree = () => {
    while (taken.has(free)) free += 1;
    taken.add(free);
    return free;
  };
  return new Map(peers.map((peer) => [peer, known.get(peer) ?? nextFree()]));
}

/** What a peer that is not wanted any more leaves to be done. Pure. */
export function planRemoval({ connections, traps, sas }: HeldPeer): MeshStep[] {
  return [
    ...[...connections, ...traps].map((connection): MeshStep => ({ do: "unload", connection })),
    ...sas.map((sa): MeshStep => ({ do: "terminate", sa, force: true })),
  ];
}

/**
 * Tunnels that carry what is another peer's by now, and that nothing has replaced: its packets must not wait for a peer
 * that is dead. Pure. @param isOverdue Whether a peer's tunnel should have been replaced by now.
 */
export function contested(
  wanted: readonly WantedPeer[],
  held: ReadonlyMap<string, HeldPeer>,
  isOverdue: (peer: string) => boolean,
): Termination[] {
  return wanted.flatMap((one) => {
    if (!isOverdue(one.peer)) return [];
    const carrying = (held.get(one.peer)?.sas ?? []).filter(isCarrying);
    if (carrying.length === 0 || carrying.some((sa) => isGood(sa, one))) return [];
    return carrying
      .filter((sa) => {
        const extra = carriedTo(sa).filter((prefix) => !one.remote.some((own) => overlaps(own, prefix)));
        return extra.some((prefix) => wanted.some((other) => other !== one && holds(other, prefix)));
      })
      .map((sa): Termination => ({ do: "terminate", sa, force: true }));
  });
}

function holds({ remote }: WantedPeer, prefix: Prefix): boolean {
  return remote.some((one) => overlaps(one, prefix));
}

/** Made as it is wanted, for what is wanted, and where it is wanted: the side that does not begin cannot choose where. */
function isGood(sa: HeldSa, wanted: WantedPeer): boolean {
  const { tunnel, local, remote } = wanted;
  return sa.name.tunnel === tunnel && carriesExactly(sa, local, remote) && !isElsewhere(sa, wanted);
}

function isElsewhere({ remoteHost }: HeldSa, { endpoint, designated }: WantedPeer): boolean {
  return designated && endpoint !== undefined && remoteHost !== endpoint;
}

function newest(sas: readonly HeldSa[]): HeldSa | undefined {
  return sas.toSorted((one, other) => other.uniqueid - one.uniqueid)[0];
}

interface NeededConnection {
  readonly name: MeshName;
  readonly isNew: boolean;
  readonly endpoint: Address | undefined;
}

/** The one connection that there shall be, besides those that tunnels still depend on. */
function neededConnection(
  wanted: WantedPeer,
  number: number,
  held: HeldPeer,
  current: HeldSa | undefined,
  isRight: boolean,
): NeededConnection {
  const { peer, tunnel, rest } = wanted;
  const loaded = held.connections.toSorted((one, other) => other.name.generation - one.name.generation)[0];
  const endpoint = wanted.endpoint ?? loaded?.endpoint ?? (wanted.designated ? current?.remoteHost : undefined);
  const all = [...held.connections, ...held.sas];
  const latest = Math.max(0, ...all.map(({ name }) => name.generation));
  const made = (generation: number, role: MeshRole): NeededConnection => {
    return { name: { peer, number, generation, role, tunnel, rest }, isNew: true, endpoint };
  };
  const next = (role: MeshRole) => made(latest + 1, role);
  if (loaded === undefined) return next(current === undefined ? first(wanted) : turn(current));
  const there: NeededConnection = { name: loaded.name, isNew: false, endpoint: loaded.endpoint };
  const isSame = loaded.name.tunnel === tunnel && loaded.name.rest === rest;
  if (current === undefined) {
    const isThere = wanted.endpoint === undefined || loaded.endpoint === wanted.endpoint;
    return isSame && isThere ? there : next(first(wanted));
  }
  if (isRight) {
    // This side began: it gets ready to answer, whenever the other side will begin.
    if (loaded.name.role === "initiates" && current.initiator) return next("answers");
    return isSame ? there : made(loaded.name.generation, loaded.name.role);
  }
  // The other side does not know of that, and would be waited for in vain.
  const isMoving = isElsewhere(current, wanted) && current.name.tunnel === tunnel;
  const role = isMoving ? "initiates" : turn(current);
  const isThere = !isMoving || loaded.endpoint === wanted.endpoint;
  return isSame && isThere && loaded.name.role === role ? there : next(role);
}

function first({ designated }: WantedPeer): MeshRole {
  return designated ? "initiates" : "answers";
}

/** Who answered begins the next time. */
function turn({ initiator }: HeldSa): MeshRole {
  return initiator ? "answers" : "initiates";
}

/** Before the connections that depend on it. */
function neededTrap(
  { peer, selectors }: WantedPeer,
  number: number,
  { traps: held }: HeldPeer,
  { traps }: MeshPlanOptions,
): MeshStep[] {
  const isThere = held.some(({ name }) => name.selectors === selectors);
  return traps && !isThere ? [{ do: "trap", name: { peer, number, selectors } }] : [];
}

/** All other connections; and when no tunnel depends on them any more, traps for other prefixes. */
function unneeded(
  { selectors }: WantedPeer,
  name: MeshName,
  { connections, traps: held, sas }: HeldPeer,
  isAlone: boolean,
  { traps }: MeshPlanOptions,
): MeshStep[] {
  const others = connections.filter((connection) => !sameName(connection.name, name));
  const isFree = !traps || isAlone || sas.length === 0;
  const unused = held.filter((trap) => isFree && !(traps && trap.name.selectors === selectors));
  return [...others, ...unused].map((connection): MeshStep => ({ do: "unload", connection }));
}

function sameName(one: MeshName, other: MeshName): boolean {
  return (
    one.generation === other.generation &&
    one.role === other.role &&
    one.tunnel === other.tunnel &&
    one.rest === other.rest
  );
}

/** No tunnel is as it should be: tries that are none any more are given up, and a new one begins if this side is to. */
function tries(
  wanted: WantedPeer,
  { name, endpoint }: NeededConnection,
  { sas }: HeldPeer,
  carrying: readonly HeldSa[],
  { isLost, isLate, isTried }: MeshPlanOptions,
): MeshStep[] {
  const attempts = sas.filter((sa) => !carrying.includes(sa));
  // Established without a child: the peer agreed to who we are, and to nothing else.
  const isVain = (sa: HeldSa) =>
    sa.state === "ESTABLISHED" || sa.name.tunnel !== wanted.tunnel || isElsewhere(sa, wanted);
  const vain = attempts.filter(isVain);
  const begins =
    carrying.length === 0 ? wanted.designated || isLost(wanted.peer) : name.role === "initiates" || isLate(wanted.peer);
  const isTrying = vain.length < attempts.length;
  return [
    ...vain.map((sa): MeshStep => ({ do: "terminate", sa, force: true })),
    ...outdone(carrying).map((sa): MeshStep => ({ do: "terminate", sa, force: false })),
    ...(begins && !isTrying && endpoint !== undefined && !isTried(name) ? [{ do: "initiate", name } as const] : []),
  ];
}

/** Of several that this side began in vain, and the newest of which both send by, the others. */
function outdone(carrying: readonly HeldSa[]): HeldSa[] {
  const latest = newest(carrying);
  return latest?.initiator === true ? carrying.filter((sa) => sa.initiator && sa !== latest) : [];
}

/**
 * One is as it should be: who began it takes away what was before. Two that are alike have come up at the same time, or the
 * other side makes something of it that this side has not heard of: they stay for a while.
 */
function superfluous(
  wanted: WantedPeer,
  kept: HeldSa,
  { sas }: HeldPeer,
  { isLate, isProven }: MeshPlanOptions,
): MeshStep[] {
  const isOver = isProven(kept);
  return sas
    .filter((sa) => sa !== kept)
    .flatMap((sa): MeshStep[] => {
      if (!isCarrying(sa)) return sa.initiator ? [{ do: "terminate", sa, force: true }] : [];
      const isMine = isGood(sa, wanted)
        ? wanted.designated && isLate(wanted.peer)
        : kept.initiator || isLate(wanted.peer);
      return isMine && isOver ? [{ do: "terminate", sa, force: false }] : [];
    });
}
