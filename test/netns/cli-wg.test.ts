import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Node } from "../../src/testbed/node.ts";
import { podvpn, podvpnJson } from "./support/cli.ts";
import { BUILT } from "./support/cluster.ts";
import { PODVPN } from "./support/hub.ts";
import { keyPair, Mesh, podSubnet, podSubnet6 } from "./support/mesh.ts";
import { killed, shownDevice, wireguardGo } from "./support/wg.ts";

let mesh: Mesh;
beforeAll(async () => {
  mesh = await Mesh.create(3);
});
afterAll(() => mesh[Symbol.asyncDispose]());

interface ShownJson {
  readonly publicKey: string | null;
  readonly mtu: number;
  readonly up: boolean;
  readonly problems: readonly string[];
  readonly peers: readonly {
    readonly publicKey: string;
    readonly latestHandshake: string | null;
    readonly receivedBytes: number;
  }[];
}

const wg = (node: Node, ...args: string[]) => podvpn(node, "wg", ...args);

/** A number from `least` to `most`, of which neither is 0. */
function within(least = 0, most = 0): unknown {
  return expect.toSatisfy((value: number) => least > 0 && least <= value && value <= most);
}

describe("keys", () => {
  const FILE = "/etc/podvpn-test/made.key";

  test("genkey makes a private key that only root can read, and prints what wg says is its public key", async () => {
    const { node } = mesh.at(3);
    const made = await wg(node, "genkey", "--file", FILE);
    expect(made).toMatchObject({ code: 0, stderr: "" });
    const { stdout } = await node.exec(["sh", "-c", `stat -c %a ${FILE}; wg pubkey <${FILE}`]);
    expect(stdout).toBe(`600\n${made.stdout}`);
    expect(await wg(node, "pubkey", "--file", FILE)).toMatchObject({ code: 0, stdout: made.stdout });
  });

  test("genkey makes another each time, and never overwrites one", async () => {
    const { node } = mesh.at(3);
    const [one, other] = [
      await wg(node, "genkey", "--file", "/etc/one"),
      await wg(node, "genkey", "--file", "/etc/two"),
    ];
    expect(one.stdout).not.toBe(other.stdout);
    const before = await node.readFile("/etc/one");
    const again = await wg(node, "genkey", "--file", "/etc/one");
    expect(again).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("/etc/one is there already") });
    expect(await node.readFile("/etc/one")).toBe(before);
  });

  test("pubkey prints that of the default file, of a device, and of a key on standard input", async () => {
    const { node, publicKey } = mesh.at(1);
    await using _pod = await mesh.addedPod(1, "pod");
    for (const args of [[], ["--interface", "podvpn0"]]) {
      expect(await wg(node, "pubkey", ...args)).toMatchObject({ code: 0, stdout: `${publicKey}\n` });
    }
    const pair = keyPair();
    const piped = await node.exec([
      "sh",
      "-c",
      'printf "%s\\n" "$0" | "$@"',
      pair.privateKey,
      PODVPN,
      "wg",
      "pubkey",
      "-",
    ]);
    expect(piped.stdout).toBe(`${pair.publicKey}\n`);
  });

  test("pubkey names a file that is not there, one that others can read, and what is no key", async () => {
    const { node } = mesh.at(3);
    await node.writeFile("/etc/open.key", `${keyPair().privateKey}\n`, 0o644);
    await node.writeFile("/etc/no.key", "no key\n", 0o600);
    for (const [args, what] of [
      [["--file", "/etc/missing.key"], '--file is "/etc/missing.key", which does not exist'],
      [["--file", "/etc/open.key"], "mode 0644"],
      [["--file", "/etc/no.key"], "does not hold a WireGuard private key"],
      [["-"], "standard input does not hold a WireGuard private key"],
      [["--interface", "podvpn7"], "there is no WireGuard device podvpn7"],
    ] as const) {
      const result = await wg(node, "pubkey", ...args);
      expect(result, what).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining(what) });
    }
  });
});

