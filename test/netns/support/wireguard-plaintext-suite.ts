import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Capture } from "../../../src/testbed/capture.ts";
import type { Node } from "../../../src/testbed/node.ts";
import type { Pod } from "../../../src/testbed/pod.ts";
import { echo, PLAIN_PAYLOAD } from "../../../src/testbed/traffic.ts";
import type { DataPlane } from "../../../src/wireguard/device.ts";
import { BRIDGE_ONLY } from "./bridge-only.ts";
import { BUILT } from "./cluster.ts";
import { eventually } from "./eventually.ts";
import { failure } from "./failed-add.ts";
import { FaultyPlugin } from "./faulty.ts";
import { Gate, HELD } from "./gate.ts";
import { ENCRYPTED, keyPair, Mesh, nodeAddress, nodeAddress6, PLAIN } from "./mesh.ts";
import { ensureBy, killWireguardGo, reboot, withoutDevice } from "./mesh-device.ts";
import { mountedOver } from "./mounted.ts";
import { BOUND_PAYLOAD, Receiver, spoof, Talkers } from "./wire.ts";

const REMOVED_WITH_LAST_POD = { wireguard: { removeWithLastPod: true } };

/** Stands for what else is on a node's bridge. */
const ANOTHER_PORT =
  "ip link add port0 type veth peer name port1; ip link set port0 up master cni0; ip link set port1 up";

interface Talking {
  readonly pod: Pod;
  readonly talkers: Talkers;
  readonly underlay: Capture;
}

