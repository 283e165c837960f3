import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Runtime } from "../../src/cni/runtime.ts";
import type { Node } from "../../src/testbed/node.ts";
import { ENVIRONMENT } from "../../src/testbed/place.ts";
import { diffSnapshots } from "../../src/testbed/snapshot.ts";
import { BUILT, DIST } from "./support/cluster.ts";
import { eventually } from "./support/eventually.ts";
import { failedAdd, failure } from "./support/failed-add.ts";
import { KEY_FILE, keyPair, Mesh, podSubnet } from "./support/mesh.ts";
import { withoutDevice } from "./support/mesh-device.ts";
import { emptied, mountedOver, withoutProgram } from "./support/mounted.ts";

let mesh: Mesh;
/** Without a device: what fails there has to take away all of it. */
let node: Node;
/** On a node with a device, added before all failures, and intact after them. */
let witness: Awaited<ReturnType<Mesh["addedPod"]>>;
let peer: Awaited<ReturnType<Mesh["addedPod"]>>;

beforeAll(async () => {
  mesh = await Mesh.create(3);
  node = mesh.at(1).node;
  await withoutDevice(mesh, 1, "first");
  witness = await mesh.addedPod(2, "witness");
  peer = await mesh.addedPod(3, "peer");
});
afterAll(() => mesh?.[Symbol.asyncDispose]());

type Wireguard = Readonly<Record<string, unknown>>;

/** The configuration of a node whose device goes with its last pod. */
function conf(wireguard: Wireguard = {}, of = 1): Record<string, unknown> {
  return mesh.conf(of, { wireguard: { removeWithLastPod: true, ...wireguard } });
}

/** After what was wrong has gone: the same configuration works, and leaves nothing. */
async function expectWorking(name: string, wireguard: Wireguard = {}): Promise<void> {
  await using pod = await mesh.addedPod(1, name, conf(wireguard));
  expect(await pod.pod.ping(peer.ip, 1)).toBe(true);
}

/** An honest peer of the mesh, with another public key. */
function stranger(allowedIPs: readonly string[]) {
  return { publicKey: keyPair().publicKey, allowedIPs };
}

describe("a configuration that cannot be", () => {
  test.each([
    {
      name: "in many ways at once",
      wireguard: () => ({
        listenPort: 70_000,
        mtu: 100,
        peer: [],
        peers: [{ publicKey: "short", allowedIPs: "10.1.2.0/33" }, stranger(["10.1.1.0/25"])],
      }),
      msg: [
        "wireguard.listenPort is 70000",
        "wireguard.mtu is 100",
        "wireguard.peer is not known",
        "wireguard.peers[0].publicKey",
        "wireguard.peers[0].allowedIPs",
        'wireguard.peers[1].allowedIPs[0] is "10.1.1.0/25", which overlaps "10.1.1.0/24"',
      ],
    },
    {
      name: "of two peers with the same allowed IP",
      wireguard: () => ({ peers: [...mesh.peersOf(1), stranger([podSubnet(2)])] }),
      msg: ['wireguard.peers[2].allowedIPs[0] is "10.1.2.0/24", and so is wireguard.peers[0].allowedIPs[0]'],
    },
    {
      name: "of a peer with the node's own key",
      wireguard: () => ({ peers: [{ publicKey: mesh.at(1).publicKey, allowedIPs: ["10.1.7.0/24"] }] }),
      msg: ["wireguard.peers[0].publicKey is", "the key of this device itself"],
    },
    {
      name: "of allowed IPs that overlap the underlay",
      wireguard: () => ({ peers: [...mesh.peersOf(1), stranger(["10.9.0.128/25", "fd00:9::/48"])] }),
      msg: [
        'wireguard.peers[2].allowedIPs[0] is "10.9.0.128/25", which overlaps "10.9.0.0/24" on the node\'s eth0',
        'wireguard.peers[2].allowedIPs[1] is "fd00:9::/48", which overlaps "fd00:9::/64" on the node\'s eth0',
      ],
    },
    {
      name: "of an address of the device in a subnet of the node",
      wireguard: () => ({ address: "10.9.0.77/24" }),
      msg: ['wireguard.address, with "10.9.0.77/24", overlaps "10.9.0.0/24" on the node\'s eth0'],
    },
    {
      name: "of a key in the place of its file's path",
      wireguard: () => ({ privateKeyFile: mesh.at(1).privateKey }),
      msg: ["wireguard.privateKeyFile"],
    },
  ])("$name", async ({ wireguard, msg }) => {
    const error = await failedAdd(node, conf(wireguard()), { within: 5000 });
    expect(error.code).toBe(7);
    for (const part of msg) expect(error.msg).toContain(part);
    expect(JSON.stringify(error)).not.toContain(mesh.at(1).privateKey);
  });

  test("on a node with a route of somebody else's to what is behind a peer", async () => {
    await node.exec(["ip", "route", "add", "10.1.2.128/25", "via", "10.9.0.3"]);
    const error = await failedAdd(node, conf());
    expect(error.code).toBe(7);
    expect(error.msg).toContain('and the node has the route "10.1.2.128/25 via 10.9.0.3 dev eth0"');
    await node.exec(["ip", "route", "del", "10.1.2.128/25"]);
    await expectWorking("routed");
  });
});

