import { defineConfig } from "vitest/config";

/** Imports of workspace packages (`vici`) reach their TypeScript, not what was built of it. */
const conditions = ["podvpn-source"];

interface RingOptions {
  /** Milliseconds, for each test. */
  timeout: number;
  parallel: boolean;
  workers?: number;
  isolate?: boolean;
  /** Its files; absent: all in the folder of its name. */
  include?: string;
}

/** One project ("ring") a folder. Bounds are for the slowest machine that tests run on: two busy cores. */
function ring(name: string, options: RingOptions) {
  return {
    resolve: { conditions },
    ssr: { resolve: { conditions, externalConditions: conditions } },
    test: {
      name,
      include: [options.include ?? `test/${name}/**/*.test.ts`],
      pool: "forks" as const, // native addons and setns(2) belong to a process, not to a worker thread
      execArgv: conditions.map((condition) => `--conditions=${condition}`),
      fileParallelism: options.parallel,
      ...(options.workers === undefined ? {} : { maxWorkers: options.workers }),
      isolate: options.isolate ?? true,
      testTimeout: options.timeout,
      hookTimeout: options.timeout,
      teardownTimeout: 30_000,
    },
  };
}

export default defineConfig({
  test: {
    allowOnly: false,
    projects: [
      // One process for many files: to start one for each took longer than what is in them.
      ring("unit", { timeout: 20_000, parallel: true, workers: 2, isolate: false }),
      ring("fuzz", { timeout: 300_000, parallel: true, workers: 2 }),
      ring("build", { timeout: 180_000, parallel: false }),
      // Two files at a time, on however many cores: daemons wait more than they work, and more would only wait on each
      // other.
      ring("netns", { timeout: 120_000, parallel: true, workers: 2 }),
      // Agents on several nodes; and what of that is too long for `npm test`.
      ring("mesh", { timeout: 120_000, parallel: true, workers: 3, include: "test/mesh/*.test.ts" }),
      ring("mesh-full", { timeout: 120_000, parallel: true, workers: 2, include: "test/mesh/full/*.test.ts" }),
      // Black box: any plugin against the CNI specification.
      ring("conformance", { timeout: 120_000, parallel: true, workers: 2 }),
      // The programs that call plugins on a real node: cnitool, podman, containerd.
      ring("runtimes", { timeout: 180_000, parallel: true, workers: 2 }),
      // Random faults on three nodes; the number of them is an option of its own command.
      ring("soak", { timeout: 7_200_000, parallel: false }),
      // A kubelet and an API server, built from source: not part of `npm test`.
      ring("kubernetes", { timeout: 900_000, parallel: false }),
      // Runs on an emulated machine, whose kernel has what this one's may lack.
      ring("lab", { timeout: 600_000, parallel: false }),
    ],
  },
});
