// What a pod costs with `vpn.attach: "pod"` and with `"node"`, where the kernel has ESP and XFRM interfaces:
//   node scripts/lab.mjs bench/attach.bench.ts
// There everything is about twenty times slower than on the machine below: only the ratios say something.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import type { Node } from "../src/testbed/node.ts";
import type { Pod } from "../src/testbed/pod.ts";
import { BUILT } from "../test/netns/support/cluster.ts";
import { kernelConf } from "../test/netns/support/kernel-esp.ts";
import { HUB_VIRTUAL, PodvpnHub } from "../test/netns/support/podvpn-hub.ts";
import { readMemory } from "./memory.ts";
import { summary } from "./statistics.ts";

const PODS = 100;
const MODES = ["pod", "node"] as const;
/** Milliseconds, for all of it. */
const BOUND = 3_600_000;

/** What the pods of one mode cost. */
interface Cost {
  /** Milliseconds of each ADD, one after the other. */
  readonly adds: readonly number[];
  readonly dels: readonly number[];
  /** KiB for each pod: all that the machine has less of, and of it what charon has for itself. */
  readonly memory: number;
  readonly charon: number;
}

test(
  `memory and time of ${PODS} pods, by attach`,
  async () => {
    await using cluster = await PodvpnHub.cluster(1, "kernel");
    const node = cluster.node(1);
    for (const attach of MODES) {
      const { adds, dels, memory, charon } = await measure(node, attach);
      const [add, del] = [summary(adds), summary(dels)].map(({ min, median, max }) => {
        return `${median.toFixed(0)} ms (${min.toFixed(0)} to ${max.toFixed(0)})`;
      });
      console.log(`attach ${attach}: ADD ${add}, DEL ${del}; each pod ${memory} KiB, of it charon ${charon} KiB`);
    }
  },
  BOUND,
);

async function measure(node: Node, attach: (typeof MODES)[number]): Promise<Cost> {
  const configuration = kernelConf({ vpn: { attach } });
  const first = await node.addPod(`${attach}first`); // the bridge, the executable's addons, the node's charon's start
  await first.add(configuration, BUILT);
  const pods: Pod[] = [];
  for (let index = 0; index < PODS; index += 1) pods.push(await node.addPod(`${attach}${index}`));
  const before = used();
  const charons = charonMemory(node);
  const adds = await times(pods, (pod) => pod.add(configuration, BUILT));
  for (const pod of [pods[0], pods.at(-1)]) expect(await pod?.ping(HUB_VIRTUAL[4])).toBe(true);
  const cost = {
    memory: Math.round((used() - before) / PODS),
    charon: Math.round((charonMemory(node) - charons) / PODS),
  };
  const dels = await times(pods, (pod) => pod.del(configuration, BUILT));
  await first.del(configuration, BUILT);
  for (const pod of [...pods, first]) await pod.remove();
  return { adds, dels, ...cost };
}

async function times(pods: readonly Pod[], work: (pod: Pod) => Promise<unknown>): Promise<number[]> {
  const all: number[] = [];
  for (const pod of pods) {
    const begin = performance.now();
    await work(pod);
    all.push(performance.now() - begin);
  }
  return all;
}

/** KiB that the machine has not to give, without what it only keeps because nobody wants it. */
function used(): number {
  writeFileSync("/proc/sys/vm/drop_caches", "3");
  const field = (name: string) =>
    Number(new RegExp(`^${name}: +(\\d+) kB$`, "m").exec(readFileSync("/proc/meminfo", "utf8"))?.[1]);
  return field("MemTotal") - field("MemFree") - field("Cached") - field("Buffers") + field("Shmem");
}

/** KiB that the charons of a node share with nobody else. */
function charonMemory(node: Node): number {
  const namespace = `--ns=${node.pid}`;
  const pids = execFileSync("pgrep", [namespace, "--nslist", "pid", "charon"], { encoding: "utf8" }).trim().split("\n");
  return pids.map((pid) => readMemory(Number(pid)).pss).reduce((sum, each) => sum + each, 0);
}
