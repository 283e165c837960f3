import type { MeshPlan, PlannedPeer } from "../mesh/mesh-plan.ts";
import { type Endpoint, endpointText, sameEndpoint } from "../net/endpoint.ts";
import type { Driver, NodeRecord } from "../registry/node-record.ts";
import { backOff } from "./back-off.ts";
import type { TunnelDriver, WantedTunnels } from "./driver.ts";
import { textOf } from "./driver-keeper.ts";
import { type LoopState, unhealthy, unready } from "./http/checks.ts";
import type { Metric } from "./http/exposition.ts";
import { DURATION_BOUNDS, Histogram } from "./http/histogram.ts";
import { agentMetrics } from "./http/metrics.ts";
import type { AgentQueries } from "./http/routes.ts";
import type { AgentMemory } from "./memory.ts";
import { Names, type Resolve } from "./names.ts";
import { OwnNode, type OwnSources } from "./own-node.ts";
import type { PeerBook } from "./peer-book.ts";
import { peerLine } from "./peer-line.ts";
import { type Planned, Planner } from "./planner.ts";
import type { Probes } from "./probe/prober.ts";
import { type Reason, Reasons } from "./reasons.ts";
import { RegistryFollower } from "./registry-follower.ts";
import { type ChangeableKeys, Rotator } from "./rotator.ts";
import { statusOf } from "./snapshot.ts";
import { splitPlan } from "./split.ts";
import type { AgentStatus } from "./status.ts";
import { Tunnels } from "./tunnels.ts";

/** Milliseconds after which everything is looked at although nobody said that it changed. */
const UPKEEP = 30_000;
/** Milliseconds for which an observation is good enough for whoever asks for the status. */
const OBSERVATION = 1000;
/** Milliseconds between two observations for the sake of answers that are late. */
const DOUBT = 500;
/** Milliseconds in which changes of addresses come together: an interface that goes up makes several. */
const SETTLING = 200;
/** Milliseconds between two looks for the sake of endpoints, at least. */
const SHORTEST_TRY = 1000;

/** Milliseconds after which a change of keys that waits is looked at again. */
const ROTATION = 1000;

/** What an agent works with. */
export interface AgentParts extends OwnSources {
  /** In the order of the configuration. */
  readonly drivers: readonly TunnelDriver[];
  /** What an agent with another configuration has made on this node, and is not wanted any more. */
  readonly leftovers: readonly TunnelDriver[];
  readonly probes: Probes;
  /** Of the agent before this one, or nobody's. */
  readonly memory: Pick<AgentMemory, "book" | "plan">;
  /** Calls back when the underlay's addresses may be others. */
  readonly followUnderlay: (onChange: () => void) => Disposable;
  readonly resolve: Resolve;
  readonly changeableKeys: ChangeableKeys;
}

/** Reasons after which what is there is compared with what is wanted, though the same may be wanted as before. */
const APPLY: readonly Reason[] = ["start", "registry", "died", "underlay", "rotation", "retry", "timer"];
/** Reasons after which this node's record may be another one. */
const PUBLISH: readonly Reason[] = ["start", "registry", "underlay", "rotation", "retry", "timer"];

/** Reasons that say nothing of what the node has: drivers may go by what they knew. */
const WISH: readonly Reason[] = ["registry", "health", "doubt", "names", "endpoints"];

/** Reasons after which a change of keys may go on. */
const ROTATE: readonly Reason[] = ["start", "registry", "rotation", "timer"];

/**
 * The loop: whatever happens becomes a reason, and a round brings everything to what it should be, from the registry to
 * the tunnels. Rounds come one after the other; a round that finds nothing changed writes nothing and says nothing.
 */
