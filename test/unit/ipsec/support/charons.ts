import { type MeshConnection, meshFingerprints, selectorsFingerprint } from "../../../../src/ipsec/mesh-connection.ts";
import { heldPeers } from "../../../../src/ipsec/mesh-held.ts";
import { type MeshName, meshNameText, meshReqid, trapNameText } from "../../../../src/ipsec/mesh-name.ts";
import {
  type MeshStep,
  meshNumbers,
  type PeerProgress,
  planPeer,
  type WantedPeer,
} from "../../../../src/ipsec/mesh-plan.ts";
import { aggregate } from "../../../../src/net/aggregate.ts";
import { type Prefix, parsePrefix } from "../../../../src/net/prefix.ts";

// Two charons with libipsec, as far as it matters who sends by which tunnel: the newest policy of the greater kind that
// there is decides, and of the tunnels with its reqid the newest.

/** What a node tells of itself. */
export interface Told {
  readonly key: string;
  readonly next?: string;
  readonly prefixes: readonly string[];
}

interface Loaded {
  readonly name: MeshName;
  readonly connection: MeshConnection;
}

interface Sa {
  readonly id: number;
  /** The same on both sides. */
  readonly tunnel: number;
  readonly name: MeshName;
  readonly initiator: boolean;
  readonly local: readonly Prefix[];
  readonly remote: readonly Prefix[];
}

interface Policy {
  readonly kind: "default" | "routed";
  readonly reqid: number;
  readonly of: string;
}

let tunnels = 0;

/** One of the two nodes, with its agent and its charon. */
export class Side {
  readonly loaded = new Map<string, Loaded>();
  readonly traps = new Set<string>();
  sas: Sa[] = [];
  /** The newest first. */
  #policies: Policy[] = [];
  #other: Side | undefined;
  #ids = 0;
  /** What this node tells; and what it has heard of the other one. */
  told: Told;
  heard: Told | undefined;
  isLost = false;
  isLate = false;
  progress: PeerProgress | undefined;
  /** Connections that were initiated since something last changed. */
  readonly tried = new Set<string>();
  /** Moments in which packets were sent that the other side could not take yet, or not any more. */
  readonly losses: string[] = [];
  /** Times from which on nothing could be sent. */
  readonly outages: string[] = [];

  constructor(
    readonly name: string,
    told: Told,
    private readonly designated: boolean,
  ) {
    this.told = told;
  }

  meet(other: Side): void {
    this.#other = other;
    this.heard = other.told;
  }

  get other(): Side {
    if (this.#other === undefined) throw new TypeError("no other side");
    return this.#other;
  }

  /** The tunnel that this side sends by; undefined: what it sends is dropped. */
  get sendsBy(): number | undefined {
    const policy = this.#policies.find(({ kind }) => kind === "default") ?? this.#policies[0];
    return this.sas.findLast(({ name }) => meshReqid(name) === policy?.reqid)?.tunnel;
  }

  /** All that its charon has. */
  get text(): string {
    return JSON.stringify([[...this.loaded.keys(), ...this.traps], this.sas]);
  }

  get connection(): MeshConnection {
    const { told, heard } = this;
    if (heard === undefined) throw new TypeError("nothing heard");
    const keys = [heard.next, heard.key].filter((key) => key !== undefined);
    const [first = heard.key, ...others] = keys;
    return {
      peer: this.other.name,
      identity: this.name,
      peerIdentity: this.other.name,
      authentication: { by: "key", own: told.next ?? told.key, peer: [first, ...others] },
      local: prefixes(told.prefixes),
      remote: prefixes(heard.prefixes),
      ...(this.designated ? { endpoint: "10.9.0.2" as MeshConnection["endpoint"] } : {}),
      dataPlane: "userspace",
      restarts: this.designated,
    } as MeshConnection;
  }

  get wanted(): WantedPeer {
    const { connection } = this;
    const { peer, local, remote } = connection;
    return {
      peer,
      local,
      remote,
      ...meshFingerprints(connection),
      selectors: selectorsFingerprint(connection),
      endpoint: "10.9.0.2" as NonNullable<WantedPeer["endpoint"]>,
      designated: this.designated,
    };
  }

  /**
   * One apply of the agent: what follows at once from what it did is done as well.
   * @param meanwhile What happens between its look at charon and what it does. @returns What it did.
   */
  apply(meanwhile: () => void = () => undefined): readonly MeshStep[] {
    const first = this.#plan();
    meanwhile();
    for (const step of first) this.#take(step);
    const second = this.#plan();
    for (const step of second) this.#take(step);
    return [...first, ...second];
  }

  #plan(): readonly MeshStep[] {
    const held = heldPeers(
      [...this.loaded.keys(), ...this.traps].map((name) => ({ name, remoteAddrs: ["10.9.0.2", "0.0.0.0/0"] })),
      this.sas.map((sa) => ({
        name: meshNameText(sa.name),
        uniqueid: sa.id,
        state: "ESTABLISHED",
        initiator: sa.initiator,
        remoteHost: "10.9.0.2",
        childSas: [{ state: "INSTALLED", localTs: sa.local, remoteTs: sa.remote }] as never,
      })),
    );
    const { wanted } = this;
    const number = meshNumbers([wanted.peer], held).get(wanted.peer) ?? 0;
    const own = held.get(wanted.peer) ?? { connections: [], traps: [], sas: [] };
    const options = {
      traps: true,
      isLost: () => this.isLost,
      isLate: () => this.isLate,
      isProven: () => true,
      isTried: (name: MeshName) => this.tried.has(meshNameText(name)),
    };
    const { steps, progress } = planPeer(wanted, number, own, options);
    this.progress = progress;
    return steps;
  }

