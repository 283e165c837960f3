import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Capture } from "../../../src/testbed/capture.ts";
import { Bulk } from "../../netns/support/bulk.ts";
import { BUILT } from "../../netns/support/cluster.ts";
import { ENCRYPTED, Mesh, PLAIN } from "../../netns/support/mesh.ts";
import { shownDevice } from "../../netns/support/wg.ts";

// A node whose kernel has WireGuard, and one that has it in user space, as a cluster has while its nodes are replaced.

let mesh: Mesh;
let kernel: Awaited<ReturnType<Mesh["addedPod"]>>;
let userspace: Awaited<ReturnType<Mesh["addedPod"]>>;
let underlay: Capture;

beforeAll(async () => {
  mesh = await Mesh.create(2, ["kernel", "userspace"]);
  underlay = await mesh.testbed.capture();
  const last = { wireguard: { removeWithLastPod: true } };
  kernel = await mesh.addedPod(1, "kernel", mesh.conf(1, last));
  userspace = await mesh.addedPod(2, "userspace", mesh.conf(2, last));
});
afterAll(() => mesh?.[Symbol.asyncDispose]());

describe("a node with kernel WireGuard and one with wireguard-go", () => {
  test("have the device that their configuration says", async () => {
    const kind = async (of: number) => (await mesh.at(of).node.exec(["ip", "-d", "link", "show", "podvpn0"])).stdout;
    expect(await kind(1)).toMatch(/^\s+wireguard /m);
    expect(await kind(2)).toMatch(/^\s+tun /m);
    for (const [of, other] of [
      [1, 2],
      [2, 1],
    ] as const) {
      expect([...(await shownDevice(mesh.at(of).node)).peers.keys()]).toEqual([mesh.at(other).publicKey]);
    }
  });

  test("carry their pods' packets both ways, of both families", async () => {
    for (const [from, to] of [
      [kernel, userspace],
      [userspace, kernel],
    ] as const) {
      expect(await from.pod.ping(to.ip, 3)).toBe(true);
      expect(await from.pod.ping(to.ip6, 3)).toBe(true);
    }
  });

  test("carry a bulk transfer by TCP both ways", async () => {
    expect(await Bulk.send(kernel.pod, userspace.pod, userspace.ip)).toBe("whole");
    expect(await Bulk.send(userspace.pod, kernel.pod, kernel.ip6)).toBe("whole");
  });

  test("CHECK well, and nothing of all that was on the underlay in plain", async () => {
    for (const { pod, conf } of [kernel, userspace]) await pod.check(conf, BUILT);
    await underlay.sync();
    expect(await underlay.packets(PLAIN)).toEqual([]);
    expect(await underlay.count(ENCRYPTED)).toBeGreaterThan(1000);
  });

  test("are left as they were by DEL of the last pod", async () => {
    for (const { pod, conf } of [kernel, userspace]) {
      await pod.del(conf, BUILT);
      expect((await pod.node.exec(["ip", "link"])).stdout).not.toContain("podvpn0");
    }
  });
});
