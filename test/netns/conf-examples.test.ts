import { readdirSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { diffSnapshots } from "../../src/testbed/snapshot.ts";
import { BUILT, Cluster, PLAIN, virtualIP } from "./support/cluster.ts";

/** What the examples have in place of a PSK. */
const PLACEHOLDER = "replace-this-with-a-secret-of-your-own";
const DIRECTORY = new URL("../../conf-examples/", import.meta.url);
/** Those for kernels with ESP and XFRM interfaces are run in test/lab, those that need an agent in test/mesh. */
const EXAMPLES = readdirSync(DIRECTORY)
  .filter((name) => /\.(json|conf|conflist)$/.test(name))
  .filter((name) => !readFileSync(new URL(name, DIRECTORY), "utf8").match(/"attach": "node"|"agent": true/));

let cluster: Cluster;

beforeAll(async () => {
  cluster = await Cluster.create(2, { psk: PLACEHOLDER });
  // What only the first use of a node makes: the executable's addons, the bridge, iptables' own empty chains.
  const first = JSON.parse(readFileSync(new URL("chained.conflist", DIRECTORY), "utf8"));
  for (const node of cluster.nodes) {
    await node.writeFile("/etc/podvpn/psk", `${PLACEHOLDER}\n`, 0o600);
    const pod = await node.addPod("first");
    await pod.add(first, BUILT);
    await pod.del(first, BUILT);
    await pod.remove();
  }
});
afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
});

test("there are examples for the seed's file, dual stack, a list, a chain and a PSK file", () => {
  expect(EXAMPLES.sort()).toEqual(
    expect.arrayContaining([
      "chained.conflist",
      "dual-stack.conflist",
      "psk-file.json",
      "seed.json",
      "strongswan.conflist",
    ]),
  );
});

describe.each(EXAMPLES)("conf-examples/%s", (name) => {
  const configuration = JSON.parse(readFileSync(new URL(name, DIRECTORY), "utf8"));
  const plugins: { vpn?: { virtualSubnet: string | string[] } }[] = configuration.plugins ?? [configuration];
  const families = plugins
    .flatMap(({ vpn }) => vpn?.virtualSubnet ?? [])
    .map((subnet) => (subnet.includes(":") ? 6 : 4));

  test("works as it stands: pods on two nodes, encrypted, and nothing left", async () => {
    await using capture = await cluster.testbed.capture();
    const before = await Promise.all(cluster.nodes.map((node) => node.snapshot()));
    const a = await cluster.node(1).addPod("a");
    const b = await cluster.node(2).addPod("b");
    await a.add(configuration, BUILT);
    const result = await b.add(configuration, BUILT);
    for (const family of families) expect(await a.ping(virtualIP(result, family as 4 | 6), 2)).toBe(true);
    for (const pod of [a, b]) {
      if (configuration.cniVersion !== undefined) await pod.check(configuration, BUILT);
      await pod.del(configuration, BUILT);
      await pod.remove();
    }
    await capture.sync();
    expect(await capture.count(PLAIN)).toBe(0);
    const after = await Promise.all(cluster.nodes.map((node) => node.snapshot()));
    for (const [index, snapshot] of after.entries()) {
      expect(diffSnapshots(before[index] ?? new Map(), snapshot).filter(isPodvpns)).toEqual([]);
    }
  });
});

/** The bridge plugin keeps its bridge, host-local its directory and the last address: both by design. */
function isPodvpns(difference: string): boolean {
  return !/cni0|\/var\/lib\/cni\/(networks|cache)|podvpn\.log/.test(difference);
}
