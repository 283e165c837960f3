import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Capture } from "../../src/testbed/capture.ts";
import type { Pod } from "../../src/testbed/pod.ts";
import { BUILT, DIST } from "./support/cluster.ts";
import { ENCRYPTED, Mesh, nodeAddress, nodeAddress6, PLAIN, podSubnet, podSubnet6 } from "./support/mesh.ts";
import { printed } from "./support/printed.ts";
import { shownDevice } from "./support/wg.ts";

let mesh: Mesh;

beforeAll(async () => {
  mesh = await Mesh.create(3);
});
afterAll(async () => {
  await mesh?.[Symbol.asyncDispose]();
});

/** Each test begins without devices. */
function conf(of: number, overrides: Parameters<Mesh["conf"]>[1] = {}) {
  return mesh.conf(of, { ...overrides, wireguard: { removeWithLastPod: true, ...overrides.wireguard } });
}

const podOf = (of: number, overrides?: Parameters<Mesh["conf"]>[1], name = "pod") =>
  mesh.addedPod(of, name, conf(of, overrides));

/** All that is behind the peers of node 1, in the fewest prefixes. */
const MESH = ["10.1.2.0/23", podSubnet6(2), podSubnet6(3)] as const;

/** What `from` sends to `address` arrives with this source. */
async function expectSource(from: Pod, to: Pod, address: string, source: string): Promise<void> {
  await using capture = await Capture.start(to, "eth0", { filter: "icmp or icmp6" });
  expect(await from.ping(address, 2)).toBe(true);
  await capture.sync();
  const requests = "icmp[icmptype] == icmp-echo or icmp6[icmp6type] == icmp6-echo";
  expect(await capture.count(`(${requests}) and src host ${source}`)).toBe(2);
  expect(await capture.count(requests)).toBe(2);
}

test("the filter for plain packets sees one, and the questions for its receiver", async () => {
  const node = await mesh.testbed.node("plain", { addresses: ["10.9.0.99/24", "fd00:9::99/64"] });
  await using capture = await mesh.testbed.capture();
  const onLink = ["route add 10.1.99.0/24 dev eth0", "-6 route add fd00:1:99::/64 dev eth0"];
  for (const route of onLink) await node.exec(["sh", "-c", `ip ${route}`]);
  for (const to of ["10.1.99.1", "fd00:1:99::1"]) {
    await node.exec(["ping", "-c", "1", "-W", "0.1", to], { check: false });
  }
  await node.exec(["ping", "-c", "1", "-W", "0.1", "10.1.2.1"], { check: false }); // by the default route
  await node.setUnderlay(false); // it would ask on
  await capture.sync();
  for (const kind of ["arp", "icmp6", "icmp"]) expect(await capture.count(`${kind} and (${PLAIN})`)).toBeGreaterThan(0);
});

