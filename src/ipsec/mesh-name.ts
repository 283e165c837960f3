import { createHash } from "node:crypto";

/**
 * What a side does with a connection of the mesh. Who answers an IKE_SA has it before the other side can receive by it; so
 * it must go on to send by the tunnel of before until that is taken away. Who initiates may send by the new one at once.
 */
export type MeshRole = "initiates" | "answers";

/** What a connection of the mesh is called: all that tells whether it, and the tunnels that it brought, are as they should be. */
export interface MeshName {
  /** The peer, as {@link peerLabel} has it. */
  readonly peer: string;
  /** Of the peer, on this node: no two peers have the same. */
  readonly number: number;
  /** Grows with each connection that is to bring another tunnel beside the one before. */
  readonly generation: number;
  readonly role: MeshRole;
  /** Hash of what a tunnel is made with: another one needs another tunnel. */
  readonly tunnel: string;
  /** Hash of all the rest: another one needs another connection alone. */
  readonly rest: string;
}

/** What the policies of a side that answers are called. */
export interface TrapName extends Pick<MeshName, "peer" | "number"> {
  /** Hash of the prefixes that they are for. */
  readonly selectors: string;
}

/** That can be told apart, of those that are there at the same time. */
const GENERATIONS = 0x1000;

/** The most peers that numbers are enough for. */
export const MOST_PEERS = 0x1_0000;

/** Names of connections have 255 bytes at most (VICI); names of nodes nearly as many. */
const LONGEST_LABEL = 200;

const PATTERN = /^mesh-(.+)\.(\d{1,5})\.(\d{1,9})([ia])\.([\da-f]{10})\.([\da-f]{10})$/;

const TRAP_PATTERN = /^trap-(.+)\.(\d{1,5})\.([\da-f]{10})$/;

/** The name of a peer as a connection's name has it: the peer's own, unless that is too long. Pure. */
export function peerLabel(peer: string): string {
  if (peer.length <= LONGEST_LABEL) return peer;
  return `${peer.slice(0, LONGEST_LABEL - 11)}-${fingerprint(peer)}`;
}

/** The connection's name, of the characters that VICI takes in one. Pure. */
export function meshNameText({ peer, number, generation, role, tunnel, rest }: MeshName): string {
  return `mesh-${peer}.${number}.${generation}${role === "initiates" ? "i" : "a"}.${tunnel}.${rest}`;
}

/** What {@link meshNameText} was made of; undefined for a connection that is none of the mesh's. Pure. */
export function parseMeshName(text: string): MeshName | undefined {
  const [, peer, number, generation, role, tunnel, rest] = PATTERN.exec(text) ?? [];
  if (peer === undefined || tunnel === undefined || rest === undefined) return undefined;
  return {
    peer,
    number: Number(number),
    generation: Number(generation),
    role: role === "i" ? "initiates" : "answers",
    tunnel,
    rest,
  };
}

/** Name of the connection that holds the policies of a side that answers. Pure. */
export function trapNameText({ peer, number, selectors }: TrapName): string {
  return `trap-${peer}.${number}.${selectors}`;
}

/** What {@link trapNameText} was made of; undefined for another connection. Pure. */
export function parseTrapName(text: string): TrapName | undefined {
  const [, peer, number, selectors] = TRAP_PATTERN.exec(text) ?? [];
  return peer === undefined || selectors === undefined ? undefined : { peer, number: Number(number), selectors };
}

/**
 * What joins policies and security associations in libipsec: of a peer's tunnels those that this side answered have the same, of which
 * the newest is sent by, and each that it initiated has its own. Far above what charon gives out by itself. Pure.
 */
export function meshReqid({ number, generation, role }: Pick<MeshName, "number" | "generation" | "role">): number {
  const which = role === "answers" ? 0 : 1 + (generation % (GENERATIONS - 1));
  return 0x1000_0000 + number * GENERATIONS + which;
}

/** Ten digits that tell one text from another. Pure. */
export function fingerprint(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 10);
}
