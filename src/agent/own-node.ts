import type { AgentConfig } from "../config/agent.ts";
import type { Address } from "../net/address.ts";
import type { Prefix } from "../net/prefix.ts";
import type { NodeRecord } from "../registry/node-record.ts";
import { recordText } from "../registry/record-text.ts";
import type { Registry, RegistryState } from "../registry/registry.ts";
import { textOf } from "./driver-keeper.ts";
import type { AgentJournal } from "./journal.ts";
import { ownPrefixes, publishedRecord } from "./own-prefixes.ts";
import { hasKeyOf, type OwnKeys, ownRecord } from "./own-record.ts";

/** Where what a node tells of itself comes from. */
export interface OwnSources {
  readonly config: AgentConfig;
  readonly registry: Registry;
  readonly keys: () => OwnKeys;
  /** Public keys of all drivers, also of those that the configuration does not have any more. */
  readonly knownKeys: () => ReadonlySet<string>;
  /** @throws when they cannot be read now. */
  readonly underlay: () => Promise<readonly Address[]>;
  /** The subnets of the node's network configurations. @throws Fault. */
  readonly cniPrefixes: () => readonly Prefix[];
  readonly log: AgentJournal;
}

/** This node's record: keeps the registry's as it should be. */
export class OwnNode {
  readonly #sources: OwnSources;
  #last: NodeRecord | undefined;
  #error: string | undefined;
  #underlay: readonly Address[] | undefined;

  constructor(sources: OwnSources) {
    this.#sources = sources;
  }

  /** Why the registry does not have it as it should be. */
  get error(): string | undefined {
    return this.#error;
  }

  /** As it was published last. */
  get record(): NodeRecord | undefined {
    return this.#last;
  }

  /** This node as the registry has it for everybody; undefined when it has none, or one that is somebody else's. */
  in({ nodes }: RegistryState): NodeRecord | undefined {
    const { config, knownKeys } = this.#sources;
    const own = nodes.find(({ name }) => name === config.name);
    return own !== undefined && hasKeyOf(own, knownKeys()) ? own : undefined;
  }

  /**
   * Publishes what is not there yet, or has changed.
   * @param isSameUnderlay Nobody has told that the underlay's addresses changed: they need not be read again.
   * @returns False when that failed: to be tried again.
   */
  async publish(state: RegistryState, isSameUnderlay = false): Promise<boolean> {
    try {
      if (!isSameUnderlay) this.#underlay = undefined;
      await this.#publish(state);
      if (this.#error !== undefined) this.#sources.log("info", "own record is published again");
      this.#error = undefined;
      return true;
    } catch (error) {
      const what = textOf(error);
      if (what !== this.#error) this.#sources.log("error", "own record is not published", { error: what });
      this.#error = what;
      return false;
    }
  }

  async #publish(state: RegistryState): Promise<void> {
    const { config, registry, keys, knownKeys, log } = this.#sources;
    const there = publishedRecord(config.name, state);
    const own = there !== undefined && hasKeyOf(there, knownKeys()) ? there : undefined;
    const prefixes = ownPrefixes({
      name: config.name,
      source: config.pods,
      state,
      published: own ?? this.#last,
      last: this.#last,
      cni: config.pods.from === "cni" ? this.#sources.cniPrefixes() : [],
      now: Date.now(),
    });
    this.#underlay ??= config.underlay.private === undefined ? await this.#sources.underlay() : [];
    const underlay = this.#underlay;
    const record = ownRecord(config, { keys: keys(), underlay, ...prefixes });
    if (own !== undefined && isSame(own, record) && !isDamaged(record, state)) {
      this.#last = own;
      return;
    }
    const before = this.#last;
    this.#last = await registry.publish(record);
    const { generation } = this.#last;
    if (before !== undefined && isSame(before, this.#last)) return; // somebody had taken it away
    log("info", "own record published", {
      generation,
      prefixes: record.podPrefixes.join(","),
      underlay: [...record.underlay.private, ...record.underlay.public].join(","),
    });
  }
}

/** Whether what stands there of this node is refused, and the node goes by what stood there before. */
function isDamaged(own: NodeRecord, { refusals }: RegistryState): boolean {
  const isOther = (record: NodeRecord | undefined) => record === undefined || !isSame(record, own);
  return refusals.some(({ name, kept, record }) => name === own.name && kept && isOther(record));
}

/** Whether both say the same, apart from their generation. */
function isSame(one: NodeRecord, other: NodeRecord): boolean {
  return recordText({ ...one, generation: 0 }) === recordText({ ...other, generation: 0 });
}
