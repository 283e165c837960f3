import { afterEach, describe, expect, test } from "vitest";
import { echo, Sender } from "../../src/testbed/traffic.ts";
import {
  AgentBed,
  meshAddress,
  meshAddress6,
  PLAIN,
  podSubnet,
  podSubnet6,
  within,
} from "../netns/support/agent-bed.ts";
import { BUILT } from "../netns/support/cluster.ts";
import { eventually } from "../netns/support/eventually.ts";
import { withoutProgram } from "../netns/support/mounted.ts";

let bed: AgentBed;
afterEach(() => bed[Symbol.asyncDispose]());

/** Datagrams a second. */
const RATE = 200;

async function stream(from: number, to: number): Promise<Sender & AsyncDisposable> {
  await using undo = new AsyncDisposableStack();
  undo.use(await echo(bed.at(to)));
  const sender = undo.use(await Sender.start(bed.at(from), meshAddress(to), RATE));
  await sender.answers(50, 10_000);
  const owned = undo.move();
  sender[Symbol.asyncDispose] = () => owned.disposeAsync();
  return sender;
}

const lost = async (sender: Sender) => {
  return Math.max(0, (await sender.answers(1.5 * RATE, 20_000)).lost - (await bed.dropped()));
};
const exists = async (index: number, link: string) =>
  (await bed.at(index).exec(["ip", "link", "show", link], { check: false })).code === 0;

describe("agents with IPsec", () => {
  test("are a mesh as well, and nothing between them is ever in plain", async () => {
    bed = await AgentBed.create(3, { drivers: ["ipsec"] });
    const capture = await bed.testbed.capture();
    await bed.startAll();
    expect(await bed.pings(1, 2)).toBe(true);
    expect(await bed.pings(3, 2)).toBe(true);
    const status = await bed.status(1);
    expect(status).toMatchObject({ healthy: true, drivers: [{ name: "ipsec", state: "working", peers: 2 }] });
    expect(await capture.packets(PLAIN)).toEqual([]);
    await capture.stop();
  });

  test("lose nothing when an agent is killed and started again, and have a charon that was killed back at once", async () => {
    bed = await AgentBed.create(2, { drivers: ["ipsec"] });
    await bed.startAll();
    const capture = await bed.testbed.capture();
    await using sender = await stream(1, 2);
    await bed.stop(1, "SIGKILL");
    const agent = bed.start(1);
    await bed.joined(1, 2);
    expect(await lost(sender)).toBe(0);

    await bed.at(1).exec(["pkill", "-KILL", "-x", "charon-systemd"]);
    await agent.line(/msg="driver was started again" driver=ipsec/, within(10));
    await sender.answers(RATE, 30_000);
    expect(await capture.packets(PLAIN)).toEqual([]);
    await capture.stop();
  });
});

/** What does the encryption, by driver. */
const DAEMONS = { wireguard: "wireguard-go", ipsec: "charon-systemd" } as const;

describe.each(["wireguard", "ipsec"] as const)("agents with %s", (driver) => {
  test("let nothing out in plain while it and its agent are dead, and the next agent starts it again", async () => {
    bed = await AgentBed.create(2, { drivers: [driver] });
    await bed.startAll();
    const capture = await bed.testbed.capture();
    await using sender = await stream(1, 2);
    await bed.stop(1, "SIGKILL"); // who would start it again too soon to see anything
    await bed.at(1).exec(["pkill", "-KILL", "-x", DAEMONS[driver]]);
    const { tried, answered } = await sender.counts();
    await eventually("packets were sent meanwhile", 20_000, async () => (await sender.counts()).tried > tried + RATE);
    // Some may have been on their way back.
    expect((await sender.counts()).answered).toBeLessThan(answered + RATE / 2);
    const past = ["ping", "-n", "-c", "3", "-i", "0.2", "-W", "1", "-I", "eth0", meshAddress(2)] as const;
    expect((await bed.at(1).exec([...past], { check: false })).code).not.toBe(0);
    const agent = bed.start(1);
    await agent.line(new RegExp(`msg="driver was started" driver=${driver}`), within(10));
    await sender.answers(RATE, 30_000);
    expect(await capture.count()).toBeGreaterThan(0);
    expect(await capture.packets(PLAIN)).toEqual([]);
    await capture.stop();
  });
});

