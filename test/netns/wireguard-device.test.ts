import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { Node } from "../../src/testbed/node.ts";
import { Testbed } from "../../src/testbed/testbed.ts";
import type { DeviceSettings } from "../../src/wireguard/device.ts";
import { encodeKey } from "../../src/wireguard/key.ts";
import { makePrivateKey, randomPublicKey } from "../../src/wireguard/keys.ts";
import { directoryOf } from "./support/device-driver.ts";
import { DeviceNode, NAME } from "./support/device-node.ts";
import { deviceSuite } from "./support/device-suite.ts";
import { eventually } from "./support/eventually.ts";
import { stopped } from "./support/wg.ts";

describe("a user-space device", () => {
  deviceSuite("userspace");
});

describe("wireguard-go", () => {
  const DIRECTORY = directoryOf(NAME);
  const SOCKET = `/run/wireguard/${NAME}.sock`;
  let testbed: Testbed;
  let node: Node;
  let device: DeviceNode;

  beforeAll(async () => {
    testbed = await Testbed.create();
    node = await testbed.node("n1", { addresses: ["10.9.0.1/24"] });
    device = await DeviceNode.create(node, "userspace");
  });
  afterAll(async () => {
    await device[Symbol.asyncDispose]();
    await testbed[Symbol.asyncDispose]();
  });
  afterEach(() => device.remove());

  /** Pids of all wireguard-go of the node, as the node sees them. */
  async function running(): Promise<number[]> {
    const { stdout } = await node.exec(["pgrep", "-x", "wireguard-go"], { check: false });
    return stdout.split("\n").filter(Boolean).map(Number);
  }

  async function only(): Promise<number> {
    const [pid, ...others] = await running();
    if (pid === undefined || others.length > 0)
      throw new Error(`wireguard-go runs ${others.length} times beside ${pid}`);
    return pid;
  }

  async function kill(signal: string, pid: number): Promise<void> {
    await node.exec(["kill", `-${signal}`, String(pid)]);
  }

  async function exists(path: string): Promise<boolean> {
    return (await node.exec(["test", "-e", path], { check: false })).code === 0;
  }

  async function settings(): Promise<DeviceSettings> {
    const peer = {
      publicKey: randomPublicKey(),
      presharedKey: await makePrivateKey(),
      persistentKeepalive: 0,
      allowedIPs: [],
    };
    return { privateKey: await makePrivateKey(), listenPort: 51820, fwmark: 0, peers: [peer] };
  }

  test("outlives the process that started it, and another one goes on with it", async () => {
    const wanted = await settings();
    {
      await using first = await DeviceNode.create(node, "userspace");
      await first.ensure();
      await first.bring(wanted);
    }
    const pid = await only();
    expect(await device.ensure()).toMatchObject({ made: false });
    expect((await device.read()).peers).toHaveLength(1);
    expect(await only()).toBe(pid);
  });

  test("that was killed is found out, though its socket is still there, and replaced", async () => {
    await device.ensure();
    await device.bring(await settings());
    await kill("KILL", await only());
    await eventually("it has gone", 5000, async () => (await running()).length === 0);
    expect(await exists(SOCKET)).toBe(true);
    expect(await device.open()).toBeNull();
    expect(await device.ensure()).toMatchObject({ made: true });
    expect((await device.read()).peers).toEqual([]);
    await only();
  });

  test("that was killed leaves nothing after a removal", async () => {
    await device.ensure();
    await kill("KILL", await only());
    await device.remove();
    expect(await exists(SOCKET)).toBe(false);
    expect((await node.exec(["ls", "-A", DIRECTORY])).stdout).toBe("");
  });

  test("that hangs is found out within a bound, and replaced", async () => {
    await device.ensure();
    const hanging = await only();
    await stopped(node, String(hanging));
    expect(await device.open()).toBeNull();
    expect(await device.ensure()).toMatchObject({ made: true });
    expect(await only()).not.toBe(hanging);
  });

  test("whose socket somebody removed ends, and is replaced", async () => {
    await device.ensure();
    await node.exec(["rm", SOCKET]);
    await eventually("it has gone", 5000, async () => (await running()).length === 0);
    expect(await device.ensure()).toMatchObject({ made: true });
  });

  test("is found without its pid file, by its environment alone", async () => {
    await device.ensure();
    const pid = await only();
    await node.exec(["rm", "-r", DIRECTORY]);
    expect(await device.open()).toBe("userspace");
    expect(await device.ensure()).toMatchObject({ made: false });
    expect(await only()).toBe(pid);
    await device.remove();
    expect(await running()).toEqual([]);
  });

  test("is not taken for ours when somebody else started it, and left alone", async () => {
    await using foreign = node.spawn(["wireguard-go", "-f", NAME]);
    await eventually("its socket is there", 5000, () => exists(SOCKET));
    const refusal = {
      code: 102,
      message: expect.stringContaining(`an interface ${NAME} (tun) that podvpn did not make`),
    };
    await expect(device.ensure()).rejects.toMatchObject(refusal);
    await node.exec(["ip", "link", "set", NAME, "name", "foreign0"]); // the socket keeps its name
    await expect(device.ensure()).rejects.toMatchObject({ code: 102, message: expect.stringContaining(SOCKET) });
    await device.remove();
    expect(await exists(SOCKET)).toBe(true);
    expect(await running()).toHaveLength(1);
    await foreign.stop();
  });

  test("ends with the pod that its interface was moved to", async () => {
    await device.ensure();
    const pod = await node.addPod("short");
    await node.exec(["ip", "link", "set", NAME, "netns", "short", "name", "wg0"]);
    await pod.remove();
    await eventually("it has gone", 10_000, async () => (await running()).length === 0);
    expect(await device.open()).toBeNull();
  });

  test("is closed to others: its socket, its log and its pid file", async () => {
    await device.ensure();
    const files = [SOCKET, `${DIRECTORY}/wireguard-go.log`, `${DIRECTORY}/wireguard-go.pid`];
    const { stdout } = await node.exec(["stat", "-c", "%a %U", ...files]);
    expect(stdout).toBe("700 root\n600 root\n600 root\n");
  });

  test("is told no key where others could see it, and writes none down", async () => {
    await device.ensure();
    const wanted = await settings();
    await device.bring(wanted);
    await expect(
      device.apply({ peers: [{ ...wanted.peers[0], publicKey: "AAAA" as never, isNew: true, addAllowedIPs: [] }] }),
    ).rejects.toMatchObject({ code: 102 });
    const pid = await only();
    const seen = await node.exec([
      "cat",
      `/proc/${pid}/cmdline`,
      `/proc/${pid}/environ`,
      `${DIRECTORY}/wireguard-go.log`,
    ]);
    expect(seen.stdout).toContain("ERROR");
    for (const secret of [wanted.privateKey, wanted.peers[0]?.presharedKey ?? wanted.privateKey]) {
      expect(seen.stdout).not.toContain(encodeKey(secret.reveal()));
      expect(seen.stdout).not.toContain(Buffer.from(secret.reveal()).toString("hex"));
    }
  });

  test("goes on at the bound of its log, and writes again when that was cut", async () => {
    await device.ensure();
    await device.bring(await settings());
    const log = `${DIRECTORY}/wireguard-go.log`;
    const size = async () => Number((await node.exec(["stat", "-c", "%s", log])).stdout);
    const refuse = () => device.apply({ peers: [{ publicKey: "AAAA" as never, remove: true }] }).catch(() => undefined);
    await node.exec(["sh", "-c", `head -c 262100 /dev/zero >>${log}`]);
    for (let count = 0; count < 5; count += 1) await refuse();
    expect(await size()).toBe(262_144);
    expect(await device.open()).toBe("userspace");
    await device.ensure(); // who finds it again cuts the log
    expect(await size()).toBe(0);
    await refuse();
    expect(await size()).toBeGreaterThan(10);
    expect(await size()).toBeLessThan(1000);
  });

  test("that may not make an interface is an error with the remedy", async () => {
    const drop = ["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"];
    await using weak = await DeviceNode.create(node, "userspace", drop);
    const refusal = {
      code: 101,
      message: expect.stringMatching(/may not make the interface podvpn0; .*CAP_NET_ADMIN/),
    };
    await expect(weak.ensure()).rejects.toMatchObject({
      ...refusal,
      details: expect.stringContaining("not permitted"),
    });
    expect(await running()).toEqual([]);
  });

  test("that is missing, or has no /dev/net/tun, is an error that names it", async () => {
    const other = await testbed.node("n2", { addresses: ["10.9.0.2/24"] });
    await using bare = await DeviceNode.create(other, "userspace");
    await other.exec(["mount", "-t", "tmpfs", "tmpfs", "/dev/net"]);
    await expect(bare.ensure()).rejects.toMatchObject({ code: 101, message: expect.stringContaining("/dev/net/tun") });
    await other.exec(["umount", "/dev/net"]);
    await other.exec(["mount", "--bind", "/dev/null", "/usr/bin/wireguard-go"]);
    const missing = { code: 101, message: expect.stringContaining("Debian: wireguard-go") };
    await expect(bare.ensure("userspace")).rejects.toMatchObject(missing);
    await other.exec(["umount", "/usr/bin/wireguard-go"]);
  });

  test("stays when a data plane is asked for that the kernel does not have", async () => {
    expect(await device.ensure("auto")).toEqual({ made: true, dataPlane: "userspace" });
    const pid = await only();
    const refusal = {
      code: 101,
      message: expect.stringMatching(/refuses WireGuard \(E[A-Z]+\); .*modprobe wireguard/),
    };
    await expect(device.ensure("kernel")).rejects.toMatchObject(refusal);
    expect(await only()).toBe(pid);
  });
});
