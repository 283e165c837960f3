import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Pod } from "../../src/testbed/pod.ts";
import { BUILT } from "./support/cluster.ts";
import { failure } from "./support/failed-add.ts";
import { hostDevice, settled } from "./support/host-device.ts";
import { Mesh, nodeAddress, PLAIN, podSubnet, podSubnet6 } from "./support/mesh.ts";
import { expectUnchanged } from "./support/unchanged.ts";

let mesh: Mesh;

beforeAll(async () => {
  mesh = await Mesh.create(3);
});
afterAll(async () => {
  await mesh?.[Symbol.asyncDispose]();
});

const ipam = (of: number) => ({
  type: "host-local",
  ranges: [[{ subnet: podSubnet(of) }], [{ subnet: podSubnet6(of) }]],
});
const ROUTES = [{ dst: "0.0.0.0/0" }, { dst: "::/0" }];

/** Main plugins of the reference plugins that work here; with what only their first pod leaves. */
const MAINS: readonly { name: string; main: (of: number) => Record<string, unknown> }[] = [
  {
    name: "bridge",
    main: (of) => ({ type: "bridge", bridge: "cni5", isDefaultGateway: true, ipMasq: true, ipam: ipam(of) }),
  },
  { name: "ptp", main: (of) => ({ type: "ptp", ipMasq: true, ipam: { ...ipam(of), routes: ROUTES } }) },
];

function chain(of: number, main: Record<string, unknown>, wireguard: Record<string, unknown> = {}) {
  const { peers } = mesh.conf(of).wireguard as Record<string, unknown>;
  const own = { type: "wireguard", wireguard: { peers, removeWithLastPod: true, ...wireguard } };
  return { cniVersion: "1.0.0", name: `chain-${main.type}`, plugins: [main, own, { type: "tuning" }] };
}

/** The plugin alone, as a runtime calls it in the chain. */
async function delOfOurs(pod: Pod, configuration: ReturnType<typeof chain>): Promise<void> {
  const { cniVersion, name, plugins } = configuration;
  const own = plugins.find(({ type }) => type === "wireguard");
  await pod.del({ cniVersion, name, ...own }, BUILT);
}