  #take(step: MeshStep): void {
    switch (step.do) {
      case "load":
        this.#load(step.name, step.isStrict);
        break;
      case "trap":
        this.traps.add(trapNameText(step.name));
        this.#install({
          kind: "routed",
          reqid: meshReqid({ ...step.name, generation: 0, role: "answers" }),
          of: trapNameText(step.name),
        });
        break;
      case "unload":
        this.loaded.delete(step.connection.text);
        this.traps.delete(step.connection.text);
        this.#withdraw(step.connection.text);
        break;
      case "initiate":
        this.#initiate(meshNameText(step.name));
        break;
      case "terminate":
        this.#terminate(step.sa.uniqueid);
        break;
    }
  }

  #load(name: MeshName, isStrict: boolean): void {
    const text = meshNameText(name);
    if (this.loaded.has(text)) throw new Error(`${text} is loaded twice`);
    const { connection } = this;
    const { authentication } = connection;
    const strict = authentication.by === "key" && { ...authentication, peer: [authentication.peer[0]] as const };
    this.loaded.set(text, {
      name,
      connection: isStrict && strict !== false ? { ...connection, authentication: strict } : connection,
    });
  }

  #initiate(text: string): void {
    this.tried.add(text);
    const mine = this.loaded.get(text);
    if (mine === undefined) throw new Error(`${text} is initiated, and not loaded`);
    const { other } = this;
    const theirs = [...other.loaded.values()].find(({ connection }) => accepts(connection, mine.connection));
    if (theirs === undefined) return;
    const local = common(mine.connection.local, theirs.connection.remote);
    const remote = common(mine.connection.remote, theirs.connection.local);
    if (local.length === 0 || remote.length === 0) return;
    tunnels += 1;
    const before = other.sendsBy;
    other.#establish(theirs.name, tunnels, false, remote, local);
    // It would not arrive: this side does not have it yet.
    if (before !== undefined && other.sendsBy === tunnels)
      other.losses.push(`answered ${text} and sends by it at once`);
    if (accepts(mine.connection, theirs.connection)) this.#establish(mine.name, tunnels, true, local, remote);
    else for (const sa of other.sas.filter(({ tunnel }) => tunnel === tunnels)) other.#forget(sa);
  }

  #establish(
    name: MeshName,
    tunnel: number,
    initiator: boolean,
    local: readonly Prefix[],
    remote: readonly Prefix[],
  ): void {
    this.#ids += 1;
    const before = this.sendsBy;
    this.sas.push({ id: this.#ids, tunnel, name, initiator, local, remote });
    if (name.role === "initiates") this.#install({ kind: "default", reqid: meshReqid(name), of: `sa ${this.#ids}` });
    if (before !== undefined && this.sendsBy === undefined)
      this.outages.push(`sends by nothing with ${meshNameText(name)}`);
  }

  #terminate(id: number): void {
    const sa = this.sas.find((one) => one.id === id);
    if (sa === undefined) return; // the other side has ended it
    const isLast = this.sas.length === 1;
    // What is on its way when the other side has taken it away.
    if (!isLast && this.sendsBy === sa.tunnel) this.losses.push(`ends SA ${id}, by which it sends`);
    const { other } = this;
    const theirs = other.sas.find(({ tunnel }) => tunnel === sa.tunnel);
    if (theirs !== undefined) other.#forget(theirs);
    this.#forget(sa);
    if (!isLast && this.sendsBy === undefined) this.outages.push(`sends by nothing without SA ${id}`);
    if (!isLast && other.sendsBy === undefined) other.outages.push(`sends by nothing, as SA ${id} was taken from it`);
  }

  #forget(sa: Sa): void {
    this.sas = this.sas.filter((one) => one !== sa);
    this.#withdraw(`sa ${sa.id}`);
  }

  /** Its charon is killed, and started anew. */
  die(): void {
    this.loaded.clear();
    this.traps.clear();
    this.sas = [];
    this.#policies = [];
    this.isLost = true;
    // INITIAL_CONTACT, in effect.
    for (const sa of [...this.other.sas]) this.other.#forget(sa);
  }

  #install(policy: Policy): void {
    this.#policies.unshift(policy);
  }

  #withdraw(of: string): void {
    this.#policies = this.#policies.filter((policy) => policy.of !== of);
  }
}

/** Whether one side takes what the other one proves. */
function accepts(one: MeshConnection, other: MeshConnection): boolean {
  const [mine, theirs] = [one.authentication, other.authentication];
  return mine.by === "key" && theirs.by === "key" && mine.peer.includes(theirs.own);
}

function common(some: readonly Prefix[], others: readonly Prefix[]): Prefix[] {
  return some.filter((prefix) => others.includes(prefix));
}

function prefixes(texts: readonly string[]): Prefix[] {
  return aggregate(texts.map(parsePrefix).filter((prefix) => prefix !== undefined));
}
