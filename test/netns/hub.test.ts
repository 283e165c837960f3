import { connect } from "vici";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Node } from "../../src/testbed/node.ts";
import { diffSnapshots } from "../../src/testbed/snapshot.ts";
import { HUB_DIRECTORY, Hub, hubCharonPid } from "./support/hub.ts";
import { CONFIG, HubBed, join, KEYS, OWN, PLAIN, PSK, SUBNETS } from "./support/hub-bed.ts";

let bed: HubBed;
let hubNode: Node;

beforeEach(async () => {
  bed = await HubBed.create();
  hubNode = bed.hubNode;
});
afterEach(() => bed[Symbol.asyncDispose]());

describe("a hub", () => {
  test("takes everything away when it is stopped, and puts settings back as they were", async () => {
    await Hub.configure(hubNode, CONFIG, KEYS);
    await hubNode.exec(["mkdir", "-m", "700", "/run/podvpn"]);
    await bed.setSysctl("ipv4/ip_forward", "0");
    await bed.setSysctl("ipv6/conf/all/forwarding", "0");
    await bed.setSysctl("ipv6/conf/eth0/accept_ra", "1");
    const before = await bed.everything();
    for (const signal of ["TERM", "INT"] as const) {
      await using hub = await Hub.start(hubNode);
      expect(await bed.sysctl("ipv4/ip_forward")).toBe("1");
      expect(await bed.sysctl("ipv6/conf/all/forwarding")).toBe("1");
      expect(await bed.sysctl("ipv6/conf/eth0/accept_ra")).toBe("2");
      expect((await hubNode.exec(["stat", "-c", "%a", HUB_DIRECTORY])).stdout.trim()).toBe("700");
      expect(await bed.guardMissing()).toEqual([]);
      expect(await hub.kill(signal)).toBe("exit status 0");
      expect(diffSnapshots(before, await bed.everything())).toEqual([]);
    }
  });

  test("leaves alone what was there before it: forwarding that is on, an address of its own on lo", async () => {
    await Hub.configure(hubNode, CONFIG, KEYS);
    await hubNode.exec(["mkdir", "-m", "700", "/run/podvpn"]);
    await hubNode.exec(["ip", "address", "add", `${OWN[0]}/32`, "dev", "lo"]);
    const before = await bed.everything();
    await using hub = await Hub.start(hubNode);
    await hub.kill("TERM");
    expect(diffSnapshots(before, await bed.everything())).toEqual([]);
    expect(await bed.sysctl("ipv4/ip_forward")).toBe("1");
  });

  test("gives pods virtual IPs of both families, over IPv4 and IPv6, and passes packets between them", async () => {
    await Hub.configure(hubNode, CONFIG, KEYS);
    await using hub = await Hub.start(hubNode);
    await using one = await bed.client(1);
    await using two = await bed.client(2);
    const capture = await bed.testbed.capture();
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
    for (const name of ["all", "default", "eth0"]) await bed.setSysctl(`ipv4/conf/${name}/rp_filter`, "1");
    await Hub.configure(hubNode, CONFIG, KEYS);
    await using _ = await Hub.start(hubNode);
    await using one = await bed.client(1);
    await using two = await bed.client(2);
    await one.join(join("a"));
    const [target] = (await two.join(join("b"))).virtualIPs;
    expect(await one.ping(target ?? "")).toMatchObject({ code: 0 });
  });

  test("lists who is online, for people and for programs", async () => {
    await Hub.configure(hubNode, CONFIG, KEYS);
    await using hub = await Hub.start(hubNode);
    expect(await bed.podvpn("hub", "leases")).toMatchObject({ code: 0, stdout: "no pod is online\n" });
    await using one = await bed.client(1);
    await one.join(join("pod-1@n1"));
    await one.ping(OWN[0]);

    const { stdout } = await bed.podvpn("hub", "leases");
    expect(stdout.split("\n")).toEqual([
      expect.stringMatching(/^IDENTITY +VIRTUAL IP +AGE +IN +OUT +KEPT$/),
      expect.stringMatching(/^pod-1@n1 +10\.173\.0\.1 fd00:173::1 +\d+s +\d+ B +\d+ B +-$/),
      "",
    ]);
    const [lease, ...others] = JSON.parse((await bed.podvpn("hub", "leases", "--json")).stdout);
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
    const none = await bed.podvpn("hub", "leases");
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
    const before = await bed.everything("");
    await using hub = Hub.run(hubNode);
    expect(await hub.program.ended).toBe("exit status 1");
    expect(diffSnapshots(before, await bed.everything(""))).toEqual([]);
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
    const clear = await bed.podvpn("hub", "clear");
    expect(clear.stderr).toContain("a hub runs in /run/podvpn/hub already");
    expect(await hubCharonPid(hubNode)).toBe(pid);
    expect(await bed.guardMissing()).toEqual([]);
    await hub.program.stop();
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
    await using one = await bed.client(1);
    if (code === 11) {
      await using two = await bed.client(2);
      await two.join(join("first", wish));
      await expect(one.join(join("pod", wish))).rejects.toMatchObject({ code });
    } else {
      await expect(one.join(join("pod", wish))).rejects.toMatchObject({ code });
    }
    await hub.program.line(told, 5000);
    expect((await bed.leases()).filter(({ identity }) => identity === "pod")).toEqual([]);
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
    await using one = await bed.client(1);
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
    expect(await bed.leases()).toEqual([]);
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
    await using one = await bed.client(1);
    await using two = await bed.client(2);
    await one.join(join("pod-a@n1", A));
    await two.join(join("pod-b@n2", { psk: "the key of pod b" }));
    const child = await two.childId();
    await first.kill("KILL");

    await Hub.configure(hubNode, { ...EACH, identities: EACH.identities.slice(1) }, EACH_KEY);
    await using second = await Hub.start(hubNode);
    await second.program.line(/ info took over the charon that runs/, 1000);
    await second.program.line(/refused "pod-a@n1" at 10\.9\.0\.1/, 15_000); // it comes back by itself
    expect((await bed.leases()).map(({ identity }) => identity)).toEqual(["pod-b@n2"]);
    expect(await two.childId()).toBe(child);
  });
});