/** Nothing of the mesh's pods is on the underlay in plain, whatever happens to pod, node and device; with either data plane. */
export function wireguardPlaintextSuite(plane: DataPlane): void {
  /** What can only happen to a process. */
  const whenUserspace = (name: string, body: () => Promise<void>): void => {
    if (plane === "userspace") test(name, body);
  };

  let mesh: Mesh;
  let node: Node;
  /** A pod on node 2, which answers. */
  let peer: Awaited<ReturnType<Mesh["addedPod"]>>;
  let peers: string[];

  beforeAll(async () => {
    mesh = await Mesh.create(3, [plane, plane, plane]);
    node = mesh.at(1).node;
    peer = await mesh.addedPod(2, "peer");
    await echo(peer.pod);
    peers = [peer.ip, peer.ip6];
  });
  afterAll(() => mesh?.[Symbol.asyncDispose]());

  /** Nothing that passed between nodes so far was plain: by its addresses, and by what it carried. */
  async function expectNothingPlain(underlay: Capture): Promise<void> {
    await underlay.stop();
    expect(await underlay.packets(PLAIN)).toEqual([]);
    expect(await underlay.carries(PLAIN_PAYLOAD)).toBe(false);
    expect(await underlay.carries(BOUND_PAYLOAD)).toBe(false);
  }

  /**
   * A pod with programs that send from before `scenario` until after the end of its namespace; nothing may be seen. The
   * pod is the first one of the node: there is no device, and nothing that refuses.
   */
  async function talking(
    name: string,
    configuration: Record<string, unknown>,
    scenario: (scene: Talking) => Promise<void>,
  ): Promise<void> {
    await using pod = await node.addPod(name);
    await using underlay = await mesh.testbed.capture();
    await using talkers = await Talkers.start(pod, peers);
    try {
      await scenario({ pod, talkers, underlay });
    } finally {
      await pod.del(configuration, BUILT);
      await pod.remove();
    }
    await talkers.areSilent();
    await expectNothingPlain(underlay);
  }

  /** As {@link talking}, on a node that has had a pod, which stays guarded; programs of the node itself send as well. */
  async function talkingOn(name: string, scenario: (scene: Talking) => Promise<void>): Promise<void> {
    await ensureBy(mesh, 1, `${name}-first`);
    await using ofNode = await Talkers.start(node, peers);
    await talking(name, mesh.conf(1), async (scene) => {
      await scene.pod.add(mesh.conf(1), BUILT);
      await scene.talkers.areAnswered();
      await scenario(scene);
      for (const sender of ofNode.senders) expect((await sender.counts()).tried).toBeGreaterThan(50);
    });
  }

  describe("control", () => {
    test("without a guard the same packets are on the wire in plain, and so are questions for their neighbours", async () => {
      const open = mesh.at(3).node;
      await using pod = await open.addPod("open");
      await pod.add(BRIDGE_ONLY, BUILT);
      await using underlay = await mesh.testbed.capture();
      {
        await using ofPod = await Talkers.start(pod, peers);
        await using ofNode = await Talkers.start(open, peers);
        await ofPod.areSilent();
        await ofNode.areSilent();
      }
      await underlay.sync();
      for (const source of ["172.18.1.0/24", nodeAddress(3), "fd00:172:18:1::/64", nodeAddress6(3)]) {
        expect(await underlay.count(`udp and src net ${source} and (${PLAIN})`)).toBeGreaterThan(10);
        expect(await underlay.count(`(icmp or icmp6) and src net ${source} and (${PLAIN})`)).toBeGreaterThan(3);
      }
      expect(await underlay.carries(PLAIN_PAYLOAD)).toBe(true);
      expect(await underlay.carries(BOUND_PAYLOAD)).toBe(true);

      for (const address of peers) await open.exec(["ip", "route", "add", address, "dev", "eth0"]);
      await using asking = await Talkers.unbound(open, peers);
      await asking.areSilent();
      await underlay.sync();
      expect(await underlay.count(`arp and (${PLAIN})`)).toBeGreaterThan(0);
      expect(await underlay.count(`icmp6 and ip6[40] = 135 and (${PLAIN})`)).toBeGreaterThan(0);
      await asking[Symbol.asyncDispose]();
      for (const address of peers) await open.exec(["ip", "route", "del", address, "dev", "eth0"]);
      await open.exec(["ip", "neighbour", "flush", "dev", "eth0"]); // else it goes on asking
      await pod.del(BRIDGE_ONLY, BUILT);
    });
  });

  describe("nothing of a pod that never stops sending leaves in plain", () => {
    test("during the first ADD of a node, traffic, DEL and after", async () => {
      const configuration = mesh.conf(1, REMOVED_WITH_LAST_POD);
      await talking("quiet", configuration, async ({ pod, talkers, underlay }) => {
        await pod.add(configuration, BUILT);
        await talkers.areAnswered(100);
        await pod.del(configuration, BUILT);
        await talkers.areSilent();
        await underlay.sync();
        expect(await underlay.count(ENCRYPTED)).toBeGreaterThan(400);
      });
    });

    test("while the bridge makes the link, however long that takes: the node refuses before it", async () => {
      const gate = await Gate.install(node, HELD.bridge);
      const configuration = mesh.conf(1, REMOVED_WITH_LAST_POD);
      await talking("waiting", configuration, async ({ pod, talkers }) => {
        const add = pod.add(configuration, gate.before(BUILT));
        await gate.held();
        expect((await node.exec(["nft", "list", "tables"])).stdout).toContain("table inet podvpn-mesh");
        expect((await node.exec(["ip", "route"])).stdout).toMatch(/^unreachable 10\.1\.2\.0\//m);
        await gate.open();
        await add;
        await talkers.areAnswered();
      });
    });

    const failing = "during a first ADD that fails when the pod has its link already, nor while that is taken back";
    whenUserspace(failing, async () => {
      const slow = "/opt/podvpn-test/slow-wireguard-go";
      await node.writeFile(slow, "#!/bin/sh\nwhile [ ! -e /run/podvpn-test-go ]; do sleep 0.02; done\nexit 1\n", 0o755);
      await using _slow = await mountedOver(node, "/usr/bin/wireguard-go", "--bind", slow);
      const configuration = mesh.conf(1, REMOVED_WITH_LAST_POD);
      await talking("failing", configuration, async ({ pod, talkers }) => {
        const error = failure(pod.add(configuration, BUILT));
        await eventually("the pod has its link", 10_000, async () => {
          return (await pod.exec(["ip", "route", "show", "default"])).stdout !== "";
        });
        await talkers.areSilent();
        await node.writeFile("/run/podvpn-test-go", "");
        expect((await error).msg).toContain("wireguard-go for podvpn0 ended");
        await talkers.areSilent();
      });
      await node.exec(["rm", "/run/podvpn-test-go"]);
    });

    test("during a first ADD that fails as its listen port is taken, and while that is taken back", async () => {
      const configuration = mesh.conf(1, REMOVED_WITH_LAST_POD);
      await using other = node.spawn(["socat", "-d", "-d", "-u", "UDP6-RECV:51820,ipv6only=0", "/dev/null"]);
      await eventually("socat listens", 5000, async () => {
        return (await node.exec(["ss", "-Huln", "sport", "=", ":51820"])).stdout !== "";
      });
      await talking("refused", configuration, async ({ pod, talkers }) => {
        expect(await failure(pod.add(configuration, BUILT))).toMatchObject({ code: 102 });
        await talkers.areSilent();
        await other.stop();
      });
    });

    whenUserspace("when wireguard-go is killed, while ADD and CHECK replace it, and after", async () => {
      await talkingOn("killed", async ({ pod, talkers, underlay }) => {
        await killWireguardGo(node);
        await talkers.areSilent();
        await ensureBy(mesh, 1, "another");
        await talkers.areAnswered();

        await killWireguardGo(node);
        await talkers.areSilent();
        await expect(pod.check(mesh.conf(1), BUILT)).rejects.toMatchObject({ code: 108 });
        await talkers.areAnswered();
        await underlay.sync();
        expect(await underlay.count(ENCRYPTED)).toBeGreaterThan(100);
      });
    });

    test("when the device is deleted", async () => {
      await talkingOn("deleted", async ({ pod, talkers }) => {
        await node.exec(["ip", "link", "del", "podvpn0"]);
        await talkers.areSilent();
        await expect(pod.check(mesh.conf(1), BUILT)).rejects.toMatchObject({ code: 108 });
        await talkers.areAnswered();
      });
    });

    test("when the device is set down, and up again by the next ADD", async () => {
      await talkingOn("down", async ({ talkers }) => {
        await node.exec(["ip", "link", "set", "podvpn0", "down"]);
        await talkers.areSilent();
        await ensureBy(mesh, 1, "another");
        await talkers.areAnswered();
      });
    });

    test("when its peer is removed from the device by hand", async () => {
      await talkingOn("unset", async ({ talkers }) => {
        await node.exec(["wg", "set", "podvpn0", "peer", mesh.at(2).publicKey, "remove"]);
        await talkers.areSilent();
        await ensureBy(mesh, 1, "another");
        await talkers.areAnswered();
      });
    });

    test("when its peer is removed from the configuration, and comes back", async () => {
      await talkingOn("unconfigured", async ({ talkers }) => {
        const others = mesh.peersOf(1).filter(({ publicKey }) => publicKey !== mesh.at(2).publicKey);
        await ensureBy(mesh, 1, "without", mesh.conf(1, { wireguard: { peers: others } }));
        expect((await node.exec(["wg", "show", "podvpn0", "peers"])).stdout).not.toContain(mesh.at(2).publicKey);
        await talkers.areSilent();
        await ensureBy(mesh, 1, "with");
        await talkers.areAnswered();
      });
    });

    test("while the keys of its node, and then of the other one, are replaced", async () => {
      await talkingOn("rotated", async ({ talkers }) => {
        for (const [first, second] of [
          [1, 2],
          [2, 1],
        ] as const) {
          await mesh.rotateKey(first);
          await ensureBy(mesh, first, "knows");
          await talkers.areSilent();
          await ensureBy(mesh, second, "hears");
          await talkers.areAnswered();
        }
      });
    });

    test("when the node's cable is pulled, and when it is back", async () => {
      await talkingOn("cable", async ({ talkers }) => {
        await node.setUnderlay(false);
        try {
          await talkers.areSilent();
        } finally {
          await node.setUnderlay(true);
        }
        await talkers.areAnswered();
      });
    });

    test("when the node is started anew, with the same key", async () => {
      await using underlay = await mesh.testbed.capture();
      const before = await mesh.addedPod(1, "before");
      {
        await using talkers = await Talkers.start(before.pod, peers);
        await talkers.areAnswered();
        await reboot(node);
        await talkers.areSilent();
      }
      const { stdout } = await node.exec(["ip", "route", "show", "table", "all", "proto", "174"]);
      expect(stdout).toBe("");
      await talking("after", mesh.conf(1), async ({ pod, talkers }) => {
        await pod.add(mesh.conf(1), BUILT);
        await talkers.areAnswered();
        const { stdout: key } = await node.exec(["wg", "show", "podvpn0", "public-key"]);
        expect(key.trim()).toBe(mesh.at(1).publicKey);
      });
      await before[Symbol.asyncDispose]();
      await expectNothingPlain(underlay);
    });
  });

  test("the node refuses before the bridge is asked for a link, and before there is a device", async () => {
    await withoutDevice(mesh, 1, "before-ordered");
    const plugin = await FaultyPlugin.install(node, "wireguard");
    await using pod = await node.addPod("ordered");
    const effects = await plugin.effects((options) => pod.add(mesh.conf(1), options));
    await pod.del(mesh.conf(1), BUILT);
    const first = (pattern: RegExp) => effects.findIndex((effect) => pattern.test(effect));
    for (const part of [
      /^make the nft table inet podvpn-mesh/,
      /^add the .*route to 10\.1\./,
      /^add the .*route to fd00:1:/,
    ]) {
      expect(first(part)).toBeGreaterThanOrEqual(0);
      expect(first(part)).toBeLessThan(first(/^spawn .*bridge/));
      expect(first(part)).toBeLessThan(first(plane === "userspace" ? /^spawn .*wireguard-go/ : /^add the wireguard /));
    }
  });

  describe("nothing of a pod with a device of its own leaves in plain", () => {
    const KEYS = "/etc/podvpn-test/own.key";
    const own = keyPair();

    test("during ADD, when its device is lost, when CHECK has replaced it, during DEL and after", async () => {
      await node.writeFile(KEYS, `${own.privateKey}\n`, 0o600);
      const allowedIPs = ["10.1.9.1/32", "fd00:1:9::1/128"];
      const known = [...mesh.peersOf(2), { publicKey: own.publicKey, allowedIPs }];
      await ensureBy(mesh, 2, "knows", mesh.conf(2, { wireguard: { peers: known } }));
      const configuration = mesh.conf(1, {
        name: "ownnet",
        wireguard: { attach: "pod", interface: "wg0", privateKeyFile: KEYS, address: allowedIPs },
      });
      await talking("own", configuration, async ({ pod, talkers }) => {
        await pod.add(configuration, BUILT);
        await talkers.areAnswered();
        if (plane === "userspace") await killWireguardGo(node, `/run/podvpn/pods/${pod.containerID}+eth0`);
        else await pod.exec(["ip", "link", "del", "wg0"]);
        await talkers.areSilent();
        await expect(pod.check(configuration, BUILT)).rejects.toMatchObject({ code: 108 });
        await talkers.areAnswered();
        await pod.exec(["ip", "link", "del", "wg0"]);
        await talkers.areSilent();
        await pod.del(configuration, BUILT);
        await talkers.areSilent();
      });
    });
  });

  describe("a plain packet with an address of the mesh as its source", () => {
    const SPOOFED = { 4: "10.1.2.77", 6: "fd00:1:2::77" } as const;

    test("is taken in neither by a pod nor by the node, with and without a device", async () => {
      const outside = mesh.at(3).node;
      await using added = await mesh.addedPod(1, "target");
      const targets = { 4: [added.ip, nodeAddress(1)], 6: [added.ip6, nodeAddress6(1)] } as const;
      await using undo = new AsyncDisposableStack();
      for (const [family, prefix] of [
        ["-4", "10.1.0.0/16"],
        ["-6", "fd00:1::/32"],
      ] as const) {
        undo.defer(async () => void (await outside.exec(["ip", family, "route", "flush", "root", prefix]))); // spoof's
      }
      for (const family of [4, 6] as const) {
        const [pod, own] = targets[family];
        await spoof(outside, SPOOFED[family], pod, node.address(family));
        await spoof(outside, SPOOFED[family], own);
      }
      await using ofPod = await Receiver.start(added.pod);
      await using ofNode = await Receiver.start(node);
      await using attack = await Talkers.unbound(outside, [...targets[4], ...targets[6]]);
      const arrive = async () => {
        await using capture = await node.capture("eth0");
        await attack.areSilent();
        await capture.sync();
        for (const target of [...targets[4], ...targets[6]]) {
          const spoofed = `udp and (src host ${SPOOFED[4]} or src host ${SPOOFED[6]}) and dst host ${target}`;
          expect(await capture.count(spoofed)).toBeGreaterThan(20);
        }
      };
      await arrive();
      expect([ofPod.bytes, ofNode.bytes]).toEqual([0, 0]);

      // A genuine one, by the tunnel, once node 2 knows that the device of node 1 is a new one.
      expect(await added.pod.ping(peer.ip, 1)).toBe(true);
      await using genuine = await Talkers.unbound(peer.pod, [added.ip, added.ip6]);
      await eventually("what comes by the tunnel is accepted", 5000, () => ofPod.bytes > 0);
      await genuine[Symbol.asyncDispose]();

      if (plane === "userspace") await killWireguardGo(node);
      else await node.exec(["ip", "link", "del", "podvpn0"]);
      const before = ofPod.bytes;
      await arrive();
      expect([ofPod.bytes, ofNode.bytes]).toEqual([before, 0]);

      // Not the way there, but the source address is what was refused.
      for (const family of [4, 6] as const) {
        const [pod = ""] = targets[family];
        await outside.exec(["ip", "route", "replace", pod, "via", node.address(family), "dev", "eth0"]);
      }
      await eventually("an honest source is accepted", 5000, () => ofPod.bytes > before);
    });

    test("does not leave the node when a pod sends it", async () => {
      await using added = await mesh.addedPod(1, "liar");
      await using underlay = await mesh.testbed.capture();
      const targets = [nodeAddress(3), nodeAddress6(3), ...peers];
      const gateways = { 4: "10.1.1.1", 6: "fd00:1:1::1" } as const;
      for (const target of targets) {
        const family = target.includes(":") ? 6 : 4;
        await spoof(added.pod, SPOOFED[family], target, gateways[family]);
      }
      await using sent = await Capture.start(added.pod, "eth0");
      await using lies = await Talkers.start(added.pod, targets);
      await lies.areSilent();
      await sent.sync();
      for (const target of targets) {
        const spoofed = `(src host ${SPOOFED[4]} or src host ${SPOOFED[6]}) and dst host ${target}`;
        expect(await sent.count(spoofed), `to ${target}`).toBeGreaterThan(20);
      }
      await expectNothingPlain(underlay);
    });
  });

  test("what the tunnel brings for pods whose bridge is not there, as after a boot, does not leave the node in plain", async () => {
    await using sender = await mesh.addedPod(1, "early");
    await using _pod = await mesh.addedPod(3, "bridged");
    const targets = ["10.1.3.77", "fd00:1:3::77"];
    await mesh.at(3).node.exec(["ip", "link", "del", "cni0"]);
    await using underlay = await mesh.testbed.capture();
    await using talkers = await Talkers.start(sender.pod, targets);
    await talkers.areSilent();
    await underlay.sync();
    expect(
      await underlay.count(`${ENCRYPTED} and src host ${nodeAddress(1)} and dst host ${nodeAddress(3)}`),
    ).toBeGreaterThan(100);
    await expectNothingPlain(underlay);
  });

  test("what waits on a node for a pod that does not answer is not told of in plain after the last pod's DEL", async () => {
    const last = mesh.conf(3, { wireguard: { removeWithLastPod: true } });
    await using sender = await mesh.addedPod(1, "asking");
    await using underlay = await mesh.testbed.capture();
    await using undo = new AsyncDisposableStack();
    const { node: far } = mesh.at(3);
    const waiting = async (state: string) => {
      const { stdout } = await far.exec(["ip", "neighbour", "show", "nud", state]);
      return ["10.1.3.78 ", "fd00:1:3::78 "].filter((address) => stdout.includes(address)).length;
    };
    {
      await using _pod = await mesh.addedPod(3, "last", last);
      // Without a port that is up the kernel gives up waiting on the bridge, and tells nobody.
      await far.exec(["sh", "-ec", ANOTHER_PORT]);
      undo.defer(async () => void (await far.exec(["ip", "link", "del", "port0"])));
      undo.use(await Talkers.start(sender.pod, ["10.1.3.78", "fd00:1:3::78"]));
      await eventually("packets wait for both", 10_000, async () => (await waiting("incomplete")) === 2);
    }
    await eventually("the kernel has given up", 10_000, async () => (await waiting("incomplete")) === 0);
    await expectNothingPlain(underlay);
  });
}
