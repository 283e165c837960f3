import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  addedPod,
  BUILT,
  Cluster,
  conf,
  DIST,
  ENCRYPTED,
  HUB_ADDRESS_6,
  PLAIN,
  VIRTUAL_SUBNET,
  VIRTUAL_SUBNET_6,
  virtualIP,
} from "./support/cluster.ts";
import { printed } from "./support/printed.ts";

let cluster: Cluster;

beforeAll(async () => {
  cluster = await Cluster.create(2);
});
afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
});

const DUAL = {
  vpn: { virtualSubnet: [VIRTUAL_SUBNET, VIRTUAL_SUBNET_6] },
  ipam: { type: "host-local", ranges: [[{ subnet: "172.17.1.0/24" }], [{ subnet: "fd00:172:17:1::/64" }]] },
};

describe("a pod of the seed's configuration", () => {
  test("speaks to a pod on another node by virtual IP, and the wire carries no plain packet", async () => {
    await using capture = await cluster.testbed.capture();
    await using a = await addedPod(cluster.node(1), "a");
    await using b = await addedPod(cluster.node(2), "b");
    expect(await a.pod.ping(b.ip, 3)).toBe(true);
    expect(await b.pod.ping(a.ip, 3)).toBe(true);
    await capture.sync();
    expect(await capture.count(ENCRYPTED)).toBeGreaterThanOrEqual(12);
    expect(await capture.count(PLAIN)).toBe(0);
  });

  test("speaks to a pod on its own node through the tunnel as well: nothing plain even on their bridge", async () => {
    await using a = await addedPod(cluster.node(1), "a");
    await using b = await addedPod(cluster.node(1), "b");
    await using capture = await cluster.node(1).capture("cni0");
    expect(await a.pod.ping(b.ip, 3)).toBe(true);
    await capture.sync();
    expect(await capture.count(PLAIN)).toBe(0);
    expect(await capture.count("udp")).toBeGreaterThan(0);
  });

  test("sends its first packet encrypted: the result comes when the tunnel carries traffic", async () => {
    await using b = await addedPod(cluster.node(2), "b");
    for (let round = 0; round < 5; round += 1) {
      await using a = await addedPod(cluster.node(1), `a${round}`);
      expect(await a.pod.ping(b.ip, 1)).toBe(true);
    }
  });

  test("has its virtual IP on the interface that the runtime named, and uses it towards the virtual subnet", async () => {
    await using a = await addedPod(cluster.node(1), "a");
    const { stdout: addresses } = await a.pod.exec(["ip", "-o", "address", "show", "dev", "eth0"]);
    expect(addresses).toContain(` ${a.ip}/32 `);
    const { stdout: route } = await a.pod.exec(["ip", "route", "get", "10.173.15.1"]);
    expect(route).toContain(`src ${a.ip}`);
    const { stdout: outside } = await a.pod.exec(["ip", "route", "get", "10.9.0.254"]);
    expect(outside).toContain("src 172.17.1.");
  });

  test("is reached by its own node at the virtual IP, for probes", async () => {
    await using a = await addedPod(cluster.node(1), "a");
    const { code } = await cluster.node(1).exec(["ping", "-c", "2", "-i", "0.1", "-W", "1", a.ip], { check: false });
    expect(code).toBe(0);
  });

  test("has an identity of its own at the hub, made of container, interface and node", async () => {
    await using a = await addedPod(cluster.node(1), "a");
    const leases = await cluster.onlineLeases();
    expect(leases.some((line) => line.includes(a.ip) && line.includes(`${a.pod.containerID}.eth0@`))).toBe(true);
  });

  test("may have another identity, by a template with what the runtime passes", async () => {
    const configuration = conf({ vpn: { identity: "{args.K8S_POD_NAMESPACE}/{args.K8S_POD_NAME}" } });
    const args = { K8S_POD_NAMESPACE: "shop", K8S_POD_NAME: "web-0", IgnoreUnknown: "1" };
    await using _a = await addedPod(cluster.node(1), "a", configuration, { ...BUILT, args });
    expect((await cluster.onlineLeases()).join()).toContain("'shop/web-0'");
  });
});

