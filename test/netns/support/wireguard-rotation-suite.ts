import { afterAll, beforeAll, expect, test } from "vitest";
import type { Capture } from "../../../src/testbed/capture.ts";
import { echo, PLAIN_PAYLOAD, Sender } from "../../../src/testbed/traffic.ts";
import type { DataPlane } from "../../../src/wireguard/device.ts";
import { DriverBed } from "./driver-bed.ts";
import type { DriverNode } from "./driver-node.ts";
import { reaches, Streams } from "./driver-suite.ts";
import { eventually } from "./eventually.ts";
import { PLAIN } from "./mesh.ts";
import { RotatingAgents } from "./rotating-agents.ts";
import { killed, shownDevice, wireguardGo } from "./wg.ts";
import { MESH_KEY } from "./wireguard-driver.ts";
import { wireguardKind } from "./wireguard-kind.ts";

/** What a change of WireGuard's key has to keep, whoever encrypts. @param rounds How often a node changes it under load. */
export function rotationSuite(dataplane: DataPlane, rounds: number): void {
  let bed: DriverBed;
  let capture: Capture;
  const [one, two, three] = [() => bed.at(1), () => bed.at(2), () => bed.at(3)];

  beforeAll(async () => {
    bed = await DriverBed.create(wireguardKind(dataplane), 3);
    capture = await bed.testbed.capture(PLAIN);
    for (const { pod } of bed.nodes.values()) await echo(pod);
    await bed.applyAll();
    for (const to of [two(), three()]) await reaches(one(), to);
  });
  afterAll(async () => {
    await capture?.[Symbol.asyncDispose]();
    await bed?.[Symbol.asyncDispose]();
  });

  const keyOf = async ({ node }: DriverNode) => (await shownDevice(node)).publicKey;
  const keysAt = async ({ node }: DriverNode) => [...(await shownDevice(node)).peers.keys()];

  async function expectAtRest(): Promise<void> {
    for (const { node } of bed.nodes.values()) {
      const { stdout } = await node.exec(["ls", "/sys/class/net", "/run/podvpn/devices"]);
      expect(stdout).toContain("podvpn0");
      expect(stdout).not.toContain("podvpn1");
      const { stdout: tables } = await node.exec(["nft", "list", "ruleset"]);
      expect(tables).not.toContain("podvpn1");
    }
  }

  async function expectNothingPlain(): Promise<void> {
    await capture.sync();
    expect(await capture.packets(PLAIN)).toEqual([]);
    expect(await capture.carries(PLAIN_PAYLOAD)).toBe(false);
  }

  test("under 1,000 packets a second loses none of them, as often as it is done, and leaves one device with the new key", async () => {
    await using agents = new RotatingAgents(bed);
    await using streams = await Streams.start([
      [one(), two()],
      [two(), one()],
      [two(), three()],
    ]);
    for (let round = 0; round < rounds; round += 1) {
      const before = await keyOf(one());
      agents.ask(one());
      await agents.changed(one());
      const after = await keyOf(one());
      expect(after).not.toBe(before);
      for (const other of [two(), three()]) {
        const keys = await keysAt(other);
        expect(keys).toContain(after);
        expect(keys).not.toContain(before);
      }
      await expectAtRest();
    }
    expect(agents.journal).toEqual(Array.from({ length: rounds }, () => "n1 begin"));
    await streams.expectNothingLost();
    await expectNothingPlain();
  });

  test("survives agents that are killed in the middle of it", async () => {
    await using agents = new RotatingAgents(bed);
    await using streams = await Streams.start([
      [one(), two()],
      [three(), two()],
    ]);
    for (const step of ["begin", "promote"] as const) {
      const before = await keyOf(two());
      agents.killAfter(step);
      agents.ask(two());
      await agents.changed(two());
      expect(await keyOf(two())).not.toBe(before);
      expect(agents.journal).toContain("n2 killed");
    }
    await streams.expectNothingLost();
    await expectAtRest();
    await expectNothingPlain();
  });

  test("survives a daemon of the second device that is killed in the middle of it, and nothing is plain", async () => {
    await using agents = new RotatingAgents(bed);
    const before = await keyOf(three());
    agents.ask(three());
    const isThere = async () => (await one().node.exec(["ip", "link", "show", "podvpn1"], { check: false })).code === 0;
    await eventually("there is a second device", 30_000, isThere);
    if (dataplane === "kernel") await one().node.exec(["ip", "link", "del", "podvpn1"]);
    else await killed(one().node, await wireguardGo(one().node, "podvpn1"));
    await agents.changed(three());
    expect(await keyOf(three())).not.toBe(before);
    for (const from of [one(), two()]) await reaches(from, three());
    await expectAtRest();
    await expectNothingPlain();
  });

  test("of two nodes at once one goes first, and the other after it", async () => {
    await using agents = new RotatingAgents(bed);
    await using streams = await Streams.start([[one(), three()]]);
    const before = [await keyOf(one()), await keyOf(three())];
    agents.ask(three());
    agents.ask(one());
    await agents.changed(one());
    await agents.changed(three());
    expect(await keyOf(one())).not.toBe(before[0]);
    expect(await keyOf(three())).not.toBe(before[1]);
    await streams.expectNothingLost();
    await expectAtRest();
    await expectNothingPlain();
  });

  test("the old key is of no use any more", async () => {
    const old = (await one().node.readFile(MESH_KEY)).trim();
    await using agents = new RotatingAgents(bed);
    agents.ask(one());
    await agents.changed(one());
    const thief = await bed.join(4);
    await thief.node.writeFile(MESH_KEY, `${old}\n`, 0o600);
    const wanted = bed.wanted(thief);
    bed.leave(4);
    await thief.apply(wanted);
    await using sender = await echoless(thief, two());
    await sender.tried(300);
    expect((await shownDevice(thief.node)).peers.get(await keyOf(two()))?.latestHandshake).toBe(0);
    await thief.remove();
    await thief.stop();
  });

  /** Sends from one pod to another without waiting for answers. */
  async function echoless(from: DriverNode, to: DriverNode) {
    const sender = await Sender.start(from.pod, to.ips[0] ?? "", 100);
    return {
      tried: (count: number) => eventually("it has sent", 20_000, async () => (await sender.counts()).tried >= count),
      [Symbol.asyncDispose]: () => sender[Symbol.asyncDispose](),
    };
  }
}