export class Agent implements AgentQueries {
  readonly #parts: AgentParts;
  readonly #reasons = new Reasons();
  readonly #registry: RegistryFollower;
  readonly #own: OwnNode;
  readonly #tunnels: Tunnels;
  readonly #names: Names;
  readonly #rotator: Rotator;
  readonly #planner: Planner;
  readonly #book: PeerBook;
  readonly #rounds = new Histogram(DURATION_BOUNDS);
  readonly #startedAt = Date.now();
  readonly #probes: Probes;
  #probeErrors: readonly string[] = [];
  #publishFailures = 0;
  #endpoints: ReadonlyMap<string, Endpoint> = new Map();
  #wanted: ReadonlyMap<Driver, WantedTunnels> | undefined;
  #observedAt = Number.NEGATIVE_INFINITY;
  #roundSince: number | undefined;
  #roundEnded = performance.now();
  /** How long it took, in milliseconds. */
  #lastRound = 0;
  /** Rounds, and whoever else looks at the tunnels: one after the other. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(parts: AgentParts) {
    const { config, registry, drivers, leftovers, resolve, changeableKeys, probes, memory, log } = parts;
    this.#parts = parts;
    this.#registry = new RegistryFollower(registry, log);
    this.#own = new OwnNode(parts);
    this.#tunnels = new Tunnels(drivers, leftovers, this.#reasons, log);
    this.#names = new Names(resolve, log);
    this.#probes = probes;
    this.#planner = new Planner(config, this.#own, memory, log);
    this.#book = memory.book;
    this.#rotator = new Rotator(changeableKeys, config.rotateEvery, log);
  }

  /** Works until `signal` aborts, and then lets go of everything and cuts nothing. */
  async run(signal: AbortSignal): Promise<void> {
    using reasons = this.#reasons;
    await using _tunnels = this.#tunnels;
    const onDoubt = () => reasons.addLater("doubt", Math.max(0, this.#observedAt + DOUBT - performance.now()));
    using _probes = this.#probes.listen({ onChange: () => reasons.add("health"), onDoubt });
    using _underlay = this.#parts.followUnderlay(() => reasons.addLater("underlay", SETTLING));
    reasons.add("start");
    const following = this.#registry.run(signal, () => reasons.add("registry"));
    while (!signal.aborted) {
      const taken = await reasons.take(signal);
      if (taken.size > 0) await this.#exclusive(() => this.#timedRound(taken));
    }
    await following;
    await this.#turn;
  }

  async status(): Promise<AgentStatus> {
    // While a round is under way it is looked at anyway; and one that hangs must not hide itself.
    const isOld = () => performance.now() - this.#observedAt > OBSERVATION;
    if (this.#roundSince === undefined && isOld()) {
      await this.#exclusive(async () => {
        if (isOld()) await this.#look();
      });
    }
    return statusOf({
      config: this.#parts.config,
      pid: process.pid,
      startedAt: this.#startedAt,
      ready: this.unready().length === 0,
      own: this.#own.record,
      registry: this.#registry,
      publishError: this.#own.error,
      drivers: this.#tunnels.status(),
      plan: this.#planner.planned?.plan,
      views: this.#book.views(),
      report: (name) => this.#probes.report(name),
      rotation: this.#rotator.status,
      now: Date.now(),
    });
  }

