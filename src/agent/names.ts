import type { Address } from "../net/address.ts";
import type { Prefix } from "../net/prefix.ts";
import { textOf } from "./driver-keeper.ts";
import type { AgentJournal } from "./journal.ts";

/** Addresses of host names; one without any is not in the map. */
export type Resolve = (
  names: readonly string[],
  mesh: readonly Prefix[],
) => Promise<ReadonlyMap<string, readonly Address[]>>;

/** What is known of host names. Resolves in the background: a name server that is dead holds nobody up. */
export class Names {
  readonly #resolve: Resolve;
  readonly #log: AgentJournal;
  readonly #asked = new Set<string>();
  #known: ReadonlyMap<string, readonly Address[]> = new Map();

  constructor(resolve: Resolve, log: AgentJournal) {
    this.#resolve = resolve;
    this.#log = log;
  }

  /** The last answers; a name server that is silent makes nothing forgotten. */
  get known(): ReadonlyMap<string, readonly Address[]> {
    return this.#known;
  }

  /** Asks for those that nobody is asking for; `onAnswer` is called when there is an address. Never throws. */
  async ask(names: ReadonlySet<string>, mesh: readonly Prefix[], onAnswer: () => void): Promise<void> {
    const fresh = [...names].filter((name) => !this.#asked.has(name));
    if (fresh.length === 0) return;
    for (const name of fresh) this.#asked.add(name);
    try {
      const found = await this.#resolve(fresh, mesh);
      if (found.size === 0) return;
      this.#known = new Map([...this.#known, ...found]);
      onAnswer();
    } catch (error) {
      this.#log("error", "names cannot be resolved", { names: fresh.join(","), error: textOf(error) });
    } finally {
      for (const name of fresh) this.#asked.delete(name);
    }
  }
}
