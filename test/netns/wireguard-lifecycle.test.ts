import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Node } from "../../src/testbed/node.ts";
import type { Pod } from "../../src/testbed/pod.ts";
import { diffSnapshots, type Snapshot } from "../../src/testbed/snapshot.ts";
import { BUILT, DIST } from "./support/cluster.ts";
import { eventually } from "./support/eventually.ts";
import { failedAdd, failure } from "./support/failed-add.ts";
import { FaultyPlugin, SOUND } from "./support/faulty.ts";
import { KEY_FILE, Mesh, podSubnet, podSubnet6 } from "./support/mesh.ts";
import { withoutProgram } from "./support/mounted.ts";
import { expectUnchanged } from "./support/unchanged.ts";
import { killed, shownDevice, wireguardGo } from "./support/wg.ts";

let mesh: Mesh;
let node: Node;
/** The node with its bridge, before any device. */
let bare: Snapshot;

beforeAll(async () => {
  mesh = await Mesh.create(2);
  ({ node } = mesh.at(1));
  for (const of of [1, 2]) {
    await using _first = await mesh.addedPod(of, "first", last(of)); // what every first pod leaves: the bridge
  }
  bare = await node.snapshot();
});
afterAll(async () => {
  await mesh?.[Symbol.asyncDispose]();
});

/** With which the device goes with the last pod. */
function last(of = 1, overrides: Parameters<Mesh["conf"]>[1] = {}) {
  return mesh.conf(of, { ...overrides, wireguard: { removeWithLastPod: true, ...overrides.wireguard } });
}

const stateOf = (pod: Pod) => `/run/podvpn/pods/${pod.containerID}+eth0`;

/** How many wireguard-go run on the node. */
async function running(): Promise<number> {
  return (await node.snapshot()).get("processes")?.filter((line) => line.includes("wireguard-go")).length ?? 0;
}

