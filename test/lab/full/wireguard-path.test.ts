import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Bulk } from "../../netns/support/bulk.ts";
import { FRAGMENTS, Mesh, PLAIN } from "../../netns/support/mesh.ts";

// Bad paths, and paths with another MTU, with WireGuard in the kernel.

let mesh: Mesh;

beforeAll(async () => {
  mesh = await Mesh.create(2, ["kernel", "kernel"]);
});
afterAll(() => mesh?.[Symbol.asyncDispose]());

/** Two pods on two nodes, and a megabyte each way by TCP, of both inner families. */
async function transferred(name: string, outer: 4 | 6, links = {}): Promise<void> {
  const confOf = (index: number) =>
    mesh.conf(index, { ...links, wireguard: { peers: mesh.peersOf(index, outer), removeWithLastPod: true } });
  await using underlay = await mesh.testbed.capture(`(${FRAGMENTS}) or (${PLAIN})`);
  await using one = await mesh.addedPod(1, `${name}-1`, confOf(1));
  await using two = await mesh.addedPod(2, `${name}-2`, confOf(2));
  for (const [from, to] of [
    [one, two],
    [two, one],
  ] as const) {
    for (const address of [to.ip, to.ip6]) expect(await Bulk.send(from.pod, to.pod, address)).toBe("whole");
  }
  await underlay.sync();
  expect(await underlay.packets()).toEqual([]);
}

describe.each([4, 6] as const)("over an underlay of IPv%i", (outer) => {
  test.each([1280, 1400, 1500, 9000])(
    "with an MTU of %i, a bulk transfer is whole and no packet a fragment",
    async (mtu) => {
      await mesh.testbed.setMtu(mtu);
      try {
        // A bridge has 1500 unless told: only then do pods have room for more.
        await transferred(`v${outer}-${mtu}`, outer, mtu > 1500 ? { mtu } : {});
      } finally {
        await mesh.testbed.setMtu(1500);
      }
    },
  );
});

test.each([
  { name: "loses 3 of 100 packets", netem: ["loss", "3%"] },
  { name: "has a delay that varies", netem: ["delay", "30ms", "20ms"] },
  { name: "puts packets out of order", netem: ["delay", "10ms", "reorder", "75%", "50%"] },
])("a bulk transfer is whole over an underlay that $name", async ({ name, netem }) => {
  for (const { node } of mesh.nodes) {
    await node.exec(["tc", "qdisc", "replace", "dev", "eth0", "root", "netem", ...netem]);
  }
  try {
    await transferred(name.replaceAll(/\W/g, ""), 4);
  } finally {
    for (const { node } of mesh.nodes) await node.exec(["tc", "qdisc", "del", "dev", "eth0", "root"]);
  }
});
