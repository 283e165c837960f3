import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Bulk } from "../../netns/support/bulk.ts";
import { BUILT } from "../../netns/support/cluster.ts";
import { failure } from "../../netns/support/failed-add.ts";
import { FRAGMENTS, Mesh, PLAIN, podSubnet, podSubnet6 } from "../../netns/support/mesh.ts";

// Bad paths, and paths with another MTU, with WireGuard in the kernel.

let mesh: Mesh;

beforeAll(async () => {
  mesh = await Mesh.create(2, ["kernel", "kernel"]);
});
afterAll(() => mesh?.[Symbol.asyncDispose]());

interface Path {
  /** The family of the outer packets. */
  readonly outer?: 4 | 6;
  /** Those of the inner ones. */
  readonly inner?: readonly (4 | 6)[];
  /** MTU of the pods' own links, in bytes. */
  readonly mtu?: number;
}

/** The configuration of a node. */
function confOf(index: number, { outer = 4, inner = [4, 6], mtu }: Path): Record<string, unknown> {
  const isInner = (prefix: string) => inner.includes(prefix.includes(":") ? 6 : 4);
  const peers = mesh.peersOf(index, outer).map((peer) => ({ ...peer, allowedIPs: peer.allowedIPs.filter(isInner) }));
  const ranges = [podSubnet(index), podSubnet6(index)].filter(isInner).map((subnet) => [{ subnet }]);
  return mesh.conf(index, {
    wireguard: { peers, removeWithLastPod: true },
    ipam: { type: "host-local", ranges },
    ...(mtu === undefined ? {} : { mtu }),
  });
}

/** Two pods on two nodes, and a megabyte each way by TCP. */
async function transferred(name: string, path: Path = {}): Promise<void> {
  await using underlay = await mesh.testbed.capture(`(${FRAGMENTS}) or (${PLAIN})`);
  await using one = await mesh.addedPod(1, `${name}-1`, confOf(1, path));
  await using two = await mesh.addedPod(2, `${name}-2`, confOf(2, path));
  for (const [from, to] of [
    [one, two],
    [two, one],
  ] as const) {
    const addresses = [to.ip, to.ip6].filter((address) => address !== "");
    for (const address of addresses) expect(await Bulk.send(from.pod, to.pod, address)).toBe("whole");
  }
  await underlay.sync();
  expect(await underlay.packets()).toEqual([]);
}

describe.each([4, 6] as const)("over an underlay of IPv%i", (outer) => {
  test.each([1400, 1500, 9000])("with an MTU of %i, a bulk transfer is whole and no packet a fragment", async (mtu) => {
    await mesh.testbed.setMtu(mtu);
    try {
      // A bridge has 1500 unless told: only then do pods have room for more.
      await transferred(`v${outer}-${mtu}`, { outer, ...(mtu > 1500 ? { mtu } : {}) });
    } finally {
      await mesh.testbed.setMtu(1500);
    }
  });

  test("with an MTU of 1280, a bulk transfer over IPv4 is whole, and IPv6 in the tunnel is refused", async () => {
    await mesh.testbed.setMtu(1280);
    try {
      await transferred(`v${outer}-1280`, { outer, inner: [4] });
      await using pod = await mesh.at(1).node.addPod("refused");
      const error = await failure(pod.add(confOf(1, { outer }), BUILT));
      expect(error).toMatchObject({ code: 7, msg: expect.stringContaining("an MTU of at least 1360") });
    } finally {
      await mesh.testbed.setMtu(1500);
    }
  });
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
    await transferred(name.replaceAll(/\W/g, ""));
  } finally {
    for (const { node } of mesh.nodes) await node.exec(["tc", "qdisc", "del", "dev", "eth0", "root"]);
  }
});