describe("show", () => {
  test("prints the node's device with names, endpoints, handshakes and transfer, as wg has them", async () => {
    const { node, publicKey } = mesh.at(1);
    const psk = keyPair().privateKey;
    await node.writeFile("/etc/psk", `${psk}\n`, 0o600);
    const [second, third] = mesh.peersOf(1);
    const peers = [
      { ...second, name: "berlin", persistentKeepalive: 25 },
      { ...third, presharedKeyFile: "/etc/psk" },
    ];
    await using two = await mesh.addedPod(2, "two");
    await using one = await mesh.addedPod(1, "one", mesh.conf(1, { wireguard: { peers } }));
    expect(await one.pod.ping(two.ip)).toBe(true);

    const text = await wg(node, "show");
    expect(text).toMatchObject({ code: 0, stderr: "" });
    const shown = text.stdout.replaceAll(/\b\d+ s ago/g, "N s ago").replaceAll(/\d+ B /g, "N B ");
    expect(shown).toBe(`interface: podvpn0 (the node's)
  network: podnet
  data plane: user space
  public key: ${publicKey}
  listening port: 51820
  mtu: 1420

peer: berlin
  public key: ${mesh.at(2).publicKey}
  endpoint: 10.9.0.2:51820
  allowed ips: ${podSubnet(2)}, ${podSubnet6(2)}
  latest handshake: N s ago
  transfer: N B received, N B sent
  persistent keepalive: every 25 s

peer: ${mesh.at(3).publicKey}
  preshared key: (hidden)
  endpoint: 10.9.0.3:51820
  allowed ips: ${podSubnet(3)}, ${podSubnet6(3)}
  latest handshake: never
  transfer: N B received, N B sent
`);
    const transferred = async () => (await shownDevice(node)).peers.get(mesh.at(2).publicKey);
    const before = await transferred();
    const json = await wg(node, "show", "podvpn0", "--json");
    const after = await transferred();
    expect(JSON.parse(json.stdout)).toMatchObject([
      {
        interface: "podvpn0",
        attach: "node",
        network: "podnet",
        dataPlane: "userspace",
        publicKey,
        listenPort: 51820,
        fwmark: 0,
        mtu: 1420,
        up: true,
        problems: [],
        peers: expect.arrayContaining([
          {
            publicKey: mesh.at(2).publicKey,
            name: "berlin",
            endpoint: "10.9.0.2:51820",
            allowedIPs: [podSubnet(2), podSubnet6(2)],
            latestHandshake: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
            receivedBytes: within(before?.received, after?.received),
            sentBytes: within(before?.sent, after?.sent),
            persistentKeepalive: 25,
            hasPresharedKey: false,
          },
          expect.objectContaining({ latestHandshake: null, hasPresharedKey: true }),
        ]),
      },
    ]);
    for (const secret of [psk, mesh.at(1).privateKey]) expect(text.stdout + json.stdout).not.toContain(secret);
  });

  test("prints the device that a pod has for itself, and whose it is", async () => {
    const { node } = mesh.at(3);
    const conf = mesh.conf(3, { wireguard: { attach: "pod", address: ["10.1.200.2/32"], listenPort: 0 } });
    const pod = await node.addPod("own");
    const options = { ...BUILT, args: { IgnoreUnknown: "1", K8S_POD_NAMESPACE: "shop", K8S_POD_NAME: "web-0" } };
    await pod.add(conf, options);
    try {
      const text = await wg(node, "show");
      expect(text.code).toBe(0);
      expect(text.stdout).toContain("interface: podvpn0 (of shop/web-0 eth0)\n");
      const [own] = await podvpnJson<ShownJson[]>(node, 0, "wg", "show");
      expect(own).toMatchObject({
        attach: "pod",
        containerID: pod.containerID,
        ifname: "eth0",
        pod: { namespace: "shop", name: "web-0" },
        up: true,
        mtu: 1420,
      });
      expect(own?.publicKey).toBe((await wg(node, "pubkey", "--interface", "podvpn0")).stdout.trim());
      expect(own?.peers).toHaveLength(2);
    } finally {
      await pod.del(conf, options);
      await pod.remove();
    }
  });

  test("says so when there is none", async () => {
    const { node } = mesh.at(3);
    expect(await wg(node, "show")).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("there is no WireGuard device"),
    });
    expect(await podvpnJson(node, 0, "wg", "show")).toEqual([]);
    expect(await wg(node, "show", "podvpn7")).toMatchObject({ code: 1, stderr: expect.stringContaining("podvpn7") });
  });

  test("tells of a device whose wireguard-go was killed, and of one that hangs", async () => {
    const { node } = mesh.at(1);
    await using _pod = await mesh.addedPod(1, "pod");
    const pid = await wireguardGo(node);
    await node.exec(["kill", "-STOP", pid]);
    const [hanging] = await podvpnJson<ShownJson[]>(node, 1, "wg", "show");
    expect(hanging?.problems).toEqual(["the device podvpn0 does not answer within 4 s"]);
    await killed(node, pid);
    const [dead] = await podvpnJson<ShownJson[]>(node, 1, "wg", "show", "podvpn0");
    expect(dead).toMatchObject({
      up: false,
      publicKey: null,
      peers: [],
      problems: ["wireguard-go of podvpn0 does not run"],
    });
    expect(await wg(node, "show")).toMatchObject({
      code: 1,
      stdout: expect.stringContaining("problem: wireguard-go of"),
    });
  });
});
