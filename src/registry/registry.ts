import type { NodeRecord } from "./node-record.ts";

/** A record that was refused, and what still counts instead. */
export interface Refusal {
  /** Where it stands: a file, with its line where one is to blame (`nodes/n1.yaml:7`), or an object. */
  readonly where: string;
  /** Name of the node, as far as it is known. */
  readonly name?: string;
  /** What is wrong, with the field and its value. */
  readonly what: string;
  readonly remedy: string;
  /** Whether an earlier record of this node goes on to count. */
  readonly kept: boolean;
  /** The record itself, where it is only that it contradicts others. */
  readonly record?: NodeRecord;
}

/** All nodes at one moment. */
export interface RegistryState {
  /** Grows, or at least changes, with every change: the resourceVersion of Kubernetes, a counter for a directory. */
  readonly version: string;
  /** In the order of their names; no two contradict each other. */
  readonly nodes: readonly NodeRecord[];
  readonly refusals: readonly Refusal[];
}

/**
 * Where nodes publish themselves and find each other. Implementations: a directory of YAML files (`directory.ts`), and
 * the API of Kubernetes. All pass test/unit/registry/registry-suite.ts.
 */
export interface Registry extends AsyncDisposable {
  /**
   * Publishes this node's own record: all of it, in one step. Nothing is written when it is there already, but for its
   * generation, which is then the one that is there.
   * @returns The record as it now stands. @throws Fault 5, 11 when it cannot be written.
   */
  publish(record: NodeRecord): Promise<NodeRecord>;
  /** Takes a node's record away; one that is not there is fine. @throws Fault 5. */
  withdraw(name: string): Promise<void>;
  /** All nodes now, read anew. What is wrong with one keeps no other from being read. @throws Fault 5 when nothing can be read. */
  list(): Promise<RegistryState>;
  /**
   * The state at once, or as soon as anything is known, and then after each change (changes that come together are one);
   * ends with `signal`. While the registry cannot be read the last state stays, and `onError` is told, once for each
   * reason; `onRecovered` when all of them have gone.
   */
  watch(signal: AbortSignal, onError: (error: Error) => void, onRecovered?: () => void): AsyncIterable<RegistryState>;
}