describe("a key file", () => {
  const FILE = "/etc/podvpn-test/node.key";

  test.each([
    { name: "that others may read", prepare: `chmod 644 ${FILE}`, msg: "(mode 0644); close it, with chmod 600" },
    { name: "of another user", prepare: `chown 1000 ${FILE}`, msg: "belongs to user 1000; make it root's" },
    { name: "without a key", prepare: `echo nonsense >${FILE}`, msg: "does not hold a WireGuard private key" },
    { name: "that is empty", prepare: `: >${FILE}`, msg: "does not hold a WireGuard private key" },
    { name: "that is a directory", prepare: `rm ${FILE}; mkdir ${FILE}`, msg: "is no regular file" },
    { name: "that is a FIFO", prepare: `rm ${FILE}; mkfifo -m 600 ${FILE}`, msg: "is no regular file" },
  ])("$name is refused", async ({ prepare, msg }) => {
    await node.writeFile(FILE, `${mesh.at(1).privateKey}\n`, 0o600);
    await node.exec(["sh", "-ec", prepare]);
    const error = await failedAdd(node, conf({ privateKeyFile: FILE }));
    expect(error.code).toBe(7);
    expect(error.msg).toContain(`wireguard.privateKeyFile is "${FILE}", which`);
    expect(error.msg).toContain(msg);
    await node.exec(["rm", "-rf", FILE]);
  });

  test("with a preshared key that is not there is refused", async () => {
    const [first, ...others] = mesh.peersOf(1);
    const peers = [{ ...first, presharedKeyFile: "/etc/podvpn-test/none.psk" }, ...others];
    const error = await failedAdd(node, conf({ peers }));
    expect(error.code).toBe(7);
    expect(error.msg).toContain(
      'wireguard.peers[0].presharedKeyFile is "/etc/podvpn-test/none.psk", which does not exist',
    );
  });
});

describe("a listen port that somebody has", () => {
  test.each(["UDP4-RECV:51820", "UDP6-RECV:51820,ipv6only=1"])("by %s", async (listener) => {
    await using foreign = node.spawn(["socat", "-u", listener, "STDOUT"]);
    await eventually("socat listens", 5000, async () => {
      return (await node.exec(["ss", "-Huln", "sport", "=", ":51820"])).stdout !== "";
    });
    const error = await failedAdd(node, conf());
    expect(error.code).toBe(102);
    expect(error.msg).toBe(
      "the listen port 51820 is in use; give another wireguard.listenPort, or stop what listens there (`ss -lunp` shows it)",
    );
    await expectWorking("elsewhere", { listenPort: 51_821 });
    await foreign.stop();
    await expectWorking("freed");
  });
});