describe("the result", () => {
  /** Everything of each version that runtimes read, in its own shape. */
  const shapes: [string | undefined, (json: Record<string, never>, ip: string) => void][] = [
    [undefined, (json, ip) => expect(json).toMatchObject({ cniVersion: "0.1.0", ip4: { ip: `${ip}/32` } })],
    ["0.1.0", (json, ip) => expect(json).toMatchObject({ cniVersion: "0.1.0", ip4: { ip: `${ip}/32` } })],
    ["0.2.0", (json, ip) => expect(json).toMatchObject({ cniVersion: "0.2.0", ip4: { ip: `${ip}/32` } })],
    ...["0.3.0", "0.3.1", "0.4.0"].map((version): [string, (json: Record<string, never>, ip: string) => void] => [
      version,
      (json, ip) => expect(json.ips).toMatchObject([{ version: "4", address: `${ip}/32` }, { version: "4" }]),
    ]),
    [
      "1.0.0",
      (json, ip) => expect(json.ips).toEqual([expect.objectContaining({ address: `${ip}/32` }), expect.anything()]),
    ],
    ["1.1.0", (json) => expect(json.routes).toContainEqual({ dst: VIRTUAL_SUBNET, mtu: expect.any(Number) })],
  ];

  test.each(shapes)("has the shape of version %s", async (cniVersion, check) => {
    const configuration = { ...conf(), ...(cniVersion === undefined ? {} : { cniVersion }) };
    const pod = await cluster.node(1).addPod("a");
    const { code, json, stderr } = await printed("strongswan", pod, "ADD", configuration);
    expect([code, stderr]).toEqual([0, ""]);
    const { stdout } = await pod.exec(["ip", "-4", "-o", "address", "show", "dev", "ipsec0"]);
    check(json, /inet ([\d.]+)/.exec(stdout)?.[1] ?? "no address on ipsec0");
    if (cniVersion !== undefined && cniVersion >= "0.3") {
      const eth0 = json.interfaces.findIndex((link: { name: string }) => link.name === "eth0");
      expect(json.ips.map((ip: { interface: number }) => ip.interface)).toEqual([eth0, eth0]);
      expect(json.interfaces[eth0].sandbox).toBe(pod.netnsPath);
      expect(json.interfaces[eth0].mac).toMatch(/^[0-9a-f:]{17}$/);
    }
    expect(await printed("strongswan", pod, "DEL", configuration)).toEqual({ code: 0, stderr: "", json: undefined });
    await pod.remove();
  });
});

describe("two families", () => {
  test("a pod has a virtual IP of each, and both are encrypted", async () => {
    const configuration = { ...conf(DUAL), cniVersion: "1.0.0" };
    await using capture = await cluster.testbed.capture();
    await using a = await addedPod(cluster.node(1), "a", configuration);
    await using b = await addedPod(cluster.node(2), "b", configuration);
    expect(a.result.ips.slice(0, 2).map(({ address }) => address)).toEqual([
      expect.stringMatching(/^10\.173\..*\/32$/),
      expect.stringMatching(/^fd00:173::.*\/128$/),
    ]);
    expect(await a.pod.ping(virtualIP(b.result, 4), 2)).toBe(true);
    expect(await a.pod.ping(virtualIP(b.result, 6), 2)).toBe(true);
    const probe = ["ping", "-c", "1", "-W", "2", virtualIP(a.result, 6)] as const;
    expect((await cluster.node(1).exec([...probe], { check: false })).code).toBe(0);
    await capture.sync();
    expect(await capture.count(PLAIN)).toBe(0);
  });

  test("the hub may be reached by IPv6", async () => {
    const configuration = conf({
      ...DUAL,
      vpn: { serverIP: HUB_ADDRESS_6, hostSubnet: ["10.9.0.0/24", "fd00:9::/64"] },
    });
    await using capture = await cluster.testbed.capture();
    await using a = await addedPod(cluster.node(1), "a", configuration);
    await using b = await addedPod(cluster.node(2), "b", configuration);
    expect(await a.pod.ping(b.ip, 2)).toBe(true);
    await capture.sync();
    expect(await capture.count("ip6 and udp port 4500")).toBeGreaterThan(0);
    expect(await capture.count(PLAIN)).toBe(0);
  });
});

