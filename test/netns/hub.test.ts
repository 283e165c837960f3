import { connect } from "vici";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { applyGuard, missingOfGuard, removeGuard } from "../../src/guard/apply.ts";
import type { Guard } from "../../src/guard/plan.ts";
import { journal } from "../../src/hub/journal.ts";
import { type Lease, listLeases } from "../../src/hub/leases.ts";
import { hubGuard } from "../../src/hub/network.ts";
import { upkeep } from "../../src/hub/upkeep.ts";
import { openNetns } from "../../src/os/namespace.ts";
import type { Node } from "../../src/testbed/node.ts";
import { diffSnapshots, type Snapshot } from "../../src/testbed/snapshot.ts";
import { Testbed } from "../../src/testbed/testbed.ts";
import { Client, HUB_DIRECTORY, Hub, hubCharonPid, type Join, PODVPN, prefix } from "./support/hub.ts";

const PSK = "the PSK of the hub's tests";
const SUBNETS = ["10.173.0.0/16", "fd00:173::/64"] as const;
const OWN = ["10.173.255.254", "fd00:173::ffff:ffff:ffff:ffff"] as const;
const CONFIG = { virtualSubnets: SUBNETS, pskFile: "/etc/podvpn/psk", dpd: "2s" };
const KEYS = { "/etc/podvpn/psk": PSK };
/** Captured on the underlay, none of this may be there. */
const PLAIN = `net ${SUBNETS[0]} or net ${SUBNETS[1]}`;

let testbed: Testbed;
let hubNode: Node;

beforeEach(async () => {
  testbed = await Testbed.create();
  hubNode = await testbed.node("hub", { addresses: ["10.9.0.254/24", "fd00:9::fe/64"] });
});
afterEach(async () => {
  await testbed[Symbol.asyncDispose]();
});

function join(identity: string, overrides: Partial<Join> = {}): Join {
  return { identity, psk: PSK, server: "10.9.0.254", virtualSubnets: SUBNETS, ...overrides };
}

async function clientNode(index: number): Promise<Node> {
  return testbed.node(`n${index}`, { addresses: [`10.9.0.${index}/24`, `fd00:9::${index}/64`] });
}

async function client(index: number): Promise<Client> {
  return Client.start(await clientNode(index));
}

function podvpn(...args: string[]) {
  return hubNode.exec([PODVPN, ...args], { check: false });
}

async function leases(): Promise<Lease[]> {
  await using vici = await connect({ path: hubNode.path(`${HUB_DIRECTORY}/vici`), timeout: 5000 });
  return await listLeases(vici);
}

/** All that the hub could leave behind, kernel settings included; the executable's own addons stay until it is uninstalled. */
async function everything(): Promise<Snapshot> {
  const settings = await hubNode.exec([
    "sh",
    "-c",
    "cd /proc/sys/net; grep -r . ipv4/ip_forward ipv4/conf ipv6/conf 2>/dev/null | grep -v /ipsec | grep -v stable_secret",
  ]);
  const snapshot = await hubNode.snapshot();
  const files = snapshot.get("files")?.filter((path) => !path.startsWith("/var/lib/podvpn/addons")) ?? [];
  return new Map([...snapshot, ["files", files], ["settings", settings.stdout.split("\n").sort()]]);
}

async function setSysctl(key: string, value: string): Promise<void> {
  await hubNode.exec(["tee", `/proc/sys/net/${key}`], { input: value });
}

async function sysctl(key: string): Promise<string> {
  return (await hubNode.exec(["cat", `/proc/sys/net/${key}`])).stdout.trim();
}

async function withGuard<T>(action: (guard: Guard, netns: ReturnType<typeof openNetns>) => Promise<T>): Promise<T> {
  using netns = openNetns(`/proc/${hubNode.pid}/ns/net`);
  return await action(hubGuard(SUBNETS.map(prefix), "userspace"), netns);
}

function openTheHoles(): Promise<void> {
  return withGuard(removeGuard);
}