describe("a node that has, or lacks, something", () => {
  test("an interface with the name of the device, which stays", async () => {
    await node.exec(["ip", "link", "add", "podvpn0", "type", "bridge"]);
    const error = await failedAdd(node, conf());
    expect(error.code).toBe(102);
    expect(error.msg).toContain("podvpn0");
    expect(error.msg).toContain("remove it, or give another wireguard.interface");
    expect((await node.exec(["ip", "-d", "link", "show", "podvpn0"])).stdout).toContain("bridge");
    await node.exec(["ip", "link", "del", "podvpn0"]);
    await expectWorking("renamed");
  });

  test("wireguard-go", async () => {
    await using _missing = await withoutProgram(node, "/usr/bin/wireguard-go");
    const error = await failedAdd(node, conf());
    expect(error.code).toBe(101);
    expect(error.msg).toMatch(/^wireguard-go is in none of \/usr\/bin, .*; install it \(Debian: wireguard-go\)/);
  });

  test("/dev/net/tun", async () => {
    await using _missing = await emptied(node, "/dev/net");
    const error = await failedAdd(node, conf());
    expect(error.code).toBe(101);
    expect(error.msg).toBe("/dev/net/tun cannot be opened (ENOENT); load the kernel module tun (`modprobe tun`)");
  });

  test("WireGuard in its kernel, when the configuration asks for that", async () => {
    const error = await failedAdd(node, conf({ dataplane: "kernel" }));
    expect(error.code).toBe(101);
    expect(error.msg).toContain('dataplane is "kernel", but the kernel refuses WireGuard');
  });

  test("the bridge plugin", async () => {
    const error = await failedAdd(node, conf(), { path: [DIST] });
    expect(error.code).toBe(100);
    expect(error.msg).toContain(`no CNI plugin "bridge" in ${DIST}`);
  });

  test("the bridge plugin, for ten pods at once: nothing is left of what they share", async () => {
    await using stack = new AsyncDisposableStack();
    const pods = [];
    for (let index = 0; index < 10; index += 1) pods.push(stack.use(await node.addPod(`together${index}`)));
    const before = await node.snapshot();
    const errors = await Promise.all(pods.map((pod) => failure(pod.add(conf(), { path: [DIST] }))));
    expect(new Set(errors.map(({ code }) => code))).toEqual(new Set([100]));
    expect(diffSnapshots(before, await node.snapshot())).toEqual([]);
  });

  test("a writable /proc/sys", async () => {
    await using _readOnly = await mountedOver(node, "/proc/sys", "--bind", "-o", "ro", "/proc/sys");
    const error = await failedAdd(node, conf());
    expect(error.msg).toMatch(/EROFS|read-only/i);
  });

  test("the namespace of the pod", async () => {
    await using pod = await node.addPod("failing");
    const before = await node.snapshot();
    const attachment = { containerID: pod.containerID, ifname: "eth0" };
    for (const netns of ["/run/netns/none", "/etc/hostname", "/proc/1/ns/net"]) {
      const error = await failure(pod.runtime(BUILT).add(conf(), { ...attachment, netns }));
      expect(error).toMatchObject({ code: 8, msg: expect.stringContaining(`CNI_NETNS "${netns}"`) });
      expect(diffSnapshots(before, await node.snapshot())).toEqual([]);
    }
  });
});

describe("a wireguard-go", () => {
  const FAKE = "/opt/podvpn-test/wireguard-go";

  test("that ends at once is told with its last lines", async () => {
    await node.writeFile(FAKE, '#!/bin/sh\necho "the TUN is on fire" >&2\nexit 3\n', 0o755);
    await using _fake = await mountedOver(node, "/usr/bin/wireguard-go", "--bind", FAKE);
    const error = await failedAdd(node, conf(), { within: 5000 });
    expect(error.code).toBe(102);
    expect(error.msg).toBe("wireguard-go for podvpn0 ended (exit status 3); see its last log lines");
    expect(error.details).toContain("the TUN is on fire");
  });

  test("that never opens its socket is waited for with a bound, and ended", async () => {
    await node.writeFile(FAKE, '#!/bin/sh\necho "thinking" >&2\nexec sleep 1000\n', 0o755);
    await using _fake = await mountedOver(node, "/usr/bin/wireguard-go", "--bind", FAKE);
    const error = await failedAdd(node, conf(), { within: 20_000 });
    expect(error.code).toBe(102);
    expect(error.msg).toContain("wireguard-go for podvpn0 was not ready within 10 s");
    expect(error.details).toContain("thinking");
  });
});

describe("a full disk", () => {
  /** In KiB: one page for each file. */
  test.each([0, 4, 8, 12])("at /run/podvpn, with %i KiB free", async (free) => {
    await using _full = await mountedOver(node, "/run/podvpn", "-t", "tmpfs", "-o", `size=${free + 4}k`, "small");
    await node.exec(["sh", "-ec", "cd /run/podvpn; mkdir -m 700 pods devices; head -c 4096 /dev/zero >filler"]);
    const error = await failedAdd(node, conf());
    expect(error.code).toBe(5);
    expect(error.msg).toMatch(/^\/run\/podvpn\/.*(?:: ENOSPC| could not be written); free space on that file system$/);
  });

  test("at /var/lib/podvpn, where the key is to be written", async () => {
    await using _full = await mountedOver(node, "/var/lib/podvpn/wireguard", "-t", "tmpfs", "-o", "size=4k", "small");
    await node.exec(["sh", "-ec", "head -c 4096 /dev/zero >/var/lib/podvpn/wireguard/filler"]);
    const error = await failedAdd(node, conf());
    expect(error.code).toBe(5);
    expect(error.msg).toMatch(/^\/var\/lib\/podvpn\/wireguard\/.*: ENOSPC; free space on that file system$/);
  });
});