describe("pods behind the devices of their nodes", () => {
  test("speak to each other, all with all, by IPv4 and IPv6, and the wire carries no plain packet", async () => {
    await using capture = await mesh.testbed.capture();
    await using a = await podOf(1);
    await using b = await podOf(2);
    await using c = await podOf(3);
    await using d = await podOf(3, {}, "other");
    const pods = [a, b, c, d];
    for (const from of pods) {
      for (const to of pods) {
        expect(await from.pod.ping(to.ip)).toBe(true);
        expect(await from.pod.ping(to.ip6)).toBe(true);
      }
    }
    await capture.stop();
    expect(await capture.count(ENCRYPTED)).toBeGreaterThan(0);
    expect(await capture.packets(PLAIN)).toEqual([]);
  });

  test("are reached by their remote node's pods alone, not in plain by whoever is on the underlay", async () => {
    await using _a = await podOf(1);
    await using b = await podOf(2);
    const { node } = mesh.at(3);
    await node.exec(["ip", "route", "add", podSubnet(2), "via", nodeAddress(2)]);
    await node.exec(["ip", "address", "add", "10.1.1.77/32", "dev", "lo"]); // as if a pod of node 1
    await using capture = await Capture.start(b.pod, "eth0", { filter: "icmp" });
    for (const from of ["10.1.1.77", nodeAddress(3)]) {
      await node.exec(["ping", "-c", "1", "-W", "0.2", "-I", from, b.ip], { check: false });
    }
    await capture.sync();
    expect(await capture.count("src host 10.1.1.77")).toBe(0);
    expect(await capture.count(`src host ${nodeAddress(3)}`)).toBe(1); // that one is no pod's: not the mesh's business
    await node.exec(["ip", "route", "delete", podSubnet(2)]);
    await node.exec(["ip", "address", "delete", "10.1.1.77/32", "dev", "lo"]);
  });

  test("are seen with their own addresses, and in the rest of the world with those of their node", async () => {
    await using a = await podOf(1);
    await using b = await podOf(2);
    await expectSource(a.pod, b.pod, b.ip, a.ip);
    await expectSource(a.pod, b.pod, b.ip6, a.ip6);
    await using capture = await mesh.testbed.capture("icmp or icmp6");
    expect(await a.pod.ping(nodeAddress(3))).toBe(true);
    expect(await a.pod.ping(nodeAddress6(3))).toBe(true);
    await capture.sync();
    expect(await capture.count(`src host ${nodeAddress(1)} and dst host ${nodeAddress(3)}`)).toBe(1);
    expect(await capture.packets(PLAIN)).toEqual([]);
  });

  /** What others have on a node; each is gone with the table. */
  const MASQUERADES: readonly { name: string; add: string; remove: string }[] = [
    {
      name: "iptables-nft",
      add: "iptables-nft -t nat -A POSTROUTING -j MASQUERADE; ip6tables-nft -t nat -A POSTROUTING -j MASQUERADE",
      remove: "nft delete table ip nat; nft delete table ip6 nat",
    },
    {
      name: "iptables-legacy",
      add: "iptables-legacy -t nat -I POSTROUTING -j MASQUERADE; ip6tables-legacy -t nat -I POSTROUTING -j MASQUERADE",
      remove: "iptables-legacy -t nat -F POSTROUTING; ip6tables-legacy -t nat -F POSTROUTING",
    },
    {
      name: "nft, at srcnat",
      add: "nft 'add table inet other; add chain inet other post { type nat hook postrouting priority srcnat; }; add rule inet other post masquerade'",
      remove: "nft delete table inet other",
    },
    {
      name: "nft, before srcnat",
      add: "nft 'add table inet other; add chain inet other post { type nat hook postrouting priority srcnat - 200; }; add rule inet other post masquerade'",
      remove: "nft delete table inet other",
    },
  ];

  test.each(MASQUERADES)(
    "keep their addresses when another component masquerades all, on both nodes: $name",
    async (one) => {
      const both = [mesh.at(1).node, mesh.at(2).node];
      for (const node of both) await node.exec(["sh", "-ec", one.add]);
      await using _undo = {
        [Symbol.asyncDispose]: async () => {
          for (const node of both) await node.exec(["sh", "-ec", one.remove]);
        },
      };
      await using a = await podOf(1, { ipMasq: false });
      await using b = await podOf(2);
      expect(await a.pod.ping(nodeAddress(3))).toBe(true); // it does: the answer finds its way back
      await expectSource(a.pod, b.pod, b.ip, a.ip);
      await expectSource(a.pod, b.pod, b.ip6, a.ip6);
    },
  );

  test("reach each other by IPv6 outside", async () => {
    const outside = (of: number) => ({
      wireguard: { peers: mesh.peersOf(of).map((peer) => ({ ...peer, endpoint: `[${endpoint6(peer)}]:51820` })) },
    });
    const endpoint6 = (peer: Record<string, unknown>) =>
      String(peer.endpoint).replace(/^10\.9\.0\.(\d+):.*/, "fd00:9::$1");
    await using capture = await mesh.testbed.capture();
    await using a = await podOf(1, outside(1));
    await using b = await podOf(2, outside(2));
    expect(await a.pod.ping(b.ip, 2)).toBe(true);
    expect(await b.pod.ping(a.ip6, 2)).toBe(true);
    await capture.stop();
    expect(await capture.count(`ip6 and ${ENCRYPTED}`)).toBeGreaterThanOrEqual(8);
    expect(await capture.count(`ip and ${ENCRYPTED}`)).toBe(0);
    expect(await capture.packets(PLAIN)).toEqual([]);
  });

  test("are reached by the other nodes themselves, when those have addresses in the mesh", async () => {
    const addressed = (of: number) => ({
      wireguard: {
        address: `10.1.255.${of}/32`,
        peers: mesh.peersOf(of).map((peer, at) => {
          const index = mesh.nodes.filter((other) => other.index !== of)[at]?.index ?? 0;
          return { ...peer, allowedIPs: [podSubnet(index), podSubnet6(index), `10.1.255.${index}`] };
        }),
      },
    });
    await using a = await podOf(1, addressed(1));
    await using b = await podOf(2, addressed(2));
    const { node } = mesh.at(1);
    expect((await node.exec(["ip", "-o", "address", "show", "dev", "podvpn0"])).stdout).toContain(" 10.1.255.1/32 ");
    expect((await node.exec(["ping", "-c", "1", "-W", "1", b.ip], { check: false })).code).toBe(0);
    expect(await a.pod.ping("10.1.255.2")).toBe(true);
  });

  test("have the device with key, port, peers and routes that the configuration says", async () => {
    await using _a = await podOf(1, { wireguard: { fwmark: "0x2a", listenPort: 51999 } });
    const { node, publicKey } = mesh.at(1);
    const shown = await shownDevice(node);
    expect(shown).toMatchObject({ publicKey, listenPort: 51999, fwmark: "0x2a" });
    const peer = (index: number) => ({
      presharedKey: "(none)",
      endpoint: `${nodeAddress(index)}:51820`,
      allowedIPs: [podSubnet(index), podSubnet6(index)],
      keepalive: "off",
    });
    expect(shown.peers.size).toBe(2);
    for (const index of [2, 3]) expect(shown.peers.get(mesh.at(index).publicKey)).toMatchObject(peer(index));
    const [four, six] = [await node.exec(["ip", "-4", "route"]), await node.exec(["ip", "-6", "route"])];
    for (const index of [2, 3]) {
      expect(four.stdout).toContain(`${podSubnet(index)} dev podvpn0`);
      expect(six.stdout).toContain(`${podSubnet6(index)} dev podvpn0`);
    }
    for (const prefix of MESH) {
      expect(four.stdout + six.stdout).toMatch(new RegExp(`^unreachable ${prefix} .*metric 4010`, "m"));
    }
  });
});