function guardMissing(): Promise<string[]> {
  return withGuard(missingOfGuard);
}

describe("a hub", () => {
  test("takes everything away when it is stopped, and puts settings back as they were", async () => {
    await Hub.configure(hubNode, CONFIG, KEYS);
    await hubNode.exec(["mkdir", "-m", "700", "/run/podvpn"]);
    await setSysctl("ipv4/ip_forward", "0");
    await setSysctl("ipv6/conf/all/forwarding", "0");
    await setSysctl("ipv6/conf/eth0/accept_ra", "1");
    const before = await everything();
    for (const signal of ["TERM", "INT"] as const) {
      await using hub = await Hub.start(hubNode);
      expect(await sysctl("ipv4/ip_forward")).toBe("1");
      expect(await sysctl("ipv6/conf/all/forwarding")).toBe("1");
      expect(await sysctl("ipv6/conf/eth0/accept_ra")).toBe("2");
      expect((await hubNode.exec(["stat", "-c", "%a", HUB_DIRECTORY])).stdout.trim()).toBe("700");
      expect(await guardMissing()).toEqual([]);
      expect(await hub.kill(signal)).toBe("exit status 0");
      expect(diffSnapshots(before, await everything())).toEqual([]);
    }
  });

  test("leaves alone what was there before it: forwarding that is on, an address of its own on lo", async () => {
    await Hub.configure(hubNode, CONFIG, KEYS);
    await hubNode.exec(["mkdir", "-m", "700", "/run/podvpn"]);
    await hubNode.exec(["ip", "address", "add", `${OWN[0]}/32`, "dev", "lo"]);
    const before = await everything();
    await using hub = await Hub.start(hubNode);
    await hub.kill("TERM");
    expect(diffSnapshots(before, await everything())).toEqual([]);
    expect(await sysctl("ipv4/ip_forward")).toBe("1");
  });

  test("gives pods virtual IPs of both families, over IPv4 and IPv6, and passes packets between them", async () => {
    await Hub.configure(hubNode, CONFIG, KEYS);
    await using hub = await Hub.start(hubNode);
    await using one = await client(1);
    await using two = await client(2);
    const capture = await testbed.capture();
    const first = await one.join(join("pod-1@n1", { serverID: "server" }));
    const second = await two.join(join("pod-2@n2", { server: "fd00:9::fe" }));
    expect(first).toEqual({ server: "10.9.0.254", serverID: "server", virtualIPs: ["10.173.0.1", "fd00:173::1"] });
    expect(second).toEqual({ server: "fd00:9::fe", serverID: "server", virtualIPs: ["10.173.0.2", "fd00:173::2"] });

    for (const target of [...second.virtualIPs, ...OWN]) {
      expect(await one.ping(target)).toMatchObject({ code: 0, stdout: expect.not.stringMatching(/redirect/i) });
    }
    expect(await capture.count("udp port 4500")).toBeGreaterThan(8);
    expect(await capture.packets(PLAIN)).toEqual([]);
    await hub.program.line(/ info online: pod-2@n2, 10\.173\.0\.2 and fd00:173::2 at fd00:9::2$/, 5000);
    await two.leave();
    await hub.program.line(/ info offline: pod-2@n2, was 10\.173\.0\.2 and fd00:173::2$/, 5000);
    await capture.stop();
  });

  test("works where the kernel checks the way back of every packet (rp_filter 1)", async () => {
    for (const name of ["all", "default", "eth0"]) await setSysctl(`ipv4/conf/${name}/rp_filter`, "1");
    await Hub.configure(hubNode, CONFIG, KEYS);
    await using _ = await Hub.start(hubNode);
    await using one = await client(1);
    await using two = await client(2);
    await one.join(join("a"));
    const [target] = (await two.join(join("b"))).virtualIPs;
    expect(await one.ping(target ?? "")).toMatchObject({ code: 0 });
  });

  test("lists who is online, for people and for programs", async () => {
    await Hub.configure(hubNode, CONFIG, KEYS);
    await using hub = await Hub.start(hubNode);
    expect(await podvpn("hub", "leases")).toMatchObject({ code: 0, stdout: "no pod is online\n" });
    await using one = await client(1);
    await one.join(join("pod-1@n1"));
    await one.ping(OWN[0]);

    const { stdout } = await podvpn("hub", "leases");
    expect(stdout.split("\n")).toEqual([
      expect.stringMatching(/^IDENTITY +VIRTUAL IP +AGE +IN +OUT$/),
      expect.stringMatching(/^pod-1@n1 +10\.173\.0\.1 fd00:173::1 +\d+s +\d+ B +\d+ B$/),
      "",
    ]);
    const [lease, ...others] = JSON.parse((await podvpn("hub", "leases", "--json")).stdout);
    expect(others).toEqual([]);
    expect(lease).toMatchObject({
      identity: "pod-1@n1",
      virtualIPs: ["10.173.0.1", "fd00:173::1"],
      remoteHost: "10.9.0.1",
      bytesIn: 168, // two pings
      bytesOut: 168,
    });
    expect(Date.now() - Date.parse(lease.since)).toBeLessThan(60_000);

    await hub.kill("TERM");
    const none = await podvpn("hub", "leases");
    expect(none.code).toBe(1);
    expect(none.stderr).toBe(
      "podvpn hub: no hub runs in /run/podvpn/hub\nstart it with `podvpn hub --config FILE`, or correct --directory\n",
    );
  });
});

