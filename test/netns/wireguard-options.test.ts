import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Node } from "../../src/testbed/node.ts";
import { BUILT } from "./support/cluster.ts";
import { eventually } from "./support/eventually.ts";
import { failure } from "./support/failed-add.ts";
import { KEY_FILE, keyPair, Mesh, nodeAddress, nodeAddress6, podSubnet, podSubnet6 } from "./support/mesh.ts";
import { shownDevice } from "./support/wg.ts";

let mesh: Mesh;
let node: Node;

beforeAll(async () => {
  mesh = await Mesh.create(3);
  ({ node } = mesh.at(1));
});
afterAll(async () => {
  await mesh?.[Symbol.asyncDispose]();
});

/** What a test says of `wireguard`; each begins without devices. */
function conf(of: number, wireguard: Record<string, unknown> = {}, overrides: Record<string, unknown> = {}) {
  return mesh.conf(of, { ...overrides, wireguard: { removeWithLastPod: true, ...wireguard } });
}

const podOf = (of: number, wireguard?: Record<string, unknown>, name = "pod") =>
  mesh.addedPod(of, name, conf(of, wireguard));

/** With the peers in a file instead. */
const elsewhere = (where: Record<string, unknown>) => ({ peers: undefined, ...where });

describe("peersFile", () => {
  const yaml = (peers: Record<string, unknown>[]) =>
    peers
      .map(({ publicKey, endpoint, allowedIPs }) =>
        [
          `- publicKey: ${publicKey}`,
          `  endpoint: "${endpoint}" # as an operator writes it`,
          `  allowedIPs: [${(allowedIPs as string[]).map((prefix) => `"${prefix}"`)}]`,
          "",
        ].join("\n"),
      )
      .join("");

  test.each([
    { name: "YAML", file: "/etc/podvpn/peers.yaml", write: yaml },
    { name: "JSON", file: "/etc/podvpn/peers.json", write: (peers: object[]) => JSON.stringify({ peers }) },
  ])("in $name is read again at each ADD: the peers follow it, and who stays keeps the session", async (one) => {
    const [second, third] = [mesh.at(2).publicKey, mesh.at(3).publicKey];
    const write = (keys: string[]) => {
      const peers = mesh.peersOf(1).filter(({ publicKey }) => keys.includes(String(publicKey)));
      return node.writeFile(one.file, one.write(peers));
    };
    await using b = await podOf(2);
    await using c = await podOf(3);
    await write([second]);
    await using a = await podOf(1, elsewhere({ peersFile: one.file }));
    expect(await a.pod.ping(b.ip)).toBe(true);
    const before = (await shownDevice(node)).peers.get(second);
    await write([second, third]);
    expect((await failure(a.pod.check(a.conf, BUILT))).msg).toContain(`missing: peer ${third}`);
    await using d = await podOf(1, elsewhere({ peersFile: one.file }), "next");
    expect((await shownDevice(node)).peers.get(second)?.latestHandshake).toBe(before?.latestHandshake);
    expect(await d.pod.ping(c.ip)).toBe(true);
    await write([third]);
    await using e = await podOf(1, elsewhere({ peersFile: one.file }), "last");
    expect([...(await shownDevice(node)).peers.keys()]).toEqual([third]);
    await using capture = await mesh.testbed.capture("net 10.1.0.0/16");
    expect(await a.pod.ping(b.ip)).toBe(false); // still refused in plain: pods that knew it are there
    expect(await e.pod.ping(c.ip)).toBe(true);
    await capture.sync();
    expect(await capture.packets()).toEqual([]);
  });
});

