import { afterAll, beforeAll, expect, test } from "vitest";
import type { Driver } from "../../../src/registry/node-record.ts";
import type { Capture } from "../../../src/testbed/capture.ts";
import { fewer } from "../../../src/testbed/patience.ts";
import { echo, PLAIN_PAYLOAD, Sender } from "../../../src/testbed/traffic.ts";
import { AgentBed, PLAIN, within } from "./agent-bed.ts";
import { eventually } from "./eventually.ts";
import { droppedByFullQueues } from "./full-queues.ts";
import { type MeshPod, meshPod } from "./mesh-pod.ts";

/** Packets a second of a stream. */
const RATE = fewer(200);

const ENCRYPTED = { wireguard: "udp port 51820", ipsec: "esp or udp port 4500" } as const;

/** What no agent can keep from happening. */
const LOSS = {
  wireguard: "ip link del podvpn0",
  ipsec: "kill -KILL $(cat /run/podvpn/mesh/charon.pid)",
} as const;

/**
 * What two agents with a registry and a driver have to keep, wherever the data plane of each is.
 * @param planes Of each node.
 */
export function agentSuite(driver: Driver, planes: readonly ["kernel" | "userspace", "kernel" | "userspace"]): void {
  let bed: AgentBed;
  let capture: Capture;
  let one: MeshPod;
  let two: MeshPod;

  beforeAll(async () => {
    bed = await AgentBed.create(2, { drivers: [driver] });
    for (const [at, dataplane] of planes.entries()) await bed.configure(at + 1, { [driver]: { dataplane } });
    [one, two] = [await meshPod(bed.at(1), 1), await meshPod(bed.at(2), 2)];
    await echo(two.pod);
    capture = await bed.testbed.capture();
  });
  afterAll(async () => {
    await capture?.[Symbol.asyncDispose]();
    await bed?.[Symbol.asyncDispose]();
  });

  async function expectNothingPlain(): Promise<void> {
    await capture.sync();
    expect(await capture.packets(PLAIN)).toEqual([]);
    expect(await capture.carries(PLAIN_PAYLOAD)).toBe(false);
  }

  /** Does `act` under a stream in both directions, of which nothing may be lost. */
  async function withoutLoss(act: () => Promise<void>): Promise<void> {
    const places = [bed.at(1), bed.at(2), one.pod, two.pod];
    const before = await droppedByFullQueues(places);
    await using sender = await Sender.start(one.pod, two.ip, RATE);
    await sender.answers(RATE / 5, 20_000);
    await act();
    let counts = await sender.answers(1.5 * RATE, 40_000);
    let unexplained = Number.POSITIVE_INFINITY;
    await eventually("what is lost is no more than what full queues have dropped", 5000, async () => {
      counts = await sender.counts();
      unexplained = counts.lost - ((await droppedByFullQueues(places)) - before);
      return unexplained <= 0;
    }).catch(() => undefined);
    expect(unexplained, `of ${counts.tried}`).toBeLessThanOrEqual(0);
    expect(counts.refused).toEqual({});
  }

  test("are a mesh by the registry alone: pods reach each other, encrypted", async () => {
    await bed.startAll();
    for (const [at, dataPlane] of planes.entries()) {
      expect((await bed.status(at + 1))?.drivers).toMatchObject([{ name: driver, state: "working", dataPlane }]);
    }
    for (const ip of [two.ip, two.ip6]) await eventually(`${ip} is reached`, 20_000, () => one.pod.ping(ip));
    await eventually("and back", 20_000, () => two.pod.ping(one.ip6));
    expect(await capture.count(ENCRYPTED[driver])).toBeGreaterThan(0);
    await expectNothingPlain();
  });

  test("lose nothing when one is killed and started again: it adopts what it made", async () => {
    await withoutLoss(async () => {
      await bed.stop(1, "SIGKILL");
      const agent = bed.start(1);
      await bed.joined(1, 2);
      expect(agent.lines.join("\n")).not.toContain("was started");
    });
    await expectNothingPlain();
  });

  test("go by new keys when one changes them, and with WireGuard lose nothing", async () => {
    const rotate = async () => {
      const { code, stdout } = await bed.podvpn(1, "rotate");
      expect(stdout).toContain("the new keys count");
      expect(code).toBe(0);
    };
    // Where packets take as long as on an emulated machine, ESP in the kernel loses one of a thousand.
    await (driver === "wireguard" ? withoutLoss(rotate) : rotate());
    for (const ip of [two.ip, two.ip6]) await eventually(`${ip} is reached`, 20_000, () => one.pod.ping(ip));
    await expectNothingPlain();
  });

  test("have back what was killed or removed, and nothing is in plain meanwhile", async () => {
    await using sender = await Sender.start(one.pod, two.ip, RATE);
    await sender.answers(RATE / 5, 20_000);
    await bed.at(1).exec(["sh", "-ec", LOSS[driver]]);
    await bed.agent(1).line(new RegExp(`msg="driver was started again" driver=${driver}`), within(10));
    await sender.answers(RATE, 20_000);
    await bed.joined(1, 2);
    await expectNothingPlain();
  });
}