describe("attach: node behind another plugin", () => {
  test.each(MAINS)("$name makes the link, podvpn the rest; CHECK and DEL work, and nothing is left", async (one) => {
    const { node } = mesh.at(1);
    const confs = [1, 2].map((of) => chain(of, one.main(of)));
    const [first = chain(1, one.main(1)), second = chain(2, one.main(2))] = confs;
    {
      await using _first = await mesh.addedPod(1, "first", first); // what every first pod leaves
    }
    const before = await node.snapshot();
    {
      await using capture = await mesh.testbed.capture();
      await using a = await mesh.addedPod(1, "a", first);
      await using b = await mesh.addedPod(2, "b", second);
      expect(await a.pod.ping(b.ip, 2)).toBe(true);
      expect(await b.pod.ping(a.ip, 2)).toBe(true);
      expect(await a.pod.ping(b.ip6, 2)).toBe(true);
      expect(await a.pod.ping(nodeAddress(2))).toBe(true); // masqueraded by the main plugin
      await a.pod.check(first, BUILT);
      await capture.sync();
      expect(await capture.packets(PLAIN)).toEqual([]);
    }
    await expectUnchanged(node, before);
  });

  test.each(MAINS)("the pod's routes through $name are gone with DEL, as its link stays", async ({ main }) => {
    const configuration = chain(1, main(1));
    await using a = await mesh.addedPod(1, "a", configuration);
    const routes = async () =>
      (await a.pod.exec(["ip", "route"])).stdout + (await a.pod.exec(["ip", "-6", "route"])).stdout;
    expect(await routes()).toContain("10.1.2.0/23 via 10.1.1.1 dev eth0");
    expect(await routes()).toContain(`${podSubnet6(2)} via fd00:1:1::1 dev eth0`);
    await delOfOurs(a.pod, configuration);
    expect(await routes()).not.toContain("10.1.2.0/23");
    expect(await routes()).not.toContain(podSubnet6(2));
    expect(await routes()).toContain("default via 10.1.1.1 dev eth0");
    expect(await a.pod.ping("10.1.1.1")).toBe(true);
    await delOfOurs(a.pod, configuration); // twice is fine
  });

  test("the result is the link's with the routes behind it, for the plugins that follow", async () => {
    const configuration = { ...chain(1, { ...MAINS[1]?.main(1) }), cniVersion: "1.0.0" };
    await using a = await mesh.addedPod(1, "a", configuration);
    expect(a.result.routes.map(({ dst }) => dst)).toEqual([
      "0.0.0.0/0",
      "::/0",
      "10.1.2.0/23",
      podSubnet6(2),
      podSubnet6(3),
    ]);
    expect(a.result.interfaces.map(({ name }) => name)).toContain("eth0");
    expect(a.result.interfaces.map(({ name }) => name)).not.toContain("podvpn0");
  });

  test("a host-device, with addresses of the chain's own, is a link like any other", async () => {
    const { node } = mesh.at(3); // which has no bridge in the same subnet
    await using device = await hostDevice(node, 3);
    await using b = await mesh.addedPod(2, "b", chain(2, MAINS[0]?.main(2) ?? {}));
    await using a = await mesh.addedPod(3, "a", chain(3, device.main));
    expect(await a.pod.ping(b.ip, 2)).toBe(true);
    await settled(device, a.pod);
    expect(await b.pod.ping(device.ip6, 2)).toBe(true);
    await a.pod.check(a.conf, BUILT);
  });

  test("a pod whose addresses are a peer's is refused, and the link of the other plugin stays as it was", async () => {
    const { node } = mesh.at(1);
    const configuration = chain(1, { ...MAINS[1]?.main(1), ipam: { ...ipam(2), routes: ROUTES } });
    await using pod = await node.addPod("foreign");
    const error = await failure(pod.add(configuration, BUILT));
    expect(error).toMatchObject({
      code: 7,
      msg: expect.stringContaining(`prevResult.ips has an address in ${podSubnet(2)}, which overlaps "10.1.2.0/23"`),
    });
    expect((await pod.exec(["ip", "route"])).stdout).toContain("default via 10.1.2.1 dev eth0");
    await pod.del(configuration, BUILT);
  });

  test("without a link from the plugin before it is an error", async () => {
    const { node } = mesh.at(1);
    const before = await node.snapshot();
    await using pod = await node.addPod("linkless");
    const configuration = chain(1, { type: "loopback" });
    expect(await failure(pod.add(configuration, BUILT))).toMatchObject({
      code: 4,
      msg: expect.stringContaining('CNI_IFNAME "eth0" is not in the container'),
    });
    await pod.del(configuration, BUILT);
    await pod.remove();
    await expectUnchanged(node, before);
  });
});

describe("attach: pod behind another plugin", () => {
  test.each(MAINS)("$name makes the link, podvpn the device in the pod; nothing is left", async ({ main }) => {
    const { node } = mesh.at(1);
    const configuration = chain(1, main(1), { attach: "pod", interface: "wg0", listenPort: 0 });
    {
      await using _first = await mesh.addedPod(1, "first", configuration);
    }
    const before = await node.snapshot();
    {
      await using a = await mesh.addedPod(1, "a", configuration);
      expect((await a.pod.exec(["ip", "route", "get", "10.1.2.7"])).stdout).toContain("dev wg0");
      await a.pod.check(configuration, BUILT);
      await delOfOurs(a.pod, configuration);
      expect((await a.pod.exec(["ip", "-o", "link"])).stdout).not.toContain("wg0");
      expect(await a.pod.ping("10.1.1.1")).toBe(true);
    }
    await expectUnchanged(node, before);
  });
});
