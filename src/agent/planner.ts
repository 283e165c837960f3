import type { AgentConfig } from "../config/agent.ts";
import { diffPlans, isSamePlan, withUnchanged } from "../mesh/diff.ts";
import { differenceLines } from "../mesh/diff-lines.ts";
import type { MeshPlan } from "../mesh/mesh-plan.ts";
import { plan } from "../mesh/plan.ts";
import type { NodeRecord } from "../registry/node-record.ts";
import type { RegistryState } from "../registry/registry.ts";
import type { AgentJournal } from "./journal.ts";
import type { AgentMemory } from "./memory.ts";
import type { OwnNode } from "./own-node.ts";

/** What was planned last, and from what. */
export interface Planned {
  readonly state: RegistryState;
  /** Names of the nodes that were held for dead. */
  readonly down: string;
  readonly own: NodeRecord;
  readonly plan: MeshPlan;
}

/** Plans whenever what the plan follows from is another than the last time, and tells of each difference. */
export class Planner {
  readonly #config: AgentConfig;
  readonly #own: OwnNode;
  readonly #memory: Pick<AgentMemory, "book" | "plan">;
  readonly #log: AgentJournal;
  #planned: Planned | undefined;

  constructor(config: AgentConfig, own: OwnNode, memory: Pick<AgentMemory, "book" | "plan">, log: AgentJournal) {
    this.#config = config;
    this.#own = own;
    this.#memory = memory;
    this.#log = log;
  }

  get planned(): Planned | undefined {
    return this.#planned;
  }

  /**
   * The plan that counts. While the registry does not have this node (its record is refused, or somebody took it away)
   * the last one goes on to count.
   */
  plan(state: RegistryState | undefined): Planned | undefined {
    const own = state && this.#own.in(state);
    if (state === undefined || own === undefined) return this.#planned;
    const { name, topology, pods } = this.#config;
    // Who is down matters where there are gateways alone.
    const down = topology === "site" ? this.#memory.book.down() : new Set<string>();
    const downText = [...down].sort().join(" ");
    const before = this.#planned;
    if (before?.state === state && before.down === downText) return before;
    const network = pods.from === "network" ? pods.cuts.map((cut) => cut.network) : [];
    const after = plan(state.nodes, name, { topology, down, network });
    const known = before?.plan ?? this.#memory.plan;
    const difference = diffPlans(known, after);
    for (const line of differenceLines(difference)) this.#log("info", line);
    // The same plan stays the same object: then nobody has anything to do.
    const kept = known !== undefined && isSamePlan(difference) ? known : withUnchanged(known, after, difference);
    this.#memory.plan = kept;
    this.#memory.book.set(kept.peers, Date.now());
    this.#planned = { state, down: downText, own, plan: kept };
    return this.#planned;
  }
}
