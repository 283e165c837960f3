import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Node } from "../../src/testbed/node.ts";
import { eventually } from "./support/eventually.ts";
import { Client, Hub, hubCharonPid } from "./support/hub.ts";
import { CONFIG, HubBed, join, KEYS, OWN } from "./support/hub-bed.ts";

const FILE = "/var/lib/podvpn/hub/leases.json";

/** Of a second charon in a namespace, which would else take the first one's routes away. */
const OWN_ROUTES = { routing_table: 221, routing_table_prio: 221 };

interface Listed {
  readonly identity: string;
  readonly virtualIPs: readonly string[];
  readonly online: boolean;
  readonly offlineSince?: string;
  readonly keptUntil?: string | null;
}

let bed: HubBed;
let hubNode: Node;

beforeEach(async () => {
  bed = await HubBed.create();
  hubNode = bed.hubNode;
  await Hub.configure(hubNode, CONFIG, KEYS);
});
afterEach(() => bed[Symbol.asyncDispose]());

async function listed(): Promise<Listed[]> {
  const { stdout } = await bed.podvpn("hub", "leases", "--json");
  const leases: Listed[] = JSON.parse(stdout); // as the tests expect it
  return leases;
}

async function written(identity: string): Promise<boolean> {
  return (await hubNode.readFile(FILE)).includes(`"${identity}"`);
}

/** Joins, and waits until that is on the disk: what a pod's first packet takes much longer than. */
async function joined(client: Client, identity: string): Promise<readonly string[]> {
  const { virtualIPs } = await client.join(join(identity));
  await eventually(`the lease of ${identity} is on the disk`, 5000, () => written(identity));
  return virtualIPs;
}

/** Pings the hub through the tunnel until it answers. */
async function isBack(client: Client, bound: number): Promise<void> {
  const target = OWN[0];
  await eventually(`${client.node.name} is back`, bound, async () => {
    return (await client.node.exec(["ping", "-n", "-c", "1", "-W", "1", target], { check: false })).code === 0;
  });
}

