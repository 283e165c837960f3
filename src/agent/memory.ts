import type { AgentConfig } from "../config/agent.ts";
import type { MeshPlan } from "../mesh/mesh-plan.ts";
import { PeerBook } from "./peer-book.ts";
import { Prober } from "./probe/prober.ts";

/**
 * What goes over from an agent to the one that takes its place with another configuration: peers are not found anew, and
 * nothing is said of what has not changed. An agent that is started needs none of it.
 */
export class AgentMemory implements Disposable {
  readonly book = new PeerBook();
  /** The last plan. */
  plan: MeshPlan | undefined;
  #prober: Prober | undefined;
  #settings: AgentConfig["probe"] | undefined;

  /** The prober of a configuration: the one that there is, unless it was another configuration's. */
  prober(settings: AgentConfig["probe"]): Prober {
    if (this.#prober !== undefined && JSON.stringify(settings) === JSON.stringify(this.#settings)) return this.#prober;
    this.#prober?.[Symbol.dispose]();
    this.#settings = settings;
    this.#prober = new Prober(settings);
    return this.#prober;
  }

  [Symbol.dispose](): void {
    this.#prober?.[Symbol.dispose]();
    this.#prober = undefined;
  }
}