test("configFile: what wg setconf reads is the device, key, port and mark included", async () => {
  const { privateKey, publicKey } = keyPair();
  const psk = keyPair().privateKey;
  const file = [
    "[Interface]",
    `PrivateKey = ${privateKey}`,
    "ListenPort = 51899",
    "FwMark = 0x2a",
    "",
    "[Peer] # the other node",
    `PublicKey = ${mesh.at(2).publicKey}`,
    `PresharedKey = ${psk}`,
    `Endpoint = ${nodeAddress(2)}:51820`,
    `AllowedIPs = ${podSubnet(2)}, ${podSubnet6(2)}`,
    "PersistentKeepalive = 25",
    "",
  ].join("\n");
  await node.writeFile("/etc/wireguard/mesh.conf", file, 0o600);
  await mesh.at(2).node.writeFile("/etc/podvpn/psk", `${psk}\n`, 0o600);
  const peers = [
    {
      publicKey,
      endpoint: `${nodeAddress(1)}:51899`,
      allowedIPs: [podSubnet(1), podSubnet6(1)],
      presharedKeyFile: "/etc/podvpn/psk",
    },
  ];
  await using b = await podOf(2, { peers });
  await using a = await podOf(1, elsewhere({ configFile: "/etc/wireguard/mesh.conf" }));
  expect(await a.pod.ping(b.ip)).toBe(true);
  expect(await b.pod.ping(a.ip6)).toBe(true);
  await a.pod.check(a.conf, BUILT);
  expect(await shownDevice(node)).toMatchObject({ publicKey, listenPort: 51899, fwmark: "0x2a" });
  // wg(8) itself finds nothing to change.
  const before = (await node.exec(["wg", "showconf", "podvpn0"])).stdout;
  await node.exec(["wg", "setconf", "podvpn0", "/etc/wireguard/mesh.conf"]);
  expect((await node.exec(["wg", "showconf", "podvpn0"])).stdout).toBe(before);
});

test("presharedKeyFile: both ends need the same key", async () => {
  const psk = "/etc/podvpn/psk";
  const keyed = (of: number) => ({ peers: mesh.peersOf(of).map((peer) => ({ ...peer, presharedKeyFile: psk })) });
  const key = keyPair().privateKey;
  for (const of of [1, 2]) await mesh.at(of).node.writeFile(psk, `${key}\n`, 0o600);
  await using a = await podOf(1, keyed(1));
  await using b = await podOf(2, keyed(2));
  expect(await a.pod.ping(b.ip)).toBe(true);
  await b.pod.check(b.conf, BUILT);
  await mesh.at(3).node.writeFile(psk, `${keyPair().privateKey}\n`, 0o600);
  await using c = await podOf(3, keyed(3));
  expect(await c.pod.ping(b.ip)).toBe(false);
});

