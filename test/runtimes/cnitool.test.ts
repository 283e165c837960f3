// libcni's own command, the reference for all runtimes, against the built plugins: every verb.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DIST, virtualIP } from "../netns/support/cluster.ts";
import { expectUnchanged } from "../netns/support/unchanged.ts";
import { Cnitool } from "./support/cnitool.ts";
import { createNetwork, type Network, TYPES } from "./support/networks.ts";
import { CURRENT, DEBIAN } from "./support/plugin-directories.ts";

describe.each(TYPES)("cnitool with %s", (type) => {
  let network: Network;

  beforeAll(async () => {
    network = await createNetwork(type);
    for (const of of [1, 2]) {
      await using _first = await attached(of, DEBIAN.path, "1.0.0"); // leaves the bridge
    }
  });
  afterAll(async () => {
    await network?.[Symbol.asyncDispose]();
  });

  /** A pod of a node that cnitool has added, removed by it at the end of its scope. */
  async function attached(of: number, path: readonly string[], version: string) {
    await using undo = new AsyncDisposableStack();
    const tool = await Cnitool.configure(network.node(of), path, network.list(of, version));
    const pod = undo.use(await network.node(of).addPod(`pod${of}`)); // cnitool makes the container ID of it
    undo.defer(() => tool.run("del", pod));
    const result = await tool.add(pod);
    const cleanUp = undo.move();
    return { tool, pod, ip: virtualIP(result), [Symbol.asyncDispose]: () => cleanUp[Symbol.asyncDispose]() };
  }

  describe.each([DEBIAN, CURRENT])("and $name", ({ path }) => {
    test.each(["1.0.0", "1.1.0"])("in %s: STATUS, ADD, CHECK, a ping through the tunnel, DEL", async (version) => {
      const before = await Promise.all([1, 2].map((of) => network.node(of).snapshot()));
      await using capture = await network.testbed.capture();
      {
        await using a = await attached(1, path, version);
        await using b = await attached(2, path, version);
        for (const { tool, pod } of [a, b]) {
          expect(await tool.status()).toMatchObject({ code: 0, stdout: "" });
          await tool.run("check", pod);
        }
        expect(await a.pod.ping(b.ip, 2)).toBe(true);
        expect(await b.pod.ping(a.ip, 2)).toBe(true);
        await a.tool.run("del", a.pod); // and once more at the end
      }
      await capture.stop();
      expect(await capture.packets(network.filters.plain)).toEqual([]);
      expect(await capture.count(network.filters.encrypted)).toBeGreaterThan(3);
      for (const [index, snapshot] of before.entries()) await expectUnchanged(network.node(index + 1), snapshot);
      expect(await network.leases()).toEqual([]);
    });

    test("GC removes what is left of a pod whose namespace has gone", async () => {
      const before = await network.node(1).snapshot();
      await using gone = await attached(1, path, "1.1.0");
      await gone.pod.remove();
      await gone.tool.run("gc", gone.pod);
      await expectUnchanged(network.node(1), before);
    });
  });

  test("GC, by which cnitool gives no list of what is valid, leaves a pod alone of which it does not know", async () => {
    await using a = await attached(1, CURRENT.path, "1.1.0");
    await using b = await attached(2, CURRENT.path, "1.1.0");
    await network.node(1).exec(["mv", "/var/lib/cni/results", "/var/lib/cni/kept"]);
    await a.tool.run("gc", a.pod);
    expect(await a.pod.ping(b.ip)).toBe(true);
    await network.node(1).exec(["mv", "/var/lib/cni/kept", "/var/lib/cni/results"]);
    await a.tool.run("check", a.pod);
  });

  test("CHECK fails when the pod's link is gone", async () => {
    await using a = await attached(1, CURRENT.path, "1.1.0");
    await a.pod.exec(["ip", "link", "delete", "eth0"]);
    await expect(a.tool.run("check", a.pod)).rejects.toThrow("eth0");
  });

  test("STATUS fails without the plugin that ours delegates to, and says which", async () => {
    const tool = await Cnitool.configure(network.node(1), [DIST], network.list(1, "1.1.0"));
    const { code, stderr } = await tool.status();
    expect(code).toBe(1);
    expect(stderr).toContain('"bridge"');
  });
});