describe("agents with both", () => {
  test("take for each pair what both have", async () => {
    bed = await AgentBed.create(3, { drivers: ["wireguard", "ipsec"] });
    await bed.configure(3, { drivers: ["ipsec"] });
    await bed.startAll();
    expect((await bed.peer(1, 2))?.driver).toBe("wireguard");
    expect((await bed.peer(1, 3))?.driver).toBe("ipsec");
    for (const [from, to] of [
      [1, 2],
      [1, 3],
      [3, 2],
    ] as const)
      expect(await bed.pings(from, to)).toBe(true);
  });

  test("have pods that reach nodes of either: one mesh", async () => {
    bed = await AgentBed.create(3, { drivers: ["wireguard", "ipsec"] });
    await bed.configure(3, { drivers: ["ipsec"] });
    await bed.startAll();
    const pod = await bed.at(1).addPod("both");
    const conf = {
      cniVersion: "1.1.0",
      name: "mesh",
      type: "wireguard",
      wireguard: { agent: true },
      isDefaultGateway: true,
      ipMasq: true,
      ipam: { type: "host-local", ranges: [[{ subnet: podSubnet(1) }], [{ subnet: podSubnet6(1) }]] },
    };
    await pod.add(conf, BUILT);
    await pod.check(conf, BUILT);
    for (const other of [2, 3]) {
      for (const target of [meshAddress(other), meshAddress6(other)]) {
        await eventually(`the pod reaches ${target}`, 10_000, () => pod.ping(target));
      }
    }
    await pod.del(conf, BUILT);
  });

  test("go from one to the other when the configuration does, and never in plain; nothing is left of the other", async () => {
    bed = await AgentBed.create(2, { drivers: ["wireguard"] });
    await bed.startAll();
    const capture = await bed.testbed.capture();
    await using _sender = await stream(1, 2);
    for (const index of [1, 2]) await bed.configure(index, { drivers: ["ipsec"] });
    await bed.until(
      1,
      "n2 by IPsec",
      ({ peers }) => peers.some((peer) => peer.driver === "ipsec" && peer.state === "up"),
      40_000,
    );
    for (const index of [1, 2]) {
      await eventually("no WireGuard device any more", 20_000, async () => !(await exists(index, "podvpn0")));
    }
    await eventually("pings pass", 20_000, () => bed.pings(1, 2));
    for (const index of [1, 2]) await bed.configure(index, { drivers: ["wireguard"] });
    await bed.until(
      1,
      "n2 by WireGuard",
      ({ peers }) => peers.some((peer) => peer.driver === "wireguard" && peer.state === "up"),
      40_000,
    );
    await eventually("no charon any more", 20_000, async () => {
      return (await bed.at(1).exec(["pgrep", "-x", "charon-systemd"], { check: false })).code !== 0;
    });
    expect(await capture.packets(PLAIN)).toEqual([]);
    await capture.stop();
  });
});

describe("a driver that cannot work", () => {
  test("makes the agent not ready, with the reason, and is back when it can again", async () => {
    bed = await AgentBed.create(2);
    await bed.startAll();
    const ready = async () =>
      (await bed.at(1).exec(["curl", "-s", "-w", "%{http_code}", "http://127.0.0.1:9174/readyz"])).stdout;
    expect(await ready()).toBe("ok\n200");
    const capture = await bed.testbed.capture();
    {
      await using _without = await withoutProgram(bed.at(1), "/usr/bin/wireguard-go");
      await bed.at(1).exec(["pkill", "-KILL", "-x", "wireguard-go"]);
      await eventually("not ready", 10_000, async () => (await ready()).endsWith("503"));
      expect(await ready()).toContain("wireguard fails");
      expect((await bed.status(1))?.problems.join("\n")).toContain("wireguard-go");
      expect(await bed.pings(1, 2)).toBe(false);
    }
    await eventually("ready again", 40_000, async () => (await ready()).endsWith("200"));
    await bed.joined(1, 2);
    expect(await capture.packets(PLAIN)).toEqual([]);
    await capture.stop();
  });
});
