import { expect } from "vitest";
import { RuntimeError } from "../../../src/cni/runtime.ts";
import type { Node } from "../../../src/testbed/node.ts";
import type { AttachOptions, Pod } from "../../../src/testbed/pod.ts";
import { diffSnapshots } from "../../../src/testbed/snapshot.ts";
import type { StockHub } from "../../../src/testbed/stock-hub.ts";
import { BUILT } from "./cluster.ts";
import { eventually } from "./eventually.ts";

/** A plugin's CNI error. */
export interface CniFailure {
  readonly code: number;
  readonly msg: string;
  readonly details: string;
}

/** The CNI error with which `call` fails; anything else that comes of it fails the test. */
export async function failure(call: Promise<unknown>): Promise<CniFailure> {
  try {
    await call;
  } catch (error) {
    if (error instanceof RuntimeError) return error;
    throw error;
  }
  throw new Error("the call succeeded");
}

/** What else a {@link failedAdd} does. */
export interface FailedAddOptions extends AttachOptions {
  /** Milliseconds that it may take. */
  readonly within?: number;
  /** Runs after the ADD, before anything is compared. */
  readonly afterwards?: () => Promise<void>;
  /** Runs beside the ADD. */
  readonly meanwhile?: (pod: Pod) => Promise<void>;
}

/** An ADD that failed: its error, and how long it took in milliseconds. */
export type FailedAdd = CniFailure & { readonly took: number };

/**
 * An ADD that must fail, and leave neither the node nor the pod's namespace different from before. No DEL follows:
 * what the failed ADD left is there to be seen. The node must have had a pod before: the bridge and the directories of
 * its first pod stay.
 */
export async function failedAdd(
  node: Node,
  configuration: Readonly<Record<string, unknown>>,
  options: FailedAddOptions = {},
): Promise<FailedAdd> {
  const { within = 10_000, meanwhile, afterwards, ...attach } = options;
  await using pod = await node.addPod("failing");
  const before = await node.snapshot();
  const start = performance.now();
  const [error] = await Promise.all([failure(pod.add(configuration, { ...BUILT, ...attach })), meanwhile?.(pod)]);
  const took = performance.now() - start;
  await afterwards?.();
  expect(diffSnapshots(before, await node.snapshot())).toEqual([]);
  expect(took).toBeLessThan(within);
  const { code, msg, details } = error;
  return { code, msg, details, took };
}

/** Waits until a hub holds no SA and no lease. */
export async function hubForgets(hub: StockHub): Promise<void> {
  await eventually("the hub holds no SA and no lease", 5000, async () => {
    const [sas, pools] = [await hub.swanctl("--list-sas"), await hub.swanctl("--list-pools", "--leases")];
    return sas.trim() === "" && !/\bonline\b/.test(pools);
  });
}
