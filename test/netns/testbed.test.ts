import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Node } from "../../src/testbed/node.ts";
import { SHARED_DIRECTORY } from "../../src/testbed/shared.ts";
import { diffSnapshots } from "../../src/testbed/snapshot.ts";
import { HUB_SUBNETS, StockHub } from "../../src/testbed/stock-hub.ts";
import { Testbed } from "../../src/testbed/testbed.ts";
import { echo, PLAIN_PAYLOAD, Sender } from "../../src/testbed/traffic.ts";
import { eventually } from "./support/eventually.ts";

const BRIDGE = {
  cniVersion: "1.0.0",
  name: "pods",
  type: "bridge",
  bridge: "cni0",
  isDefaultGateway: true,
  ipMasq: true,
  ipam: { type: "host-local", subnet: "10.101.0.0/24" },
};

const ADDRESS = { addresses: ["10.9.0.9/24"] };

let testbed: Testbed;
let one: Node;
let two: Node;

beforeAll(async () => {
  testbed = await Testbed.create();
  one = await testbed.node("one", { addresses: ["10.9.0.1/24", "fd00:9::1/64"] });
  two = await testbed.node("two", { addresses: ["10.9.0.2/24", "fd00:9::2/64"] });
});
afterAll(() => testbed[Symbol.asyncDispose]());

describe("nodes", () => {
  it("reach each other over the underlay, by IPv4 and IPv6", async () => {
    for (const address of [two.address(4), two.address(6)]) {
      expect((await one.exec(["ping", "-c", "1", "-W", "2", address])).stdout).toContain("1 received");
    }
  });

  it("have state, configuration and sockets of their own, and nothing of it is on the machine", async () => {
    for (const path of ["/run/own", "/var/lib/cni/own", "/var/lib/podvpn/own", "/etc/cni/net.d/own", "/etc/own"]) {
      await one.writeFile(path, "one");
      expect(await one.readFile(path)).toBe("one");
      await expect(two.readFile(path)).rejects.toThrow("ENOENT");
      expect(() => readFileSync(path)).toThrow("ENOENT");
    }
  });

  it("see their own processes only, and reap orphans", async () => {
    // The shell that starts it ends at once, so it becomes an orphan; then it ends as well, which the pipe tells.
    const orphan = "(sleep 0.01 & echo started) | cat; while ps -eo stat= | grep -q Z; do :; done; ps -eo stat=,comm=";
    const { stdout } = await one.exec(["sh", "-c", orphan]);
    expect(
      stdout
        .trim()
        .split("\n")
        .map((line) => line.replace(/^\S+ +/, "")),
    ).toEqual(["started", "bash", "sh", "ps"]);
  });

  it("fail with what the command said", async () => {
    await expect(one.exec(["ls", "/nowhere"])).rejects.toMatchObject({ details: expect.stringContaining("/nowhere") });
    expect((await one.exec(["ls", "/nowhere"], { check: false })).code).toBe(2);
  });

  it("lose the underlay and get it back, with their addresses", async () => {
    const ping = () => one.exec(["ping", "-c", "1", "-W", "1", two.address(6)], { check: false });
    await two.setUnderlay(false);
    expect((await ping()).code).not.toBe(0);
    await two.setUnderlay(true);
    expect((await ping()).code).toBe(0);
  });
});

describe("a directory that nodes share", () => {
  it("is the same for all of them, and for nobody else", async () => {
    const file = `${SHARED_DIRECTORY}/podvpn-test`;
    await using sharing = await Testbed.create("testbed", { isShared: true });
    const [first, second] = [await sharing.node("first", ADDRESS), await sharing.node("second", ADDRESS)];
    await first.writeFile(file, "of the first");
    expect(await second.readFile(file)).toBe("of the first");
    await second.exec(["mv", file, `${file}.moved`]);
    expect((await first.exec(["ls", SHARED_DIRECTORY])).stdout).toBe("podvpn-test.moved\n");
    for (const other of [one, await testbed.node("other", ADDRESS)]) {
      expect((await other.exec(["ls", SHARED_DIRECTORY])).stdout).not.toContain("podvpn-test");
    }
    expect(readdirSync(SHARED_DIRECTORY).join()).not.toContain("podvpn-test");
  });
});

describe("a pod", () => {
  it("is attached by a real runtime and bridge, and nothing of it is left after DEL", async () => {
    await using warm = await one.addPod("warm"); // the bridge itself and its nat table stay, by design
    await warm.add(BRIDGE);
    await warm.del(BRIDGE);
    await warm.remove();

    const before = await one.snapshot();
    await using pod = await one.addPod("pod");
    const result = await pod.add(BRIDGE);
    await pod.check(BRIDGE);
    expect(result.ips[0]?.address).toMatch(/^10\.101\.0\.\d+\/24$/);
    expect(await pod.ping(two.address())).toBe(true);
    expect(diffSnapshots(before, await one.snapshot())).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^\+ links: veth/),
        expect.stringMatching(/^\+ files: .*10\.101\.0\./),
      ]),
    );
    await pod.del(BRIDGE);
    await pod.remove();
    expect(diffSnapshots(before, await one.snapshot())).toEqual([]);
  });
});

