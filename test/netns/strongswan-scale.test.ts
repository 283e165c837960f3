import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Result } from "../../src/cni/result.ts";
import type { Node } from "../../src/testbed/node.ts";
import type { Pod } from "../../src/testbed/pod.ts";
import { addedPod, BUILT, Cluster, conf, virtualIP } from "./support/cluster.ts";
import { hubForgets } from "./support/failed-add.ts";
import { expectUnchanged } from "./support/unchanged.ts";

let cluster: Cluster;
let node: Node;

beforeAll(async () => {
  cluster = await Cluster.create(1);
  node = cluster.node();
  await using _first = await addedPod(node, "first"); // the bridge, the directories, the addons: made once for all
});
afterAll(() => cluster?.[Symbol.asyncDispose]());

/** In a version whose result has all addresses. */
const CONFIGURATION = conf({ cniVersion: "1.0.0" });
type Configuration = ReturnType<typeof conf>;

let podsMade = 0;

/** Namespaces one after the other, then all ADDs at once. */
async function addAtOnce(count: number, configuration: Configuration): Promise<{ pods: Pod[]; results: Result[] }> {
  const made: Pod[] = [];
  for (let index = 0; index < count; index += 1) {
    podsMade += 1;
    made.push(await node.addPod(`p${podsMade}`));
  }
  const results = await Promise.all(made.map((pod) => pod.add(configuration, BUILT)));
  return { pods: made, results };
}

async function removeAtOnce(pods: readonly Pod[], configuration: Configuration): Promise<void> {
  const deleted = await Promise.allSettled(pods.map((pod) => pod.del(configuration, BUILT)));
  await Promise.all(pods.map((pod) => pod.remove()));
  expect(deleted.flatMap((del) => (del.status === "rejected" ? [String(del.reason)] : []))).toEqual([]);
}

/** The pod's address on its bridge. */
function linkAddress(result: Result): string | undefined {
  return result.ips.find(({ address }) => address.startsWith("172."))?.address;
}

/** Proportional share of its memory, in kB: what is shared with other charons counts in parts. */
async function proportionalSize(pod: Pod): Promise<number> {
  const pid = (await node.readFile(`/run/podvpn/pods/${pod.containerID}+eth0/charon.pid`)).trim();
  const rollup = await readFile(node.path(`/proc/${pid}/smaps_rollup`), "utf8");
  return Number(/^Pss:\s+(\d+) kB$/m.exec(rollup)?.[1]);
}

describe("fifty pods at once on one node", () => {
  test("all get a virtual IP of their own and reach each other, and nothing is left after fifty DELs at once", async ({
    annotate,
  }) => {
    const COUNT = 50;
    const before = await node.snapshot();
    const begin = performance.now();
    const { pods, results } = await addAtOnce(COUNT, CONFIGURATION);
    const took = performance.now() - begin;

    const addresses = results.map((result) => virtualIP(result));
    expect(new Set(addresses).size).toBe(COUNT);
    expect(new Set(results.map(linkAddress)).size).toBe(COUNT);
    expect(await cluster.onlineLeases()).toHaveLength(COUNT);
    for (let index = 0; index < COUNT; index += 5) {
      const target = addresses[(index + 7) % COUNT] ?? "";
      expect(await pods[index]?.ping(target, 2), `p${index} reaches ${target}`).toBe(true);
    }

    const sizes = (await Promise.all(pods.map(proportionalSize))).sort((a, b) => a - b);
    const [median, most] = [sizes[COUNT / 2] ?? Number.NaN, sizes.at(-1) ?? Number.NaN];
    await annotate(
      `${COUNT} ADDs at once: ${took.toFixed(0)} ms; PSS of a charon: median ${median} kB, most ${most} kB`,
    );
    expect(median).toBeLessThan(4096);

    await removeAtOnce(pods, CONFIGURATION);
    await expectUnchanged(node, before);
    await hubForgets(cluster.hub);
  });
});

describe("ten pods at once on a bridge that does not exist yet", () => {
  test.each([1, 2, 3])("all work, time %i", async (time) => {
    const bridge = `cni-first${time}`;
    const ipam = { type: "host-local", subnet: `172.2${time}.1.0/24` };
    const configuration = { ...CONFIGURATION, bridge, ipam };
    const before = await node.snapshot();
    const { pods, results } = await addAtOnce(10, configuration);
    expect(new Set(results.map(linkAddress)).size).toBe(10);
    expect(new Set(results.map((result) => virtualIP(result))).size).toBe(10);
    const first = results[0];
    if (first === undefined) throw new Error("no result");
    // Nine at once through user-space ESP: slow on a busy machine, but none may be lost.
    const ping = ["ping", "-n", "-c", "2", "-i", "0.1", "-W", "20", virtualIP(first)] as const;
    const reached = await Promise.all(
      pods.slice(1).map(async (pod) => (await pod.exec(ping, { check: false })).stdout.includes(" 2 received")),
    );
    expect(reached).toEqual(Array(9).fill(true));
    await removeAtOnce(pods, configuration);
    await node.exec(["ip", "link", "delete", bridge]);
    await expectUnchanged(node, before);
    await hubForgets(cluster.hub);
  });
});