describe("ADD", () => {
  test("of another pod re-attaches to the device: same process, sessions and counters go on", async () => {
    await using a = await mesh.addedPod(1, "a", last());
    await using b = await mesh.addedPod(2, "b", last(2));
    expect(await a.pod.ping(b.ip, 3)).toBe(true);
    const pid = await wireguardGo(node);
    const before = (await shownDevice(node)).peers.get(mesh.at(2).publicKey);
    await using c = await mesh.addedPod(1, "c", last());
    expect(await wireguardGo(node)).toBe(pid);
    const after = (await shownDevice(node)).peers.get(mesh.at(2).publicKey);
    expect(before?.latestHandshake).toBeGreaterThan(0);
    expect(after?.latestHandshake).toBe(before?.latestHandshake);
    expect(after?.sent).toBeGreaterThanOrEqual(before?.sent ?? Number.NaN);
    expect(await c.pod.ping(b.ip)).toBe(true);
    expect((await shownDevice(node)).peers.get(mesh.at(2).publicKey)?.latestHandshake).toBe(before?.latestHandshake);
  });

  test("of another pod changes nothing of the device, its routes, rules and guard", async () => {
    await using _a = await mesh.addedPod(1, "a", last(1, { wireguard: { table: 51820, fwmark: 51820 } }));
    await using routes = node.spawn(["ip", "-o", "monitor", "link", "address", "route", "rule"]);
    await using tables = node.spawn(["nft", "monitor"]);
    // Each tells of what is made here as soon as it listens.
    const heard = async (program: typeof routes, argv: readonly [string, ...string[]], pattern: RegExp) => {
      const before = program.lines.filter((line) => pattern.test(line)).length;
      await eventually("the monitor tells", 5000, async () => {
        await node.exec(argv);
        return program.lines.filter((line) => pattern.test(line)).length > before;
      });
    };
    const marks = async () => {
      const marker = "ip route add 192.0.2.77/32 dev lo; ip route delete 192.0.2.77/32";
      await heard(routes, ["sh", "-ec", marker], /192\.0\.2\.77/);
      await heard(tables, ["nft", "add table ip marker; delete table ip marker"], /marker/);
    };
    await marks();
    const told = { routes: routes.lines.length, tables: tables.lines.length };
    await using _b = await mesh.addedPod(1, "b", last(1, { wireguard: { table: 51820, fwmark: 51820 } }));
    await marks();
    expect(routes.lines.slice(told.routes).join("\n")).toContain("cni0"); // it does tell of the pod's link
    const ours = /podvpn0|51820|proto 174|unreachable/;
    expect(routes.lines.slice(told.routes).filter((line) => ours.test(line))).toEqual([]);
    expect(tables.lines.slice(told.tables).filter((line) => line.includes("podvpn-mesh"))).toEqual([]);
  });

  test("of another pod writes no more than its own record, link and routes", async () => {
    const faulty = await FaultyPlugin.install(node, "wireguard");
    await using _a = await mesh.addedPod(1, "a", last(), SOUND);
    await using pod = await node.addPod("b");
    const effects = await faulty.effects((options) => pod.add(last(), options));
    await pod.del(last(), SOUND);
    const own = /n1-b|cni\/bridge$|via 10\.1\.1\.1 |via fd00:1:1::1 /;
    expect(effects.filter((name) => own.test(name)).length).toBeGreaterThan(5);
    expect(effects.filter((name) => !own.test(name))).toEqual([]);
  });

  test("of many pods at once starts exactly one wireguard-go, and all of them speak", async () => {
    await using b = await mesh.addedPod(2, "b", last(2));
    const names = ["p1", "p2", "p3", "p4"];
    const pods = await Promise.all(names.map((name) => mesh.addedPod(1, name, last())));
    await using cleanup = new AsyncDisposableStack();
    for (const pod of pods) cleanup.use(pod);
    expect(await running()).toBe(1);
    for (const { pod } of pods) expect(await pod.ping(b.ip)).toBe(true);
  });

  test("makes the private key when there is none, and keeps it", async () => {
    const file = "/var/lib/podvpn/wireguard/podvpn7.key";
    const fresh = () => last(1, { wireguard: { interface: "podvpn7", listenPort: 51827 } });
    const publicKey = async () => {
      await using _pod = await mesh.addedPod(1, "keyed", fresh());
      return (await shownDevice(node, "podvpn7")).publicKey;
    };
    const first = await publicKey();
    expect((await node.exec(["stat", "-c", "%a %U", file])).stdout.trim()).toBe("600 root");
    const { stdout } = await node.exec(["sh", "-c", `wg pubkey <${file}`]);
    expect(stdout.trim()).toBe(first);
    await node.exec(["rm", "-rf", "/run/podvpn"]); // as a reboot does
    expect(await publicKey()).toBe(first);
    await node.exec(["rm", file]);
    expect(await publicKey()).not.toBe(first);
    await node.exec(["rm", file]);
    await expectUnchanged(node, bare);
  });

  test("for an interface that is there already is an error, and the first goes on", async () => {
    await using b = await mesh.addedPod(2, "b", last(2));
    await using first = await mesh.addedPod(1, "twice", last());
    const before = await node.snapshot();
    const error = await failure(first.pod.add(last(), BUILT));
    expect(error.code).toBe(4);
    expect(error.msg).toBe("container n1-twice already has eth0 on network podnet; call DEL before a second ADD");
    expect(diffSnapshots(before, await node.snapshot())).toEqual([]);
    expect(await first.pod.ping(b.ip, 2)).toBe(true);
    await first.pod.check(last(), BUILT);
  });

  test("of one pod twice at the same time succeeds once", async () => {
    await using pod = await node.addPod("race");
    const adds = await Promise.allSettled([pod.add(last(), BUILT), pod.add(last(), BUILT)]);
    expect(adds.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    expect(adds.find((add) => add.status === "rejected")?.reason).toMatchObject({ code: 4 });
    await pod.check(last(), BUILT);
    await pod.del(last(), BUILT);
  });

  test("replaces a wireguard-go that was killed; until then nothing of the mesh leaves the node", async () => {
    await using b = await mesh.addedPod(2, "b", last(2));
    await using a = await mesh.addedPod(1, "a", last());
    expect(await a.pod.ping(b.ip)).toBe(true);
    await using capture = await mesh.testbed.capture("net 10.1.0.0/16");
    const pid = await wireguardGo(node);
    await killed(node, pid);
    expect((await a.pod.tryPing(b.ip)).stdout).toContain("Unreachable"); // told, instead of waiting
    await using c = await mesh.addedPod(1, "c", last());
    expect(await wireguardGo(node)).not.toBe(pid);
    expect(await running()).toBe(1);
    expect(await c.pod.ping(b.ip)).toBe(true);
    expect(await a.pod.ping(b.ip)).toBe(true);
    await a.pod.check(last(), BUILT);
    await capture.sync();
    expect(await capture.packets()).toEqual([]);
  });
});

describe("DEL", () => {
  test("leaves the device by default, and everything that belongs to it, for the next pod", async () => {
    const stays = mesh.conf(1);
    {
      await using _a = await mesh.addedPod(1, "a", stays);
      const pid = await wireguardGo(node);
      const { pod } = await mesh.addedPod(1, "b", stays);
      await pod.del(stays, BUILT);
      await pod.remove();
      expect(await wireguardGo(node)).toBe(pid);
    }
    const shown = await shownDevice(node);
    expect(shown.peers.size).toBe(1);
    const left = diffSnapshots(bare, await node.snapshot());
    expect(left.filter((line) => line.startsWith("-"))).toEqual([]);
    expect(left).toContainEqual(expect.stringMatching(/^\+ IPv4 routes: unreachable 10\.1\.2\.0\/24 proto 174/));
    expect(left.join("\n")).not.toContain(stateOf({ containerID: "n1-a" } as Pod));
    {
      await using _last = await mesh.addedPod(1, "a", last());
    }
    await expectUnchanged(node, bare);
  });

  test("of the last pod takes the device with all that was made for it, when the configuration says so", async () => {
    const options = { wireguard: { table: 777, fwmark: 5, address: ["10.3.0.1/32", "fd00:3::1/128"] } };
    {
      await using _a = await mesh.addedPod(1, "a", last(1, options));
      await using _b = await mesh.addedPod(1, "b", last(1, options));
    }
    await expectUnchanged(node, bare);
  });

  test("of the last two pods at once does so as well", async () => {
    const pods = [await mesh.addedPod(1, "a", last()), await mesh.addedPod(1, "b", last())];
    await Promise.all(pods.map((added) => added[Symbol.asyncDispose]()));
    await expectUnchanged(node, bare);
  });

  test("of one pod and ADD of another at once leave the other with a device", async () => {
    await using b = await mesh.addedPod(2, "b", last(2));
    for (let round = 0; round < 4; round += 1) {
      const going = await mesh.addedPod(1, `going${round}`, last());
      const [added] = await Promise.all([mesh.addedPod(1, `coming${round}`, last()), going[Symbol.asyncDispose]()]);
      await using coming = added;
      await coming.pod.check(last(), BUILT);
      await eventually("the other one speaks", 10_000, () => coming.pod.ping(b.ip));
    }
    await expectUnchanged(node, bare);
  });

  test("twice, and for a container that never was, succeeds", async () => {
    {
      await using added = await mesh.addedPod(1, "gone", last());
      await added.pod.del(last(), BUILT);
      await added.pod.del(last(), BUILT);
      await using never = await node.addPod("never");
      await never.del(last(), BUILT);
    }
    await expectUnchanged(node, bare);
  });

  /** What can have happened to a pod before its DEL. */
  const ACCIDENTS: readonly { name: string; happens: (pod: Pod) => Promise<unknown> }[] = [
    { name: "its state was cleared away", happens: (pod) => node.exec(["rm", "-rf", stateOf(pod)]) },
    { name: "its record was damaged", happens: (pod) => node.writeFile(`${stateOf(pod)}/attachment.json`, "{damaged") },
    { name: "its record was emptied", happens: (pod) => node.writeFile(`${stateOf(pod)}/attachment.json`, "") },
    { name: "its namespace was unmounted", happens: (pod) => pod.remove() },
    {
      name: "its namespace's mount point became a plain file",
      happens: (pod) => node.exec(["umount", pod.netnsPath]),
    },
    { name: "its link was removed", happens: (pod) => pod.exec(["ip", "link", "delete", "eth0"]) },
    { name: "its routes were flushed", happens: (pod) => pod.exec(["ip", "route", "flush", "table", "main"]) },
    { name: "all nft tables of the node were flushed", happens: () => node.exec(["nft", "flush", "ruleset"]) },
    { name: "wireguard-go was killed", happens: async () => killed(node, await wireguardGo(node)) },
    { name: "wireguard-go was stopped", happens: async () => node.exec(["kill", "-STOP", await wireguardGo(node)]) },
    { name: "the private key was removed", happens: () => node.exec(["mv", KEY_FILE, "/root/kept.key"]) },
    { name: "the device was removed", happens: () => node.exec(["ip", "link", "delete", "podvpn0"]) },
  ];

  test.each(ACCIDENTS)("removes everything when $name", async ({ name, happens }) => {
    {
      await using added = await mesh.addedPod(1, name.replaceAll(/\W/g, "-"), last());
      await happens(added.pod);
    }
    await node.exec(["sh", "-c", `[ ! -e /root/kept.key ] || mv /root/kept.key ${KEY_FILE}`]);
    await expectUnchanged(node, bare);
  });

  test("without CNI_NETNS, with a configuration that has become wrong, removes everything", async () => {
    const added = await mesh.addedPod(1, "no-netns", last());
    await added.pod.remove();
    const wrong = { ...last(), wireguard: { peersFile: "/nowhere", listenPort: "nonsense" } };
    await added.pod.runtime(BUILT).del(wrong, { containerID: added.pod.containerID, ifname: "eth0" });
    await expectUnchanged(node, bare);
  });

  test("without the bridge plugin is an error, and succeeds when that is back", async () => {
    {
      await using added = await mesh.addedPod(1, "no-bridge", last());
      const error = await failure(added.pod.del(last(), { path: [DIST] }));
      expect(error.code).toBe(100);
      expect(error.msg).toContain('no CNI plugin "bridge"');
      await added.pod.del(last(), BUILT);
    }
    await expectUnchanged(node, bare);
  });
});

describe("GC and STATUS", () => {
  const at11 = () => last(1, { cniVersion: "1.1.0" });

  test("GC removes the attachments that the runtime does not list, and with the last one the device", async () => {
    await using a = await mesh.addedPod(1, "a", at11());
    const { pod: b } = await mesh.addedPod(1, "b", at11());
    const runtime = b.runtime(BUILT);
    await node.exec(["sh", "-c", "rm -f /var/lib/cni/cache/results/*"]); // the runtime itself has forgotten them
    await runtime.gc(at11(), [{ containerID: a.pod.containerID, ifname: "eth0" }]);
    expect((await node.exec(["ls", "/run/podvpn/pods"])).stdout.trim()).toBe("n1-a+eth0");
    expect(await running()).toBe(1);
    await runtime.gc(at11(), []);
    await b.remove();
    await a.pod.remove();
    await expectUnchanged(node, bare);
  });

  test("STATUS is content on a node that can, before and after the first pod, and changes nothing but the key", async () => {
    const runtime = (await node.addPod("status")).runtime(BUILT);
    await runtime.status(at11());
    await runtime.status({ ...at11(), wireguard: { ...(at11().wireguard as object), attach: "pod" } });
    await expectUnchanged(node, new Map([...bare, ...(await podSections())]));
    await using _pod = await mesh.addedPod(1, "a", at11());
    await runtime.status(at11());
    await node.pods.get("status")?.remove();
  });

  async function podSections(): Promise<[string, readonly string[]][]> {
    const now = await node.snapshot();
    return [...now].filter(([section]) => section.startsWith("pod ") || section === "mounts" || section === "files");
  }

  test("STATUS tells what is missing: wireguard-go, /dev/net/tun, the bridge, a right configuration", async () => {
    await using pod = await node.addPod("status");
    const status = (configuration: Record<string, unknown>, path = BUILT.path) =>
      failure(pod.runtime({ path: path ?? [] }).status(configuration));
    {
      await using _gone = await withoutProgram(node, "/usr/bin/wireguard-go");
      expect(await status(at11())).toMatchObject({
        code: 50,
        msg: expect.stringContaining("wireguard-go is in none of"),
      });
      const error = await failedAdd(node, at11());
      expect(error).toMatchObject({ code: 101, msg: expect.stringContaining("install it") });
    }
    expect(await status(at11(), [DIST])).toMatchObject({ code: 50, msg: expect.stringContaining('"bridge"') });
    const kernel = { ...at11(), wireguard: { ...(at11().wireguard as object), dataplane: "kernel" } };
    expect(await status(kernel)).toMatchObject({
      code: 50,
      msg: expect.stringContaining('dataplane is "kernel", but the kernel refuses WireGuard'),
    });
    const wrong = { ...at11(), wireguard: { peers: [{ publicKey: "x" }] } };
    expect(await status(wrong)).toMatchObject({ code: 7 });
  });
});

describe("two networks", () => {
  /** Another mesh of the same nodes. */
  const other = (of: number, overrides: Parameters<Mesh["conf"]>[1] = {}) =>
    last(of, {
      name: "othernet",
      bridge: "cni1",
      ipam: { type: "host-local", ranges: [[{ subnet: `10.2.${of}.0/24` }]] },
      ...overrides,
      wireguard: {
        interface: "podvpn1",
        listenPort: 51821,
        privateKeyFile: KEY_FILE,
        peers: mesh
          .peersOf(of)
          .map((peer) => ({ ...peer, endpoint: `10.9.0.${3 - of}:51821`, allowedIPs: [`10.2.${3 - of}.0/24`] })),
        ...overrides.wireguard,
      },
    });

  test("on interfaces of their own live side by side, and one goes without the other", async () => {
    await using a = await mesh.addedPod(1, "a", last());
    await using b = await mesh.addedPod(2, "b", last(2));
    const pid = await wireguardGo(node);
    {
      await using c = await mesh.addedPod(1, "c", other(1));
      await using d = await mesh.addedPod(2, "d", other(2));
      expect(await c.pod.ping(d.ip)).toBe(true);
      expect(await a.pod.ping(b.ip)).toBe(true);
      await c.pod.check(other(1), BUILT);
      await a.pod.check(last(), BUILT);
      expect(await running()).toBe(2);
    }
    await eventually("the other device is gone", 5000, async () => (await running()) === 1);
    expect(await wireguardGo(node)).toBe(pid);
    await a.pod.check(last(), BUILT);
    expect(await a.pod.ping(b.ip)).toBe(true);
    expect((await node.exec(["ip", "route"])).stdout).not.toContain("10.2.2.0/24");
  });

  /** The first one's device, with bridge and subnet of its own. */
  const sharing = (wireguard: Record<string, unknown> = {}) =>
    last(1, {
      name: "sharing",
      bridge: "cni2",
      ipam: { type: "host-local", ranges: [[{ subnet: "10.1.101.0/24" }], [{ subnet: "fd00:1:101::/64" }]] },
      wireguard,
    });

  test("share a device when what they say of it is the same, and the last of both takes it along", async () => {
    const before = await node.snapshot();
    {
      await using a = await mesh.addedPod(1, "a", last());
      const pid = await wireguardGo(node);
      await using c = await mesh.addedPod(1, "c", sharing());
      expect(await wireguardGo(node)).toBe(pid);
      await a.pod.check(last(), BUILT);
      await c.pod.check(sharing(), BUILT);
      await a.pod.del(last(), BUILT);
      expect(await wireguardGo(node)).toBe(pid);
      await c.pod.check(sharing(), BUILT);
    }
    const left = diffSnapshots(before, await node.snapshot()).filter((line) => !/cni2/.test(line));
    expect(left.filter((line) => /wireguard|podvpn0|devices/.test(line))).toEqual([]);
  });

  test("that share a device are not taken it by a third one when the first has no pods any more", async () => {
    await using c = await (async () => {
      await using _first = await mesh.addedPod(1, "first", last());
      return await mesh.addedPod(1, "c", sharing());
    })();
    await using pod = await node.addPod("third");
    const third = { ...sharing({ peers: [] }), name: "third", bridge: "cni3" };
    expect(await failure(pod.add(third, BUILT))).toMatchObject({ code: 7, msg: expect.stringContaining("another") });
    await c.pod.check(sharing(), BUILT);
  });

  test("with a prefix in common, on interfaces of their own: the second is refused, and the first goes on", async () => {
    await using b = await mesh.addedPod(2, "b", last(2));
    await using a = await mesh.addedPod(1, "a", last());
    const peers = [{ ...mesh.peersOf(1)[0], allowedIPs: ["10.1.2.128/25"] }];
    await using pod = await node.addPod("overlapping");
    const before = await node.snapshot();
    const error = await failure(pod.add(other(1, { wireguard: { peers } }), BUILT));
    expect(error.code).toBe(7);
    expect(error.msg).toContain(`which overlaps "10.1.2.0/24" of the node's WireGuard device podvpn0 (network podnet)`);
    expect(diffSnapshots(before, await node.snapshot())).toEqual([]);
    expect(await a.pod.ping(b.ip)).toBe(true);
  });

  test("that say different things of one device: the second is refused, and the first goes on", async () => {
    await using b = await mesh.addedPod(2, "b", last(2));
    await using a = await mesh.addedPod(1, "a", last());
    expect(await a.pod.ping(b.ip)).toBe(true);
    for (const different of [
      { listenPort: 51999 },
      { peers: mesh.peersOf(1).map((peer) => ({ ...peer, persistentKeepalive: 25 })) },
      { peers: mesh.peersOf(1).map((peer) => ({ ...peer, allowedIPs: ["10.1.3.0/24"] })) },
      { mtu: 1300 },
      { table: 888 },
      { address: "10.3.0.9/32" },
    ]) {
      await using pod = await node.addPod("different");
      const before = await node.snapshot();
      const error = await failure(pod.add(sharing(different), BUILT));
      expect([different, error.code]).toEqual([different, 7]);
      expect(error.msg).toContain(
        'wireguard.interface is "podvpn0", which pods of network podnet use with another configuration',
      );
      await pod.del(sharing(different), BUILT);
      expect(diffSnapshots(before, await node.snapshot())).toEqual([]);
    }
    await a.pod.check(last(), BUILT);
    expect(await a.pod.ping(b.ip)).toBe(true);
    expect((await shownDevice(node)).peers.get(mesh.at(2).publicKey)?.allowedIPs).toEqual([
      podSubnet(2),
      podSubnet6(2),
    ]);
  });
});
