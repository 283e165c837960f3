import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Result } from "../../src/cni/result.ts";
import type { Node } from "../../src/testbed/node.ts";
import type { Pod } from "../../src/testbed/pod.ts";
import { echo, Sender } from "../../src/testbed/traffic.ts";
import { BUILT } from "./support/cluster.ts";
import { keyPair, Mesh, nodeAddress } from "./support/mesh.ts";
import { ensureBy, withoutDevice } from "./support/mesh-device.ts";
import { expectUnchanged } from "./support/unchanged.ts";
import { shownDevice } from "./support/wg.ts";

let mesh: Mesh;
let node: Node;
let peer: Awaited<ReturnType<Mesh["addedPod"]>>;

beforeAll(async () => {
  mesh = await Mesh.create(2);
  node = mesh.at(1).node;
  peer = await mesh.addedPod(2, "peer");
  await echo(peer.pod);
  await withoutDevice(mesh, 1, "first"); // the bridge, the directories, the addons: made once for all
});
afterAll(() => mesh?.[Symbol.asyncDispose]());

describe("many pods at once on a node without a device", () => {
  const COUNT = 50;

  test("fifty share one wireguard-go, have addresses of their own, reach others, and leave nothing", async ({
    annotate,
  }) => {
    const configuration = mesh.conf(1, { wireguard: { removeWithLastPod: true } });
    const before = await node.snapshot();
    const pods: Pod[] = [];
    for (let index = 0; index < COUNT; index += 1) pods.push(await node.addPod(`p${index}`));
    const begin = performance.now();
    const results = await Promise.all(pods.map((pod) => pod.add(configuration, BUILT)));
    await annotate(`${COUNT} ADDs at once: ${(performance.now() - begin).toFixed(0)} ms`);

    const addresses = results.flatMap(({ ips }: Result) => ips.map(({ address }) => address));
    expect(new Set(addresses).size).toBe(2 * COUNT);
    expect((await node.exec(["pgrep", "-xc", "wireguard-go"])).stdout.trim()).toBe("1");
    expect([...(await shownDevice(node)).peers.keys()]).toEqual([mesh.at(2).publicKey]);
    for (let index = 0; index < COUNT; index += 5) {
      expect(await pods[index]?.ping(peer.ip, 2), `p${index} reaches the other node`).toBe(true);
      expect(await pods[index]?.ping(peer.ip6, 1), `p${index} reaches the other node`).toBe(true);
    }

    const deleted = await Promise.allSettled(pods.map((pod) => pod.del(configuration, BUILT)));
    await Promise.all(pods.map((pod) => pod.remove()));
    expect(deleted.flatMap((del) => (del.status === "rejected" ? [String(del.reason)] : []))).toEqual([]);
    await expectUnchanged(node, before);
  });

  test("twenty, each with a device of its own, have a wireguard-go each, and leave nothing", async ({ annotate }) => {
    const count = 20;
    const configuration = mesh.conf(1, { wireguard: { attach: "pod", interface: "wg0" } });
    const before = await node.snapshot();
    const pods: Pod[] = [];
    for (let index = 0; index < count; index += 1) pods.push(await node.addPod(`own${index}`));
    const begin = performance.now();
    await Promise.all(pods.map((pod) => pod.add(configuration, BUILT)));
    await annotate(`${count} ADDs at once: ${(performance.now() - begin).toFixed(0)} ms`);
    expect((await node.exec(["pgrep", "-xc", "wireguard-go"])).stdout.trim()).toBe(String(count));
    const deleted = await Promise.allSettled(pods.map((pod) => pod.del(configuration, BUILT)));
    await Promise.all(pods.map((pod) => pod.remove()));
    expect(deleted.flatMap((del) => (del.status === "rejected" ? [String(del.reason)] : []))).toEqual([]);
    await expectUnchanged(node, before);
  });
});