  async metrics(): Promise<readonly Metric[]> {
    const status = await this.status();
    const counters = { rounds: this.#rounds.sample({}), registryChanges: this.#registry.changes };
    return agentMetrics(status, { ...counters, ...this.#tunnels.counters() }, Date.now());
  }

  unhealthy(): readonly string[] {
    return unhealthy(this.#loopState());
  }

  unready(): readonly string[] {
    return unready(this.#loopState());
  }

  async rotate(): Promise<string> {
    const answer = this.#rotator.ask();
    this.#reasons.add("rotation");
    return answer;
  }

  #loopState(): LoopState {
    return {
      now: performance.now(),
      ...(this.#roundSince !== undefined && { roundSince: this.#roundSince }),
      roundEnded: this.#roundEnded,
      registryRead: this.#registry.state !== undefined,
      applied: this.#tunnels.hasApplied,
      failing: this.#tunnels.failing,
    };
  }

  #exclusive<T>(act: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(act);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #timedRound(reasons: ReadonlySet<Reason>): Promise<void> {
    const began = performance.now();
    this.#roundSince = began;
    try {
      await this.#round(reasons);
    } catch (error) {
      // What can fail is caught where it is done: this is a fault of ours, and the next round may be without it.
      this.#parts.log("error", "round failed", { error: textOf(error) });
      this.#reasons.addLater("retry", UPKEEP);
    } finally {
      this.#roundEnded = performance.now();
      this.#roundSince = undefined;
      this.#lastRound = this.#roundEnded - began;
      this.#rounds.observe(this.#lastRound / 1000);
      this.#reasons.addLater("timer", UPKEEP);
    }
  }

  async #round(reasons: ReadonlySet<Reason>): Promise<void> {
    const has = (some: readonly Reason[]) => some.some((reason) => reasons.has(reason));
    const isOnly = (some: readonly Reason[]) => [...reasons].every((reason) => some.includes(reason));
    if (has(PUBLISH)) await this.#publish(isOnly(["registry"]));
    const before = this.#planner.planned?.plan;
    this.#planner.plan(this.#registry.state);
    // Another wish says nothing of the tunnels that there are, and whoever comes anew has none.
    if (before === undefined || !isOnly(["registry"])) await this.#look();
    const planned = this.#planner.plan(this.#registry.state); // gateways that were just found dead are passed by
    if (planned === undefined) return; // the registry tells when it has this node
    const isMoved = this.#chooseEndpoints(planned.plan);
    const isPlanned = planned.plan !== before;
    // What goes to a node that has left is not guarded any more as soon as its tunnel has gone.
    if (isPlanned) this.#probes.keep(planned.plan.peers);
    if (isPlanned || isMoved || this.#wanted === undefined) this.#wanted = this.#split(planned);
    const context = { planned: isPlanned, moved: isMoved, basis: isOnly(WISH) ? "known" : "read" } as const;
    if (isPlanned || isMoved || has(APPLY)) await this.#tunnels.apply(this.#wanted, context);
    await this.#probe(planned.own, planned.plan.peers);
    if (has(ROTATE)) await this.#rotate(planned);
  }

  async #rotate({ state, plan: { name } }: Planned): Promise<void> {
    if (await this.#rotator.step(state.nodes, name, this.#tunnels.keyChanges())) this.#reasons.add("rotation");
    else if (this.#rotator.status !== undefined) this.#reasons.addLater("rotation", ROTATION);
  }

  async #publish(isSameUnderlay: boolean): Promise<void> {
    const { state } = this.#registry;
    if (state === undefined) return;
    const isDone = await this.#own.publish(state, isSameUnderlay);
    this.#publishFailures = isDone ? 0 : this.#publishFailures + 1;
    if (!isDone) this.#reasons.addLater("retry", backOff(this.#publishFailures));
  }

  /** Looks at all tunnels, and tells of peers whose state is another one. */
  async #look(): Promise<void> {
    const tunnels = await this.#tunnels.observe();
    this.#observedAt = performance.now();
    const probes = this.#probes;
    const changes = this.#book.look({
      tunnels,
      health: (name) => probes.health(name),
      isDoubtful: (name) => probes.isDoubtful(name),
      isHeard: (name) => probes.isHeard(name),
      now: Date.now(),
    });
    for (const change of changes) this.#parts.log(...peerLine(change, probes.report(change.view.peer.name)));
  }

  /** @returns Whether the drivers have to hear of it: an endpoint is another one, or is tried again. */
  #chooseEndpoints(current: MeshPlan): boolean {
    const now = performance.now();
    const { endpoints, moved, names, askAt } = this.#book.choose(this.#names.known, now);
    if (askAt !== undefined) {
      // With many peers without a tunnel they come together: a fiftieth of the time at most is spent on them.
      const pause = Math.max(SHORTEST_TRY, 50 * this.#lastRound);
      this.#reasons.addLater("endpoints", Math.max(pause, askAt - now));
    }
    void this.#names.ask(names, current.guarded, () => this.#reasons.add("names"));
    for (const { name, endpoint } of moved) {
      this.#parts.log("debug", "endpoint tried", { peer: name, endpoint: endpointText(endpoint) });
      this.#probes.hurry(name);
    }
    const before = this.#endpoints;
    this.#endpoints = endpoints;
    return moved.length > 0 || !sameEndpoints(before, endpoints);
  }

  #split({ plan: current, own }: Planned): ReadonlyMap<Driver, WantedTunnels> {
    const { drivers, mtu } = this.#parts.config;
    return splitPlan(current, {
      drivers,
      addresses: own.addresses,
      ...(mtu !== undefined && { mtu }),
      endpointOf: ({ name }) => this.#endpoints.get(name),
      isLost: ({ name }) => this.#book.isLost(name),
    });
  }

  async #probe(own: NodeRecord, peers: readonly PlannedPeer[]): Promise<void> {
    const failures = await this.#probes.set(own.addresses, peers);
    const errors = failures.map(textOf);
    for (const error of errors) if (!this.#probeErrors.includes(error)) this.#parts.log("error", error);
    this.#probeErrors = errors;
    if (errors.length > 0) this.#reasons.addLater("retry", backOff(1));
  }
}

function sameEndpoints(one: ReadonlyMap<string, Endpoint>, other: ReadonlyMap<string, Endpoint>): boolean {
  if (one.size !== other.size) return false;
  for (const [name, endpoint] of one) {
    const there = other.get(name);
    if (there === undefined || !sameEndpoint(endpoint, there)) return false;
  }
  return true;
}