describe("an endpoint by name", () => {
  const hosts = (lines: readonly string[]) =>
    node.writeFile("/etc/hosts", `127.0.0.1 localhost\n${lines.join("\n")}\n`);
  const named = () => ({
    peers: mesh.peersOf(1).map((peer, at) => ({ ...peer, endpoint: `n${at + 2}.example:51820` })),
  });

  beforeAll(() => node.writeFile("/etc/resolv.conf", "nameserver 127.0.0.1\n")); // nobody is there: refused at once

  test("is looked up as the node does, in IPv4 or IPv6", async () => {
    await hosts([`${nodeAddress(2)} n2.example`, `${nodeAddress6(3)} n3.example`]);
    await using a = await podOf(1, named());
    await using b = await podOf(2);
    await using c = await podOf(3);
    expect(await a.pod.ping(b.ip)).toBe(true);
    expect(await a.pod.ping(c.ip)).toBe(true);
    const { peers } = await shownDevice(node);
    expect(peers.get(mesh.at(2).publicKey)?.endpoint).toBe(`${nodeAddress(2)}:51820`);
    expect(peers.get(mesh.at(3).publicKey)?.endpoint).toBe(`[${nodeAddress6(3)}]:51820`);
    await a.pod.check(a.conf, BUILT);
  });

  test("that does not resolve delays its peer alone; the next ADD finds it", async () => {
    await hosts([`${nodeAddress(2)} n2.example`]);
    const logFile = "/opt/podvpn.log";
    await using b = await podOf(2);
    await using c = await podOf(3);
    await using a = await mesh.addedPod(1, "pod", conf(1, named(), { logFile }));
    expect(await a.pod.ping(b.ip)).toBe(true);
    expect(await a.pod.ping(c.ip)).toBe(false);
    expect(await node.readFile(logFile)).toMatch(/ADD .*the endpoint n3\.example has no address now/);
    await hosts([`${nodeAddress(2)} n2.example`, `${nodeAddress(3)} n3.example`]);
    await using next = await podOf(1, named(), "next");
    // WireGuard tries again 5 s after an attempt, of which there was one without an endpoint.
    await eventually("the peer is reached", 15_000, () => next.pod.ping(c.ip));
    expect(await a.pod.ping(c.ip)).toBe(true);
    await a.pod.check(a.conf, BUILT);
  });

  test("that does not resolve at ADD is found by CHECK", async () => {
    await hosts([]);
    await using c = await podOf(3);
    await using a = await podOf(1, named());
    expect((await shownDevice(node)).peers.get(mesh.at(3).publicKey)?.endpoint).toBe("(none)");
    await hosts([`${nodeAddress(3)} n3.example`]);
    await a.pod.check(a.conf, BUILT);
    expect((await shownDevice(node)).peers.get(mesh.at(3).publicKey)?.endpoint).toBe(`${nodeAddress(3)}:51820`);
    expect(await a.pod.ping(c.ip)).toBe(true);
  });

  test("with a name server that is dead costs an ADD seconds, and nothing else", async () => {
    await hosts([`${nodeAddress(2)} n2.example`]);
    await node.writeFile("/etc/resolv.conf", "nameserver 10.9.0.250\n");
    await using b = await podOf(2);
    const start = performance.now();
    await using a = await podOf(1, named());
    expect(performance.now() - start).toBeLessThan(10_000);
    expect(await a.pod.ping(b.ip)).toBe(true);
    await node.writeFile("/etc/resolv.conf", "nameserver 127.0.0.1\n");
  });
});

describe("table", () => {
  test.each([{ fwmark: undefined }, { fwmark: 51820 }])("of its own, with fwmark $fwmark", async ({ fwmark }) => {
    await using capture = await mesh.testbed.capture("net 10.1.0.0/16 or net fd00:1::/32");
    await using b = await podOf(2);
    await using a = await podOf(1, { table: 51820, ...(fwmark === undefined ? {} : { fwmark }) });
    expect(await a.pod.ping(b.ip)).toBe(true);
    expect(await b.pod.ping(a.ip6)).toBe(true);
    await a.pod.check(a.conf, BUILT);
    const ip = async (...args: string[]) => (await node.exec(["ip", ...args])).stdout;
    expect(await ip("route", "show", "dev", "podvpn0")).toBe("");
    expect(await ip("route", "show", "table", "51820")).toContain(`${podSubnet(2)} dev podvpn0`);
    expect(await ip("-6", "route", "show", "table", "51820")).toContain(`${podSubnet6(2)} dev podvpn0`);
    const rule = fwmark === undefined ? "209:\tfrom all lookup 51820" : "209:\tnot from all fwmark 0xca6c lookup 51820";
    expect(await ip("rule")).toContain(rule);
    expect(await ip("-6", "rule")).toContain(rule);
    await capture.sync();
    expect(await capture.packets()).toEqual([]);
  });

  test("of its own, with another's routes to the same addresses in the main table: those are not asked", async () => {
    await node.exec(["ip", "route", "add", podSubnet(2), "via", nodeAddress(3)]);
    await using _undo = {
      [Symbol.asyncDispose]: async () => void (await node.exec(["ip", "route", "delete", podSubnet(2)])),
    };
    await using b = await podOf(2);
    const refused = await failure(podOf(1));
    expect(refused.code).toBe(7);
    expect(refused.msg).toContain(`the node has the route "${podSubnet(2)} via ${nodeAddress(3)} dev eth0"`);
    await using a = await podOf(1, { table: 51820 }, "tabled");
    expect(await a.pod.ping(b.ip)).toBe(true);
  });
});