describe("an ADD that fails on a node whose device is in use", () => {
  test.each([
    { name: "for its configuration", wireguard: () => ({ peers: [stranger(["10.1.2.0/24"])] }), code: 7 },
    { name: "for its link", wireguard: () => ({}), path: [DIST], code: 100 },
  ])("$name changes nothing of it", async ({ wireguard, path, code }) => {
    const { node } = mesh.at(2);
    const dump = async () => (await node.exec(["wg", "show", "podvpn0", "allowed-ips"])).stdout.split("\n").sort();
    const before = await dump();
    const configuration = mesh.conf(2, { wireguard: wireguard() });
    const error = await failedAdd(node, configuration, path === undefined ? {} : { path });
    expect(error.code).toBe(code);
    expect(await dump()).toEqual(before);
    expect(await witness.pod.ping(peer.ip, 2)).toBe(true);
  });
});

describe("private and preshared keys", () => {
  /** What a node shows of its processes and files; below /etc they are the test's, below /var/lib/podvpn the node's own. */
  const EVERYTHING = `
    cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ
    grep -r --exclude=private.key . /run /var/lib/cni /etc/cni
    true`;
  const PSK_FILE = "/etc/podvpn-test/peer.psk";
  const WG_FILE = "/etc/podvpn-test/wg.conf";
  const presharedKey = keyPair().privateKey;
  const inFile = keyPair().privateKey;

  test.each([
    { name: "an ADD", path: BUILT.path, wireguard: {}, code: undefined },
    { name: "an ADD that fails", path: [DIST], wireguard: {}, code: 100 },
    {
      name: "an ADD with a wg file",
      path: BUILT.path,
      wireguard: { peers: null, configFile: WG_FILE },
      code: undefined,
    },
    { name: "an ADD with a device of the pod's own", path: BUILT.path, wireguard: { attach: "pod" }, code: undefined },
  ])(
    "of $name are in no error, log, command line or environment, and in no file that others may read",
    async ({ path, wireguard, code }) => {
      await node.writeFile(PSK_FILE, `${presharedKey}\n`, 0o600);
      const { publicKey } = mesh.at(2);
      await node.writeFile(
        WG_FILE,
        `[Interface]\nPrivateKey = ${inFile}\n[Peer]\nPublicKey = ${publicKey}\nPresharedKey = ${presharedKey}\nAllowedIPs = 10.1.2.0/24\n`,
        0o600,
      );
      const peers = mesh.peersOf(1).map((one) => ({ ...one, presharedKeyFile: PSK_FILE }));
      const configuration = { ...conf({ peers, ...wireguard }), logFile: "/run/secretive.log", logLevel: "debug" };
      await using pod = await node.addPod("secretive");
      const seen: string[] = [];
      const runtime = new Runtime({
        path: path ?? [],
        root: node.path(""),
        cacheDir: node.path("/var/lib/cni/cache"),
        env: { ...ENVIRONMENT, PODVPN_TRACE: "1" },
        run: async (...call) => {
          const result = await node.run(...call);
          seen.push(result.stdout.toString(), result.stderr.toString());
          return result;
        },
      });
      const look = async () => seen.push((await node.exec(["sh", "-c", EVERYTHING], { check: false })).stdout);
      const attachment = { containerID: pod.containerID, netns: pod.netnsPath, ifname: "eth0" };

      let over = false;
      const added = runtime.add(configuration, attachment).finally(() => {
        over = true;
      });
      const ended = code === undefined ? added : failure(added);
      while (!over) await look();
      if (code !== undefined) expect(await ended).toMatchObject({ code });
      else {
        await ended;
        await look();
        const open = await node.exec(["find", "/run/podvpn", "/run/wireguard", "/var/lib/podvpn", "-perm", "/077"]);
        expect(open.stdout.split("\n").filter((file) => !file.endsWith(".sock") && file !== "")).toEqual([]);
        await runtime.del(configuration, attachment);
      }
      await look();

      const everything = seen.join("\n");
      expect(everything).toContain("/run/secretive.log:");
      expect(everything).toMatch(/PODVPN_DEVICE=\/run\/podvpn/);
      const keys = [mesh.at(1).privateKey, presharedKey, inFile];
      for (const key of keys) {
        for (const form of [key, key.slice(0, -1), Buffer.from(key, "base64").toString("hex")]) {
          expect(everything).not.toContain(form);
        }
      }
      await node.exec(["rm", "/run/secretive.log"]);
    },
  );

  test("stay as they are when ADD fails, and are never overwritten", async () => {
    expect((await node.readFile(KEY_FILE)).trim()).toBe(mesh.at(1).privateKey);
    await expectWorking("last");
  });
});

test("a pod that was there before is none the worse", async () => {
  expect(await witness.pod.ping(peer.ip, 2)).toBe(true);
  expect(await witness.pod.ping(peer.ip6, 2)).toBe(true);
});