describe("a thousand peers", () => {
  const FILE = "/etc/podvpn-test/peers.json";
  const COUNT = 1000;

  interface PeerConfig {
    readonly publicKey: string;
    readonly endpoint: string;
    readonly allowedIPs: readonly string[];
  }

  /** Any 32 bytes are a public key. */
  function imaginary(number: number): PeerConfig {
    const [high, low] = [number >> 8, number & 0xff];
    return {
      publicKey: Buffer.alloc(32, `peer ${number} of the tests `).toString("base64"),
      endpoint: `10.9.${4 + high}.${low}:51820`,
      allowedIPs: [`10.${64 + high}.${low}.0/24`, `fd00:2:${number.toString(16)}::/64`],
    };
  }

  const write = (peers: readonly unknown[]) => node.writeFile(FILE, JSON.stringify({ peers }));

  test("come out of a file; to change some leaves all others, and their traffic, alone", async ({ annotate }) => {
    const peers: unknown[] = [...mesh.peersOf(1), ...Array.from({ length: COUNT - 1 }, (_, index) => imaginary(index))];
    await write(peers);
    const configuration = mesh.conf(1, { wireguard: { peers: null, peersFile: FILE } });
    const begin = performance.now();
    await using pod = await mesh.addedPod(1, "talker", configuration);
    await annotate(`ADD with ${COUNT} peers: ${(performance.now() - begin).toFixed(0)} ms`);
    expect((await shownDevice(node)).peers.size).toBe(COUNT);

    await using sender = await Sender.start(pod.pod, peer.ip, 200);
    await using sender6 = await Sender.start(pod.pod, peer.ip6, 200);
    await Promise.all([sender.answers(100, 10_000), sender6.answers(100, 10_000)]);
    const { peers: before } = await shownDevice(node);

    // One with other addresses and another endpoint, one with another key, one gone, one that is new.
    const moved = { ...imaginary(500), endpoint: `${nodeAddress(2)}:51999`, allowedIPs: ["10.90.0.0/24"] };
    const renamed = { ...imaginary(501), publicKey: keyPair().publicKey };
    const added = { ...imaginary(COUNT + 1), allowedIPs: ["10.64.44.128/25"] };
    const changed = peers.flatMap((one, index) => {
      if (index === 501) return [moved];
      if (index === 502) return [renamed];
      return index === 503 ? [] : [one];
    });
    await write([...changed, added]);
    const again = performance.now();
    await ensureBy(mesh, 1, "changer", configuration);
    await annotate(`ADD and DEL with a change: ${(performance.now() - again).toFixed(0)} ms`);

    const { peers: after } = await shownDevice(node);
    expect(after.size).toBe(COUNT);
    expect(after.has(imaginary(501).publicKey)).toBe(false);
    expect(after.has(imaginary(502).publicKey)).toBe(false);
    expect(after.get(moved.publicKey)).toMatchObject({ endpoint: moved.endpoint, allowedIPs: moved.allowedIPs });
    expect(after.get(renamed.publicKey)?.allowedIPs).toEqual(renamed.allowedIPs);
    expect(after.get(added.publicKey)?.allowedIPs).toEqual(added.allowedIPs);
    const touched = [imaginary(500), imaginary(501), imaginary(502)].map(({ publicKey }) => publicKey);
    for (const [publicKey, { endpoint, allowedIPs, latestHandshake }] of before) {
      if (touched.includes(publicKey)) continue;
      expect(after.get(publicKey)).toMatchObject({ endpoint, allowedIPs, latestHandshake });
    }
    const { stdout: routes } = await node.exec(["ip", "route", "show", "dev", "podvpn0"]);
    for (const route of ["10.90.0.0/24", "10.64.44.128/25", "10.65.245.0/24"]) expect(routes).toContain(route);
    for (const route of ["10.65.244.0/24", "10.65.246.0/24"]) expect(routes).not.toContain(route);

    for (const each of [sender, sender6]) {
      const { lost, refused } = await each.answers(300, 10_000); // until all that was sent meanwhile is due
      expect({ lost, refused }).toEqual({ lost: 0, refused: {} });
    }
  });
});