describe("behind another plugin of a chain", () => {
  const own = { type: "strongswan", vpn: conf().vpn };
  const chains: [string, Record<string, unknown>][] = [
    ["bridge", { type: "bridge", bridge: "cni0", isDefaultGateway: true, ipMasq: true, ipam: conf().ipam }],
    [
      "ptp",
      {
        type: "ptp",
        ipMasq: true,
        ipam: { type: "host-local", subnet: "172.18.1.0/24", routes: [{ dst: "0.0.0.0/0" }] },
      },
    ],
  ];

  test.each(chains)("%s makes the link, podvpn only the tunnel; CHECK and DEL work", async (name, main) => {
    const configuration = { cniVersion: "1.0.0", name: `chain-${name}`, plugins: [main, own, { type: "tuning" }] };
    await using a = await addedPod(cluster.node(1), "a", configuration as never);
    await using b = await addedPod(cluster.node(2), "b", configuration as never);
    expect(await a.pod.ping(b.ip, 2)).toBe(true);
    await a.pod.check(configuration, BUILT);
    const { code } = await cluster.node(1).exec(["ping", "-c", "1", "-W", "1", a.ip], { check: false });
    expect(code).toBe(0);
  });
});

test("a full tunnel: everything but host, hub and bridge goes to the hub, and nothing leaves in plain without it", async () => {
  const configuration = conf({ vpn: { virtualSubnet: "0.0.0.0/0" } });
  await using full = await Cluster.create(1, {
    edit: (text) => text.replace("local_ts = 10.173.0.0/16", "local_ts = 0.0.0.0/0"),
  });
  await using capture = await full.testbed.capture("icmp");
  await using a = await addedPod(full.node(1), "a", configuration);
  const { stdout } = await a.pod.exec(["ip", "route", "get", "192.0.2.1"]);
  expect(stdout).toContain("ipsec0");
  expect(await a.pod.ping("172.17.1.1", 1)).toBe(true);
  await a.pod.exec(["pkill", "-9", "charon"], { check: false });
  await full.node(1).exec(["pkill", "-9", "charon"], { check: false });
  expect(await a.pod.ping("192.0.2.1", 1)).toBe(false);
  await capture.sync();
  expect(await capture.count("dst host 192.0.2.1")).toBe(0);
});

test("the bridge gets everything that is not podvpn's: its keys, unknown keys, CNI_ARGS and runtimeConfig", async () => {
  const node = cluster.node(1);
  // The real bridge, behind a script that notes what it was called with.
  const script =
    '#!/bin/sh\ncat >"/run/seen.$CNI_COMMAND"\nenv >"/run/env.$CNI_COMMAND"\nexec /usr/lib/cni/bridge <"/run/seen.$CNI_COMMAND"\n';
  await node.writeFile("/run/noting/bridge", script, 0o755);
  const configuration = {
    ...conf({ mtu: 1300, promiscMode: false, "example.org/unknown": { kept: true }, capabilities: { ips: true } }),
    cniVersion: "1.0.0",
    args: { cni: { ips: [] } },
  };
  const options = {
    path: [DIST, "/run/noting", "/usr/lib/cni"],
    args: { IgnoreUnknown: "1", K8S_POD_NAME: "web-0" },
    capabilityArgs: { ips: ["172.17.1.77/24"] },
  };
  await using a = await addedPod(node, "a", configuration, options);
  const seen = JSON.parse(await node.readFile("/run/seen.ADD"));
  expect(seen).toMatchObject({
    type: "bridge",
    name: "podnet",
    mtu: 1300,
    isDefaultGateway: true,
    hairpinMode: true,
    "example.org/unknown": { kept: true },
    runtimeConfig: { ips: ["172.17.1.77/24"] },
    args: { cni: { ips: [] } },
  });
  expect(seen).not.toHaveProperty("vpn");
  expect(await node.readFile("/run/env.ADD")).toContain("K8S_POD_NAME=web-0");
  expect(a.result.ips.map(({ address }) => address)).toContain("172.17.1.77/24");
});

test("VERSION needs no configuration, and prints nothing else", async () => {
  const { stdout, stderr } = await cluster.node(1).exec([`${DIST}/strongswan`], {
    input: "",
    env: { CNI_COMMAND: "VERSION" },
  });
  expect(JSON.parse(stdout).supportedVersions).toEqual(["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]);
  expect(stderr).toBe("");
});