describe("a hub that cannot start", () => {
  /** Runs it to its end, which must leave nothing. */
  async function failing(): Promise<string> {
    await hubNode.exec(["mkdir", "-p", "-m", "700", "/run/podvpn"]);
    const before = await everything();
    await using hub = Hub.run(hubNode);
    expect(await hub.program.ended).toBe("exit status 1");
    expect(diffSnapshots(before, await everything())).toEqual([]);
    return hub.program.lines.join("\n");
  }

  test("tells all errors of its configuration, and never a key", async () => {
    await Hub.configure(hubNode, { virtualSubnets: ["10.173.0.0/40"], psk: PSK, dpd: "soon" }, {});
    const output = await failing();
    expect(output).toMatch(/^podvpn hub: \/etc\/podvpn\/hub\.yaml has 4 errors\ncorrect them all:\n/);
    for (const field of ["virtualSubnets[0].subnet is", "psk is not known", "dpd is", "pskFile is missing"]) {
      expect(output).toContain(field);
    }
    expect(output).not.toContain(PSK);
  });

  test("names the line that is not YAML, without quoting it", async () => {
    await hubNode.writeFile("/etc/podvpn/hub.yaml", `virtualSubnets: [10.173.0.0/16]\npskFile: "${PSK}\n`);
    const output = await failing();
    expect(output).toMatch(/^podvpn hub: \/etc\/podvpn\/hub\.yaml:\d is not YAML/);
    expect(output).not.toContain(PSK);
  });

  test("names a proposal that charon does not know", async () => {
    await Hub.configure(hubNode, { ...CONFIG, proposals: "aes128-nonsense" }, KEYS);
    expect(await failing()).toMatch(/charon refused the configuration \(.*proposals/);
  });

  test("names the port that another program has", async () => {
    await Hub.configure(hubNode, CONFIG, KEYS);
    await using other = hubNode.spawn(["socat", "-d", "-d", "UDP4-RECV:4500", "STDOUT"]);
    await other.line(/starting data transfer/, 5000);
    expect(await failing()).toContain("UDP port 4500 is in use in this network namespace");
  });

  test("names the interface whose addresses it would cut off", async () => {
    await Hub.configure(hubNode, { ...CONFIG, virtualSubnets: ["10.9.0.0/16"] }, KEYS);
    expect(await failing()).toContain("eth0 has the address 10.9.0.254");
  });

  test("says so when it runs already, and does not touch the one that runs", async () => {
    await Hub.configure(hubNode, CONFIG, KEYS);
    await using hub = await Hub.start(hubNode);
    const pid = await hubCharonPid(hubNode);
    await using second = Hub.run(hubNode);
    expect(await second.program.ended).toBe("exit status 1");
    expect(second.program.lines.join("\n")).toContain("a hub runs in /run/podvpn/hub already");
    const clear = await podvpn("hub", "clear");
    expect(clear.stderr).toContain("a hub runs in /run/podvpn/hub already");
    expect(await hubCharonPid(hubNode)).toBe(pid);
    expect(await guardMissing()).toEqual([]);
    await hub.program.stop();
  });
});

describe("the holes of a hub", () => {
  beforeEach(async () => {
    await Hub.configure(hubNode, CONFIG, KEYS);
  });

  test("a packet to a virtual IP that is not online leaves no hub in plain, and its sender hears of it", async () => {
    await using _ = await Hub.start(hubNode);
    await using one = await client(1);
    await one.join(join("a"));
    const offline = ["10.173.7.7", "fd00:173::77"];
    const capture = await testbed.capture();
    for (const target of offline) {
      const { code, stdout } = await one.ping(target);
      expect(code).toBe(1);
      expect(stdout).toMatch(/From (?:10\.173\.255\.254|fd00:173::ffff:ffff:ffff:ffff) .*[Uu]nreachable/);
    }
    expect(await capture.packets(PLAIN)).toEqual([]);

    await openTheHoles();
    for (const target of offline) {
      await one.ping(target);
      expect(await capture.count(`dst host ${target}`), "without the guard").toBeGreaterThan(0);
    }
  });

  test("a plain packet with a virtual source, a pod's or nobody's, is not passed on to a pod as if it were genuine", async () => {
    await using _ = await Hub.start(hubNode);
    await using victim = await client(1);
    await using other = await client(2);
    const attacker = await clientNode(3);
    const targets = (await victim.join(join("victim"))).virtualIPs;
    const online = (await other.join(join("other"))).virtualIPs;
    await attacker.exec(["ip", "route", "add", SUBNETS[0], "via", "10.9.0.254"]);
    await attacker.exec(["ip", "-6", "route", "add", SUBNETS[1], "via", "fd00:9::fe"]);

    for (const [index, target] of targets.entries()) {
      const six = target.includes(":");
      const sources = [online[index] ?? "", six ? "fd00:173::99" : "10.173.9.9"];
      for (const source of sources) await attacker.exec(["ip", "address", "add", source, "dev", "lo"]);
      const [udp, bracketed] = six ? ["UDP6", (ip: string) => `[${ip}]`] : ["UDP4", (ip: string) => ip];
      await using received = victim.node.spawn(["socat", "-d", "-d", "-u", `${udp}-RECV:9999`, "STDOUT"]);
      await received.line(/starting data transfer/, 5000);
      const send = async (from: Node, source: string, text: string) => {
        const to = `${udp}-SENDTO:${bracketed(target)}:9999,bind=${bracketed(source)}`;
        await from.exec(["socat", "-u", "STDIN", to], { input: `${text}\n` });
      };
      const attack = async (name: string) => {
        for (const source of sources) await send(attacker, source, `${name} of ${source}`);
        // Genuine, and sent after the others: when it is there, they would be.
        await send(hubNode, OWN[index] ?? "", `after ${name}`);
        await received.line(new RegExp(`^after ${name}$`), 5000);
        return received.lines.filter((line) => line.startsWith(name));
      };
      expect(await attack("guarded")).toEqual([]);
      await openTheHoles();
      expect(await attack("open"), "without the guard").toEqual(sources.map((source) => `open of ${source}`));
      await withGuard(applyGuard);
    }
  });

  test("stay closed when somebody flushes the machine's filter rules", async () => {
    await using _ = await Hub.start(hubNode);
    await hubNode.exec(["nft", "flush", "ruleset"]);
    expect(await guardMissing()).toEqual(["nft table inet podvpn-hub"]);
    const told: string[] = [];
    const directory = hubNode.path(HUB_DIRECTORY);
    const record = { subnets: SUBNETS.map(prefix), dataPlane: "userspace" } as const;
    const log = journal("error", (text) => told.push(text));
    await withGuard((_guard, netns) => upkeep(record, directory, log, netns));
    expect(await guardMissing()).toEqual([]);
    expect(told).toEqual([expect.stringContaining("nft table inet podvpn-hub")]);
    await withGuard((_guard, netns) => upkeep(record, directory, log, netns));
    expect(told, "when all is well").toHaveLength(1);
  });
});

describe("a pod that is refused", () => {
  test.each([
    ["another PSK", {}, { psk: "nonsense" }, 105, /refused "pod" at 10\.9\.0\.1: its PSK is another one/],
    [
      "another hub identity",
      {},
      { serverID: "other" },
      105,
      /refused "pod" at 10\.9\.0\.1: its identity, or the hub's/,
    ],
    [
      "an address not listened on",
      { listen: "fd00:9::fe" },
      {},
      106,
      /refused .*: it came to an address that is not in listen/,
    ],
    ["IKE proposals", { proposals: "aes256gcm16-prfsha384-x25519" }, {}, 106, /refused 10\.9\.0\.1: none of its IKE/],
    ["ESP proposals", { espProposals: "aes256gcm16-x25519" }, {}, 106, /refused "pod" at 10\.9\.0\.1: none of its ESP/],
    [
      "virtual subnets",
      {},
      { virtualSubnets: ["10.99.0.0/16"] },
      107,
      /refused "pod" at 10\.9\.0\.1: .*virtualSubnets/,
    ],
    [
      "a pool that is used up",
      { virtualSubnets: [{ subnet: SUBNETS[0], pool: "10.173.0.0/31" }] },
      { virtualSubnets: [SUBNETS[0]] },
      11,
      /refused "pod" at 10\.9\.0\.1: the pool is used up/,
    ],
  ])("for %s gets its own error, and the hub's log names it", async (_, config, wish, code, told) => {
    await Hub.configure(hubNode, { ...CONFIG, ...config }, KEYS);
    await using hub = await Hub.start(hubNode);
    await using one = await client(1);
    if (code === 11) {
      await using two = await client(2);
      await two.join(join("first", wish));
      await expect(one.join(join("pod", wish))).rejects.toMatchObject({ code });
    } else {
      await expect(one.join(join("pod", wish))).rejects.toMatchObject({ code });
    }
    await hub.program.line(told, 5000);
    expect((await leases()).filter(({ identity }) => identity === "pod")).toEqual([]);
  });
});

describe("a key for each identity", () => {
  const EACH = {
    ...CONFIG,
    pskFile: undefined,
    identities: [
      { identity: "pod-a@n1", pskFile: "/etc/podvpn/a" },
      { identity: "pod-b@n2", pskFile: "/etc/podvpn/b" },
    ],
  };
  const EACH_KEY = { "/etc/podvpn/a": "the key of pod a", "/etc/podvpn/b": "the key of pod b" };
  const A = { psk: "the key of pod a" };

  test("lets nobody prove another's identity, the hub's, or one that is not configured", async () => {
    await Hub.configure(hubNode, EACH, EACH_KEY);
    await using hub = await Hub.start(hubNode);
    await using one = await client(1);
    for (const [identity, told] of [
      ["pod-b@n2", /refused "pod-b@n2" at 10\.9\.0\.1: its PSK is another one/],
      ["pod-c@n3", /refused "pod-c@n3" at 10\.9\.0\.1: its identity, .* is not configured/],
      ["server", /refused "server" at 10\.9\.0\.1: its identity/],
    ] as const) {
      for (const named of [{}, { serverID: "server" }]) {
        await expect(one.join(join(identity, { ...A, ...named }))).rejects.toMatchObject({
          code: 105,
          what: expect.stringContaining("refused"),
        });
      }
      await hub.program.line(told, 5000);
    }
    expect(await leases()).toEqual([]);
    expect((await one.join(join("pod-a@n1", A))).virtualIPs).toHaveLength(2);
    expect(hub.program.lines.join("\n")).not.toContain("the key of pod");

    // Were the hub's own identity an owner as well, charon would take pod a's key for pod b: it is the pod then that
    // refuses the hub, and a pod that means ill would not.
    await one.leave();
    await using vici = await connect({ path: hubNode.path(`${HUB_DIRECTORY}/vici`), timeout: 5000 });
    const [id] = (await vici.getShared()).filter((name) => name.startsWith("pod-a"));
    await vici.loadShared({ id: id ?? "", type: "IKE", data: A.psk, owners: ["pod-a@n1", "server"] });
    const opened = one.join(join("pod-b@n2", { ...A, serverID: "server" }));
    await expect(opened, "with the hub as an owner").rejects.toMatchObject({
      what: expect.stringContaining("did not prove"),
    });
  });

  test("shuts an identity out that is taken out of the configuration, and disturbs no other", async () => {
    await Hub.configure(hubNode, EACH, EACH_KEY);
    await using first = await Hub.start(hubNode);
    await using one = await client(1);
    await using two = await client(2);
    await one.join(join("pod-a@n1", A));
    await two.join(join("pod-b@n2", { psk: "the key of pod b" }));
    const child = await two.childId();
    await first.kill("KILL");

    await Hub.configure(hubNode, { ...EACH, identities: EACH.identities.slice(1) }, EACH_KEY);
    await using second = await Hub.start(hubNode);
    await second.program.line(/ info took over the charon that runs/, 1000);
    await second.program.line(/refused "pod-a@n1" at 10\.9\.0\.1/, 15_000); // it comes back by itself
    expect((await leases()).map(({ identity }) => identity)).toEqual(["pod-b@n2"]);
    expect(await two.childId()).toBe(child);
  });
});

describe("a hub that did not end as it should", () => {
  test("killed: is started again without the pods' noticing, and still puts everything back in the end", async () => {
    await Hub.configure(hubNode, CONFIG, KEYS);
    await hubNode.exec(["mkdir", "-m", "700", "/run/podvpn"]);
    await setSysctl("ipv4/ip_forward", "0");
    const before = await everything();
    await using first = await Hub.start(hubNode);
    await using one = await client(1);
    await one.join(join("a"));
    const [child, charon] = [await one.childId(), await hubCharonPid(hubNode)];
    expect(await first.kill("KILL")).toBe("killed by SIGKILL");
    expect(await one.ping(OWN[0]), "without podvpn hub").toMatchObject({ code: 0 });

    await using second = await Hub.start(hubNode);
    await second.program.line(/ info online: a, 10\.173\.0\.1 /, 5000);
    expect(await hubCharonPid(hubNode)).toBe(charon);
    expect(await one.childId()).toBe(child);
    expect(await one.ping(OWN[0])).toMatchObject({ code: 0 });
    expect(await second.kill("TERM")).toBe("exit status 0");
    expect(diffSnapshots(before, await everything())).toEqual([]);
  });

  test("killed, and started with other subnets: nothing of the first ones is left", async () => {
    await Hub.configure(hubNode, CONFIG, KEYS);
    await hubNode.exec(["mkdir", "-m", "700", "/run/podvpn"]);
    const before = await everything();
    await using first = await Hub.start(hubNode);
    await first.kill("KILL");
    await Hub.configure(hubNode, { ...CONFIG, virtualSubnets: ["10.174.0.0/16"] }, KEYS);
    await using second = await Hub.start(hubNode);
    const there = diffSnapshots(before, await everything()).join("\n");
    expect(there).toContain("10.174.255.254");
    expect(there).not.toMatch(/10\.173\.|fd00:173:/);
    await second.kill("TERM");
    expect(diffSnapshots(before, await everything())).toEqual([]);
  });

  test("its charon dies: it ends with status 1, nothing leaves in plain, and the next one serves again", async () => {
    await Hub.configure(hubNode, CONFIG, KEYS);
    await hubNode.exec(["mkdir", "-m", "700", "/run/podvpn"]);
    const before = await everything();
    await using first = await Hub.start(hubNode);
    await using one = await client(1);
    const [ip] = (await one.join(join("a"))).virtualIPs;
    const capture = await testbed.capture();
    await hubNode.exec(["kill", "-KILL", await hubCharonPid(hubNode)]);
    expect(await first.program.ended).toBe("exit status 1");
    expect(first.program.lines.join("\n")).toContain("podvpn hub: charon died: no pod has a tunnel\n");
    expect(await guardMissing()).toEqual([]);
    await hubNode.exec(["ping", "-c", "1", "-W", "1", ip ?? ""], { check: false });
    expect(await capture.packets(PLAIN)).toEqual([]);

    await using second = await Hub.start(hubNode);
    await second.program.line(/ info online: a, 10\.173\.0\.1 /, 30_000); // the pod finds out by itself
    expect(await capture.packets(PLAIN)).toEqual([]);
    await hubNode.exec(["kill", "-KILL", await hubCharonPid(hubNode)]);
    await second.program.ended;
    expect((await podvpn("hub", "clear")).stdout).toBe("/run/podvpn/hub is cleared\n");
    expect(diffSnapshots(before, await everything())).toEqual([]);
    expect((await podvpn("hub", "clear")).stdout).toBe("there is nothing in /run/podvpn/hub\n");
  });

  test("killed in a network namespace that is gone: starts as if there had been none", async () => {
    await Hub.configure(hubNode, CONFIG, KEYS);
    await using first = await Hub.start(hubNode);
    await first.kill("KILL");
    await hubNode.exec(["kill", "-KILL", await hubCharonPid(hubNode)]);
    const record = JSON.parse(await hubNode.readFile(`${HUB_DIRECTORY}/hub.json`));
    const foreign = { ...record, netns: "net:[1]", sysctls: [{ key: "net/ipv4/ip_forward", before: "0", after: "1" }] };
    await hubNode.writeFile(`${HUB_DIRECTORY}/hub.json`, JSON.stringify(foreign));
    await using second = await Hub.start(hubNode);
    await second.kill("TERM");
    expect(await sysctl("ipv4/ip_forward")).toBe("1");
  });

  test("its charon does not answer any more: the next start replaces it", async () => {
    await Hub.configure(hubNode, CONFIG, KEYS);
    await using first = await Hub.start(hubNode);
    const charon = await hubCharonPid(hubNode);
    await first.kill("KILL");
    await hubNode.exec(["kill", "-STOP", charon]);
    await using second = await Hub.start(hubNode);
    await second.program.line(/ error the charon that runs does not answer/, 1000);
    expect(await hubCharonPid(hubNode)).not.toBe(charon);
    await second.kill("TERM");
  });
});

test("a pod that asks while charon has no configuration yet hears nothing, rather than a refusal that ends its asking", async () => {
  await Hub.configure(hubNode, CONFIG, KEYS);
  // Once through, to learn which effect is charon's start.
  const learning = Hub.runDying(hubNode, 0, "/run/effects");
  await learning.program.line(/ info serving /, 15_000);
  await learning.program.stop();
  const effects = (await hubNode.readFile("/run/effects")).split("\n");
  const started = effects.findIndex((line) => line.includes("charon-systemd")) + 1;
  expect(started).toBeGreaterThan(1);

  const dying = Hub.runDying(hubNode, started, "/run/effects.dying");
  await dying.program.ended;
  await using pod = await client(1);
  // 104: no answer. Refused, it would be 106.
  await expect(pod.join(join("pod"))).rejects.toMatchObject({ code: 104 });

  await using _hub = await Hub.start(hubNode);
  expect((await pod.join(join("pod"))).virtualIPs).toHaveLength(2);
});