describe("a snapshot", () => {
  it.each([
    ["link", ["ip", "link", "add", "left", "type", "veth", "peer", "name", "right"]],
    ["address", ["ip", "address", "add", "10.66.0.1/32", "dev", "lo"]],
    ["route in any table", ["ip", "route", "add", "blackhole", "10.66.0.0/16", "table", "220"]],
    ["IPv6 route", ["ip", "-6", "route", "add", "blackhole", "fd66::/64"]],
    ["rule", ["ip", "rule", "add", "to", "10.66.0.0/16", "lookup", "main", "pref", "210"]],
    ["IPv6 rule", ["ip", "-6", "rule", "add", "to", "fd66::/64", "lookup", "main", "pref", "210"]],
    ["nftables rule", ["nft", "add table inet left; add chain inet left c; add rule inet left c counter drop"]],
    ["iptables rule", ["iptables-legacy", "-A", "INPUT", "-s", "10.66.0.1", "-j", "DROP"]],
    ["XFRM policy", "ip xfrm policy add src 10.66.0.0/16 dst 0.0.0.0/0 dir in action block".split(" ")],
    ["file", ["mkdir", "-p", "/run/podvpn/left"]],
    ["namespace", ["ip", "netns", "add", "left"]],
    ["mount", ["mount", "-t", "tmpfs", "tmpfs", "/mnt"]],
    ["process", ["sh", "-c", "sleep 300 >/dev/null 2>&1 </dev/null &"]],
  ])("shows a left %s", async (_what, argv) => {
    await using fresh = await Testbed.create();
    const node = await fresh.node("node", { addresses: ["10.9.0.1/24"] });
    const before = await node.snapshot();
    expect(diffSnapshots(before, await node.snapshot())).toEqual([]);
    await node.exec(argv as [string, ...string[]]);
    expect(diffSnapshots(before, await node.snapshot())).not.toEqual([]);
  });
});

describe("a capture", () => {
  it("has each packet between nodes once, and those that leave by the default route", async () => {
    await using capture = await testbed.capture("icmp");
    await one.exec(["ping", "-c", "3", "-i", "0.01", two.address()]);
    await one.exec(["ping", "-c", "1", "-W", "0.01", "10.173.0.9"], { check: false });
    expect(await capture.count("host 10.9.0.2")).toBe(6);
    expect(await capture.count("dst net 10.173.0.0/16")).toBe(1);
    expect(await capture.packets("dst net 10.173.0.0/16")).toEqual([expect.stringContaining("10.9.0.1 > 10.173.0.9")]);
    await capture.stop();
    expect(await capture.count()).toBe(7);
  });

  it("misses nothing of a burst, and is complete when asked", async () => {
    await using capture = await testbed.capture("udp");
    await using _echo = await echo(two);
    await using sender = await Sender.start(one, two.address(), 2000);
    const { answered } = await sender.answers(1000, 10_000);
    expect(await capture.count("udp src port 7007")).toBeGreaterThanOrEqual(answered);
    expect(await capture.carries(PLAIN_PAYLOAD)).toBe(true);
    await capture.stop();
  });
});

describe("a sender", () => {
  it("goes on through refusals and silence, and counts what was lost", async () => {
    await using _echo = await echo(two);
    await using sender = await Sender.start(one, two.address(), 200);
    await sender.answers(20, 5000);

    await one.exec(["ip", "route", "add", "blackhole", `${two.address()}/32`]);
    const refusing = await sender.counts();
    const isRefused = async () => "EINVAL" in (await sender.counts()).refused;
    await eventually("the sender is refused", 5000, isRefused);
    await one.exec(["ip", "route", "del", "blackhole", `${two.address()}/32`]);
    await sender.answers(20, 5000);

    const counts = await sender.counts();
    expect(refusing.answered).toBeGreaterThanOrEqual(20);
    expect(counts.refused).toHaveProperty("EINVAL");
    expect(counts.answered).toBeGreaterThanOrEqual(refusing.answered + 20);
    expect(counts.tried).toBeGreaterThan(counts.answered);
  });
});