describe("MTU", () => {
  /** The largest echo request that fits, which none of the outer packets shows to be fragmented. */
  test.each([
    { underlay: 1400, wireguard: {}, mtu: 1320 },
    { underlay: 9000, wireguard: {}, mtu: 8920 },
    { underlay: 1500, wireguard: {}, mtu: 1420 },
    { underlay: 1500, wireguard: { mtu: 1300 }, mtu: 1300 },
  ])("over $underlay, with $wireguard, is $mtu: on the device, and on the pods' routes", async (one) => {
    const { underlay, wireguard, mtu } = one;
    for (const of of [1, 2]) await mesh.at(of).node.exec(["ip", "link", "set", "eth0", "mtu", String(underlay)]);
    await using a = await mesh.addedPod(1, "pod", conf(1, wireguard, { cniVersion: "1.1.0" }));
    await using b = await podOf(2, wireguard);
    for (const of of [1, 2]) {
      expect((await mesh.at(of).node.exec(["cat", "/sys/class/net/podvpn0/mtu"])).stdout.trim()).toBe(String(mtu));
    }
    expect(a.result.routes.filter((route) => route.mtu !== undefined).map((route) => route.mtu)).toEqual(
      Array.from({ length: 3 }, () => mtu),
    );
    expect((await a.pod.exec(["ip", "route", "get", b.ip])).stdout).toContain(`mtu ${mtu}`);
    await a.pod.check(a.conf, BUILT);
    if (underlay > 1500) return; // the pods' own links have 1500
    const sized = async (to: string, size: number) => {
      const argv = ["ping", "-n", "-c", "1", "-W", "1", "-M", "do", "-s", String(size), to] as const;
      return (await a.pod.exec(argv, { check: false })).code === 0;
    };
    await using capture = await mesh.testbed.capture("udp port 51820 or ip[6:2] & 0x3fff != 0");
    expect(await a.pod.ping(b.ip)).toBe(true);
    expect(await sized(b.ip, mtu - 28)).toBe(true);
    expect(await sized(b.ip, mtu - 27)).toBe(false);
    expect(await sized(b.ip6, mtu - 48)).toBe(true);
    expect(await sized(b.ip6, mtu - 47)).toBe(false);
    await capture.sync();
    expect(await capture.count("ip[6:2] & 0x3fff != 0")).toBe(0);
    expect(await capture.count(`greater ${underlay - 70}`)).toBeGreaterThanOrEqual(wireguard.mtu === undefined ? 4 : 0);
    expect(await capture.count(`greater ${underlay + 15}`)).toBe(0);
  });

  test("of the underlay that changes is told by CHECK, and followed at the next ADD", async () => {
    await node.exec(["ip", "link", "set", "eth0", "mtu", "1500"]);
    await using a = await podOf(1);
    await node.exec(["ip", "link", "set", "eth0", "mtu", "1400"]);
    expect((await failure(a.pod.check(a.conf, BUILT))).msg).toContain("the MTU of podvpn0 is 1420 instead of 1320");
    await using _next = await podOf(1, {}, "next");
    expect((await node.exec(["cat", "/sys/class/net/podvpn0/mtu"])).stdout.trim()).toBe("1320");
    await node.exec(["ip", "link", "set", "eth0", "mtu", "1500"]);
  });
});

test("privateKeyFile, anywhere on the node, with {node} in its name", async () => {
  const { privateKey, publicKey } = keyPair();
  const host = (await node.exec(["hostname"])).stdout.trim();
  await node.writeFile(`/etc/podvpn/${host}.key`, `${privateKey}\n`, 0o600);
  await using _a = await podOf(1, { privateKeyFile: "/etc/podvpn/{node}.key" });
  expect((await shownDevice(node)).publicKey).toBe(publicKey);
  expect(await node.readFile(KEY_FILE)).toBe(`${mesh.at(1).privateKey}\n`);
});
