import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Node } from "../../src/testbed/node.ts";
import { podvpn } from "./support/cli.ts";
import { addedPod, Cluster, PLAIN, virtualIP } from "./support/cluster.ts";
import { DUAL_STACK } from "./support/dual-stack.ts";

// A kubelet goes on probing a pod for a while after its DEL.

let cluster: Cluster;
let node: Node;

beforeAll(async () => {
  cluster = await Cluster.create(2);
  node = cluster.node(1);
});
afterAll(() => cluster?.[Symbol.asyncDispose]());

/** A node's pod that has come and gone: its virtual IPs. */
async function goneVirtualIPs(name: string): Promise<[string, string]> {
  await using added = await addedPod(node, name, DUAL_STACK);
  return [virtualIP(added.result, 4), virtualIP(added.result, 6)];
}

async function probe(address: string): Promise<string> {
  const { stdout, stderr } = await node.exec(["ping", "-n", "-c", "1", "-W", "1", address], { check: false });
  return stdout + stderr;
}

describe("a node whose last pod has gone", () => {
  test("does not ask for its virtual IPs in plain", async () => {
    const gone = await goneVirtualIPs("gone");
    await using capture = await cluster.testbed.capture();
    for (const address of gone) expect(await probe(address)).toMatch(/unreachable|No route to host/i);
    await capture.stop();
    expect(await capture.packets(PLAIN)).toEqual([]);
  });

  test("has no other route of podvpn's", async () => {
    await goneVirtualIPs("gone");
    const routes = await Promise.all([4, 6].map((v) => node.exec(["ip", `-${v}`, "route", "show", "proto", "173"])));
    const lines = routes.flatMap(({ stdout }) => stdout.trim().split("\n"));
    expect(lines.map((line) => line.split(" ", 2).join(" "))).toEqual([
      "unreachable 10.173.0.0/16",
      "unreachable fd00:173::/64",
    ]);
  });

  test("refuses nothing any more when podvpn is uninstalled", async () => {
    await goneVirtualIPs("gone");
    const dry = await podvpn(node, "uninstall", "--bin-dir", "/run/nowhere", "--dry-run");
    expect(dry.stdout).toContain("would no longer refuse 10.173.0.0/16");
    expect((await node.exec(["ip", "route"])).stdout).toContain("unreachable 10.173.0.0/16");
    const { code, stdout } = await podvpn(node, "uninstall", "--bin-dir", "/run/nowhere");
    expect([code, stdout]).toEqual([0, expect.stringContaining("no longer refuse fd00:173::/64")]);
    for (const version of ["-4", "-6"]) {
      expect((await node.exec(["ip", version, "route"])).stdout).not.toContain("unreachable");
    }
  });
});
