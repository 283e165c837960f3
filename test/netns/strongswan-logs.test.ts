import { afterAll, beforeAll, expect, test } from "vitest";
import type { Pod } from "../../src/testbed/pod.ts";
import { addedPod, BUILT, Cluster, conf } from "./support/cluster.ts";

const MIB = 1024 * 1024;

let cluster: Cluster;

beforeAll(async () => {
  cluster = await Cluster.create(1);
});
afterAll(() => cluster?.[Symbol.asyncDispose]());

function directoryOf(pod: Pod): string {
  return `/run/podvpn/pods/${pod.containerID}+eth0`;
}

async function sizeOf(path: string): Promise<number> {
  return Number((await cluster.node().exec(["stat", "-c", "%s", path])).stdout);
}

/** Makes charon write some lines. */
async function rekey(pod: Pod): Promise<void> {
  await cluster.node().exec(["swanctl", "--rekey", "--ike", "pod", "--uri", `unix://${directoryOf(pod)}/vici`]);
}

test("charon's log stops at its bound, charon does not, and CHECK makes room for the log again", async () => {
  const configuration = { ...conf(), cniVersion: "1.0.0" };
  const node = cluster.node();
  await using a = await addedPod(node, "a", configuration);
  await using b = await addedPod(node, "b", configuration);
  const log = `${directoryOf(a.pod)}/charon.log`;
  await node.exec(["truncate", "-s", String(MIB - 10), log]);
  await rekey(a.pod);
  expect(await a.pod.ping(b.ip, 3)).toBe(true);
  expect(await sizeOf(log)).toBeLessThanOrEqual(MIB);

  await a.pod.check(configuration, BUILT);
  expect(await sizeOf(log)).toBeLessThan(MIB / 2);
  await rekey(a.pod);
  expect(await a.pod.ping(b.ip, 1)).toBe(true);
  const { stdout } = await node.exec(["tail", "-c", "300", log]);
  expect(stdout).toMatch(/\d{2}\[[A-Z]{3}\] /);
});

test("the plugin's own log has a line for each call, is root's alone, and keeps one file of 1 MiB before it", async () => {
  const node = cluster.node();
  const path = "/run/podvpn.log";
  const configuration = conf({ logFile: path });
  await node.writeFile(path, "x".repeat(MIB + 1), 0o600);
  {
    await using _a = await addedPod(node, "a", configuration);
  }
  const lines = (await node.readFile(path)).trimEnd().split("\n");
  expect(lines).toEqual([
    expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z info ADD podnet n1-a eth0: done after \d+ ms$/),
    expect.stringMatching(/ info DEL podnet n1-a eth0: done after \d+ ms$/),
  ]);
  expect((await node.exec(["stat", "-c", "%a", path])).stdout.trim()).toBe("600");
  expect(await sizeOf(`${path}.1`)).toBe(MIB + 1);
});

test("a log that cannot be written fails no pod", async () => {
  await using a = await addedPod(cluster.node(), "a", conf({ logFile: "/proc/no/such/log" }));
  expect(a.ip).toMatch(/^10\.173\./);
});