describe("the stock hub of conf-examples/hub", () => {
  it("gives a plain strongSwan client an address of each pool, and carries its traffic encrypted", async () => {
    const psk = "hub-test-psk";
    const hubNode = await testbed.node("hub", { addresses: ["10.9.0.254/24", "fd00:9::fe/64"] });
    await using hub = await StockHub.start(hubNode, { psk });
    await using capture = await testbed.capture();
    await one.writeFile("/etc/strongswan.conf", await hubNode.readFile("/etc/strongswan.conf"));
    await one.writeFile("/etc/swanctl/swanctl.conf", client(psk, hubNode.address()), 0o600);
    await using _charon = one.spawn(["/usr/sbin/charon-systemd"]);
    await one.exec(["sh", "-c", "until swanctl --load-all --noprompt 2>/dev/null; do :; done"]);
    await one.exec(["swanctl", "--initiate", "--child", "net", "--timeout", "10"]);

    expect(await hub.swanctl("--list-pools")).toMatch(/virtual4.* 1 \/ 0 \/ 4094/);
    for (const address of ["10.173.255.254", "fd00:173::ffff"]) {
      expect((await one.exec(["ping", "-c", "1", "-W", "2", address])).stdout).toContain("1 received");
    }
    expect(await capture.count("udp port 4500")).toBeGreaterThanOrEqual(4);
    expect(await capture.count(`net ${HUB_SUBNETS[4]} or net ${HUB_SUBNETS[6]}`)).toBe(0);

    // The two holes of a plain hub (prepare.sh): no packet for an absent pod leaves it, none that lies is passed on.
    await one.exec(["ping", "-c", "1", "-W", "1", "10.173.9.9"], { check: false });
    expect(await capture.count("host 10.173.9.9")).toBe(0);
  });

  it("closes the way for a plain packet that claims to come from a pod", async () => {
    const liar = await testbed.node("liar", { addresses: ["10.9.0.66/24", "10.173.0.99/32"] });
    const hubNode = testbed.nodes.get("hub");
    if (hubNode === undefined) throw new Error("the test before made it");
    await hubNode.exec(["ip", "route", "add", "10.173.0.99/32", "via", "10.9.0.66"]);
    await liar.exec(["ip", "route", "add", "10.173.255.254/32", "via", hubNode.address()]);
    const lie = await liar.exec(["ping", "-c", "1", "-W", "1", "-I", "10.173.0.99", "10.173.255.254"], {
      check: false,
    });
    expect(lie.code).toBe(1);
    expect((await hubNode.exec(["nft", "list", "table", "inet", "podvpn_hub"])).stdout).toMatch(
      /saddr 10\.173\S+ counter packets 1/,
    );
  });
});

describe("the machine", () => {
  it("has no link, named namespace, mount or process of a testbed, during and after it", async () => {
    const machine = () => [
      execFileSync("ip", ["-br", "link"])
        .toString()
        .replace(/ (?:UP|DOWN|UNKNOWN) /g, " "),
      execFileSync("ip", ["netns", "list"]).toString(),
      readFileSync("/proc/self/mountinfo", "utf8"),
      readFileSync("/proc/sys/net/ipv4/ip_forward", "utf8"),
    ];
    const before = machine();
    let pid: number;
    {
      await using fresh = await Testbed.create("testbed", { isShared: true });
      const node = await fresh.node("node", { addresses: ["10.9.0.1/24"] });
      await node.addPod("pod");
      pid = node.pid;
      expect(machine()).toEqual(before);
    }
    expect(machine()).toEqual(before);
    expect(() => process.kill(pid, 0)).toThrow("ESRCH");
  });

  it("loses a testbed whose creator is killed", async () => {
    const source = new URL("../../src/testbed/testbed.ts", import.meta.url).href;
    const script = `
      import { Testbed } from ${JSON.stringify(source)};
      const testbed = await Testbed.create();
      const node = await testbed.node("node", { addresses: ["10.9.0.1/24"] });
      const daemon = "echo started; exec sleep 300";
      node.spawn(["sh", "-c", daemon]).line(/started/, 5000).then(() => console.log("up", node.pid));`;
    const flags = ["--experimental-transform-types", "--no-warnings", "--input-type=module-typescript", "-e", script];
    const creator = spawn(process.execPath, flags, { stdio: ["ignore", "pipe", "inherit"] });
    const [output] = (await once(creator.stdout, "data")) as [Buffer];
    const pid = output.toString().trim().split(" ")[1] ?? "";
    creator.kill("SIGKILL");
    // Ends as soon as process 1 of the node has, and that ends after all others there.
    execFileSync("tail", [`--pid=${pid}`, "-s", "0.02", "-f", "/dev/null"], { timeout: 10_000 });
    expect(() => readFileSync(`/proc/${pid}/comm`)).toThrow("ENOENT");
  });
});

function client(psk: string, hub: string): string {
  return `connections {
  hub {
    version = 2
    proposals = aes128gcm16-prfsha256-x25519
    remote_addrs = ${hub}
    vips = 0.0.0.0, ::
    local {
      auth = psk
      id = client
    }
    remote {
      auth = psk
    }
    children {
      net {
        remote_ts = ${HUB_SUBNETS[4]}, ${HUB_SUBNETS[6]}
        esp_proposals = aes128gcm16-x25519
      }
    }
  }
}
secrets {
  ike-hub {
    secret = "${psk}"
  }
}
`;
}