describe("the result", () => {
  const routes = (extra: object) => MESH.map((dst) => expect.objectContaining({ dst, ...extra }));

  /** Everything of each version that runtimes read, in its own shape. */
  const shapes: [string | undefined, (json: Record<string, never>) => void][] = [
    ...[undefined, "0.1.0", "0.2.0"].map((version): [string | undefined, (json: Record<string, never>) => void] => [
      version,
      (json) => {
        expect(json).toMatchObject({ cniVersion: version ?? "0.1.0" });
        const { ip4, ip6 } = json as Record<string, { ip: string; gateway: string; routes: object[] }>;
        expect(ip4?.ip).toMatch(/^10\.1\.1\.\d+\/24$/);
        expect(ip4?.routes).toContainEqual({ dst: MESH[0], gw: "10.1.1.1" });
        expect(ip6?.routes).toContainEqual({ dst: podSubnet6(3), gw: "fd00:1:1::1" });
      },
    ]),
    ...["0.3.0", "0.3.1", "0.4.0"].map((version): [string, (json: Record<string, never>) => void] => [
      version,
      (json) => {
        expect(json.ips).toMatchObject([{ version: "4" }, { version: "6" }]);
        expect(json.routes).toEqual(expect.arrayContaining(routes({})));
        expect(JSON.stringify(json.routes)).not.toContain("mtu");
      },
    ]),
    [
      "1.0.0",
      (json) => {
        expect(JSON.stringify(json.ips)).not.toContain("version");
        expect(json.routes).toEqual(expect.arrayContaining(routes({})));
        expect(JSON.stringify(json.routes)).not.toContain("mtu");
      },
    ],
    ["1.1.0", (json) => expect(json.routes).toEqual(expect.arrayContaining(routes({ mtu: 1420 })))],
  ];

  test.each(shapes)("has the shape of version %s, with the routes to the mesh", async (cniVersion, check) => {
    const { cniVersion: _, ...unversioned } = conf(1);
    const configuration = cniVersion === undefined ? unversioned : { ...unversioned, cniVersion };
    await using pod = await mesh.at(1).node.addPod("printing");
    const { code, json, stderr } = await printed("wireguard", pod, "ADD", configuration);
    await using _del = {
      [Symbol.asyncDispose]: () => printed("wireguard", pod, "DEL", configuration).then(() => undefined),
    };
    expect([code, stderr]).toEqual([0, ""]);
    check(json);
    if (cniVersion !== undefined && cniVersion >= "0.3") {
      const eth0 = json.interfaces.findIndex((link: { name: string }) => link.name === "eth0");
      expect(json.ips.map((ip: { interface: number }) => ip.interface)).toEqual([eth0, eth0]);
      expect(json.interfaces[eth0].sandbox).toBe(pod.netnsPath);
    }
    expect(await printed("wireguard", pod, "DEL", configuration)).toEqual({ code: 0, stderr: "", json: undefined });
  });

  test("is what the pod has: its routes to the mesh are by its gateway, with the tunnel's MTU", async () => {
    await using a = await podOf(1, { cniVersion: "1.1.0", name: "versioned" });
    expect(a.result.routes).toEqual(expect.arrayContaining([{ dst: MESH[0], gw: "10.1.1.1", mtu: 1420 }]));
    const route = async (to: string) => (await a.pod.exec(["ip", "route", "get", to])).stdout;
    expect(await route("10.1.2.7")).toMatch(/via 10\.1\.1\.1 .*mtu 1420/s);
    expect(await route("fd00:1:2::7")).toMatch(/via fd00:1:1::1 .*mtu 1420/s);
    expect(await route("192.0.2.1")).not.toContain("mtu");
  });
});

test("a list of plugins, as a runtime has it, with others behind", async () => {
  const listed = (of: number) => {
    const { cniVersion, name, ...plugin } = conf(of);
    const portmap = { type: "portmap", capabilities: { portMappings: true }, snat: false };
    return {
      cniVersion,
      name,
      plugins: [plugin, portmap, { type: "tuning", sysctl: { "net.core.somaxconn": "500" } }],
    };
  };
  await using a = await mesh.addedPod(1, "listed", listed(1));
  await using b = await mesh.addedPod(2, "listed", listed(2));
  expect(await a.pod.ping(b.ip, 2)).toBe(true);
  await a.pod.check(listed(1), BUILT);
});

test("VERSION needs no configuration, and prints nothing else", async () => {
  const env = { CNI_COMMAND: "VERSION" };
  const { stdout, stderr } = await mesh.at(1).node.exec([`${DIST}/wireguard`], { input: "", env });
  expect(JSON.parse(stdout).supportedVersions).toEqual(["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]);
  expect(stderr).toBe("");
});