describe("a pod's virtual IPs", () => {
  test("are its own again after the hub and its charon were killed, also when others come back first", async () => {
    await using first = await Hub.start(hubNode);
    await using one = await bed.client(1);
    await using two = await bed.client(2);
    const [ips1, ips2] = [await joined(one, "pod-1"), await joined(two, "pod-2")];
    await bed.testbed.nodes.get("n1")?.setUnderlay(false);
    await first.killBoth();

    await using second = await Hub.start(hubNode);
    await isBack(two, 20_000);
    await using three = await bed.client(3);
    const ips3 = await joined(three, "pod-3");
    await bed.testbed.nodes.get("n1")?.setUnderlay(true);
    await isBack(one, 20_000);
    expect(await one.virtualIPs()).toEqual(ips1);
    expect(await two.virtualIPs()).toEqual(ips2);
    expect(new Set([...ips1, ...ips2, ...ips3]).size).toBe(6);
    await second.kill("TERM");
  });

  test("are its own again after a restart of the hub, as if nothing had been", async () => {
    await using first = await Hub.start(hubNode);
    await using one = await bed.client(1);
    const ips = await joined(one, "pod-1");
    await first.kill("TERM");
    await using _second = await Hub.start(hubNode);
    await isBack(one, 10_000);
    expect(await one.virtualIPs()).toEqual(ips);
  });

  test("are its own again when hub and charon were killed before the hub could write them down", async () => {
    await using first = await Hub.start(hubNode);
    await first.kill("KILL");
    const charon = await hubCharonPid(hubNode);
    await using one = await bed.client(1);
    const before = (await one.join(join("pod-1"))).virtualIPs; // by charon alone
    await hubNode.exec(["kill", "-KILL", charon]);

    await using second = await Hub.start(hubNode);
    await second.program.line(
      new RegExp(` info pod-1 had got ${before.join(" and ")} before the hub was killed$`),
      1000,
    );
    await using two = await bed.client(2);
    const others = await joined(two, "pod-2");
    await isBack(one, 20_000);
    expect(await one.virtualIPs()).toEqual(before);
    expect(new Set([...before, ...others]).size).toBe(4);
    await eventually("what charon wrote is taken up", 5000, async () => {
      const { stdout } = await hubNode.exec(["ls", "/var/lib/podvpn/hub"]);
      return stdout.trim() === "leases.json";
    });
  });

  test("are told to it when they are written down, not before", async () => {
    await using first = await Hub.start(hubNode);
    await first.kill("KILL");
    const file = `${FILE}.arrived`;
    await hubNode.exec(["mkfifo", file]); // whoever writes there waits for a reader
    await using one = await bed.client(1);
    let joinedAt: number | undefined;
    const joining = one.join(join("pod-1")).then(() => {
      joinedAt = performance.now();
    });
    const writes = async () => (await hubNode.exec(["pgrep", "-f", file], { check: false })).code === 0;
    await eventually("charon writes", 5000, writes);
    expect(joinedAt).toBeUndefined();
    // One line for each family. Opened for both, it does not end between them.
    const { stdout } = await hubNode.exec(["sh", "-c", `exec 3<>'${file}'; head -n 2 <&3`]);
    expect(stdout).toBe("10.173.0.1\tfd00:173::1\tpod-1\n".repeat(2));
    await joining;
    await hubNode.exec(["rm", file]);
    await using second = await Hub.start(hubNode);
    await second.kill("TERM");
  });

  test("are free when it said goodbye while nobody wrote anything down", async () => {
    await using first = await Hub.start(hubNode);
    await first.kill("KILL");
    await using one = await bed.client(1);
    await one.join(join("pod-1"));
    await one.leave();
    await using second = await Hub.start(hubNode); // takes over the charon that runs
    await using two = await bed.client(2);
    await joined(two, "pod-2");
    expect((await listed()).map(({ identity }) => identity)).toEqual(["pod-2"]);
    await second.kill("TERM");
  });

  test("are kept for its lease time when it is gone without a word, and its own when it comes back in it", async () => {
    await using hub = await Hub.start(hubNode);
    const one = await bed.client(1);
    const ips = await joined(one, "pod-1");
    await one.kill();
    await hub.program.line(/ info offline: pod-1, /, 30_000);
    await eventually("it is listed as offline", 5000, async () => (await listed()).some(({ online }) => !online));
    const [lease] = await listed();
    expect(lease).toMatchObject({ identity: "pod-1", virtualIPs: ips, online: false });
    const kept = Date.parse(lease?.keptUntil ?? "") - Date.parse(lease?.offlineSince ?? "");
    expect(Math.round(kept / 1000)).toBe(3600);
    expect((await bed.podvpn("hub", "leases")).stdout).toMatch(/^pod-1 +\S+ \S+ +offline +- +- +(?:1h00|59)m\d*s?$/m);

    await using two = await bed.client(2);
    expect(new Set([...ips, ...(await joined(two, "pod-2"))]).size).toBe(4);
    await using again = await Client.start(one.node, "again");
    expect(await joined(again, "pod-1")).toEqual(ips);
    expect((await listed()).map(({ online }) => online)).toEqual([true, true]);
  });

  test("are free when it says goodbye, and when its lease time is over", async () => {
    await Hub.configure(hubNode, { ...CONFIG, leaseTime: "1s", dpd: "1s" }, KEYS);
    await using hub = await Hub.start(hubNode);
    await using one = await bed.client(1);
    const two = await bed.client(2);
    await joined(one, "pod-1");
    await joined(two, "pod-2");
    await one.leave();
    await hub.program.line(/ info free: 10\.173\.0\.1 and fd00:173::1, as pod-1 said goodbye$/, 5000);
    await two.kill();
    await hub.program.line(/ info free: 10\.173\.0\.2 and fd00:173::2, as pod-2 was offline for too long$/, 30_000);
    expect(await listed()).toEqual([]);
    await eventually("it is off the disk", 5000, async () => !(await written("pod-2")));
  });

  test("are used again when a small pool has no others", async () => {
    await Hub.configure(
      hubNode,
      { ...CONFIG, virtualSubnets: [{ subnet: "10.173.0.0/16", pool: "10.173.0.0/30" }] },
      KEYS,
    );
    await using hub = await Hub.start(hubNode);
    await using one = await bed.client(1);
    const ask = { virtualSubnets: ["10.173.0.0/16"] };
    const seen: string[] = [];
    for (let turn = 1; turn <= 7; turn += 1) {
      seen.push(...(await one.join(join(`pod-${turn}`, ask))).virtualIPs);
      await eventually("it is on the disk", 5000, () => written(`pod-${turn}`));
      await one.leave();
      await hub.program.line(new RegExp(` info free: .*, as pod-${turn} said goodbye$`), 5000);
    }
    // Two turns through the pool of three: what was given back is used as late as possible.
    expect(seen.slice(0, 3)).toEqual(["10.173.0.1", "10.173.0.2", "10.173.0.3"]);
    expect(new Set(seen)).toEqual(new Set(["10.173.0.1", "10.173.0.2", "10.173.0.3"]));
  });
});

describe("an identity that two pods have", () => {
  test("is refused to the second while the first lives, on another machine and on the same one", async () => {
    await using hub = await Hub.start(hubNode);
    await using one = await bed.client(1);
    const ips = await joined(one, "pod");
    const child = await one.childId();
    for (const other of [await bed.client(2), await Client.start(one.node, "other", OWN_ROUTES)]) {
      await using duplicate = other;
      const asked = duplicate.join(join("pod", { serverID: "server" }));
      await expect(asked).rejects.toMatchObject({ code: 11, what: expect.stringContaining("another pod online") });
      await hub.program.line(
        / error refused "pod" at 10\.9\.0\.\d: a pod with the same identity is online at 10\.9\.0\.1 /,
        5000,
      );
      expect(await one.ping(OWN[0])).toMatchObject({ code: 0 });
    }
    expect(await one.virtualIPs()).toEqual(ips);
    expect((await bed.leases()).map(({ identity, virtualIPs }) => [identity, virtualIPs])).toEqual([["pod", ips]]);
    expect(await one.childId(), "its keys were renewed, and that is all").toBeGreaterThan(child ?? 0);
  });

  test("is one pod that came back: it has its virtual IPs again at once, from another port and from another machine", async () => {
    await using hub = await Hub.start(hubNode);
    const one = await bed.client(1);
    const ips = await joined(one, "pod");
    await one.kill();
    const again = await Client.start(one.node, "again");
    expect((await again.join(join("pod"))).virtualIPs).toEqual(ips);
    expect(await again.ping(OWN[0])).toMatchObject({ code: 0 });
    await again.kill();
    await using elsewhere = await bed.client(2);
    expect((await elsewhere.join(join("pod", { serverID: "server" }))).virtualIPs).toEqual(ips);
    await hub.program.line(/ info pod is at 10\.9\.0\.2 now: 10\.9\.0\.1\[\d+\] does not answer$/, 1000);
    expect(await elsewhere.ping(OWN[0])).toMatchObject({ code: 0 });
    expect(await bed.leases()).toHaveLength(1);
  });

  test("comes back by itself after an outage that the hub has not noticed", async () => {
    await Hub.configure(hubNode, { ...CONFIG, dpd: "30s" }, KEYS);
    await using _hub = await Hub.start(hubNode);
    await using one = await bed.client(1);
    const ips = await joined(one, "pod");
    const child = await one.childId();
    const node = bed.testbed.nodes.get("n1");
    await node?.setUnderlay(false);
    await eventually("the pod has noticed", 20_000, async () => (await one.childId()) === undefined);
    await node?.setUnderlay(true);
    await isBack(one, 10_000);
    expect(await one.childId()).not.toBe(child);
    expect(await one.virtualIPs()).toEqual(ips);
    await eventually("the tunnel of before is gone", 5000, async () => (await bed.leases()).length === 1);
    expect(await one.ping(OWN[0])).toMatchObject({ code: 0 });
  });
});

describe("the file with the leases", () => {
  test("when damaged, stops the hub by name, and is kept aside when the operator wants to begin without", async () => {
    await hubNode.writeFile(FILE, '{"version": 1, "given": {}, "leases": [{"identity": "a"}]}', 0o600);
    await using refused = Hub.run(hubNode);
    expect(await refused.program.ended).toBe("exit status 1");
    const output = refused.program.lines.join("\n");
    expect(output).toContain(`podvpn hub: ${FILE}, which says who has which virtual IP, is damaged: leases.0`);
    expect(output).toContain("--discard-damaged-leases");
    expect(await hubNode.readFile(FILE)).toContain('"identity": "a"');

    await using hub = await Hub.start(hubNode, "--discard-damaged-leases");
    const told = await hub.program.line(/ error .*it is kept as (\S+), and the hub begins without/, 1000);
    const aside = /kept as (\S+),/.exec(told)?.[1] ?? "";
    expect(aside).toMatch(/leases\.json\.damaged-\d{4}-/);
    expect(await hubNode.readFile(aside)).toContain('"identity": "a"');
    await using one = await bed.client(1);
    await joined(one, "pod-1");
  });

  test("on a full disk costs no pod its tunnel, and is written when there is room again", async () => {
    await hubNode.exec([
      "sh",
      "-ec",
      "mkdir -p /var/lib/podvpn/hub && mount -t tmpfs -o size=64k none /var/lib/podvpn/hub",
    ]);
    await using hub = await Hub.start(hubNode);
    await hubNode.exec(["sh", "-c", "head -c 1M /dev/zero >/var/lib/podvpn/hub/filler"], { check: false });
    await using one = await bed.client(1);
    await one.join(join("pod-1"));
    await hub.program.line(/ error leases are not saved: .*ENOSPC/, 5000);
    expect(await one.ping(OWN[0])).toMatchObject({ code: 0 });
    await hubNode.exec(["rm", "/var/lib/podvpn/hub/filler"]);
    await using two = await bed.client(2);
    await joined(two, "pod-2");
    expect(await written("pod-1")).toBe(true);
  });
});

test("with a key for each identity, each has its virtual IPs from the start and for good", async () => {
  const identities = ["a", "b"].map((identity) => ({ identity, pskFile: `/etc/podvpn/${identity}` }));
  await Hub.configure(
    hubNode,
    { ...CONFIG, pskFile: undefined, identities },
    { "/etc/podvpn/a": "the key of a", "/etc/podvpn/b": "the key of b" },
  );
  await using _hub = await Hub.start(hubNode);
  await using one = await bed.client(1);
  const b = (await one.join(join("b", { psk: "the key of b" }))).virtualIPs;
  expect(b).toEqual(["10.173.0.2", "fd00:173::2"]);
  await one.leave();
  expect(await listed()).toMatchObject([
    { identity: "a", online: false, keptUntil: null },
    { identity: "b", online: false, keptUntil: null },
  ]);
});
