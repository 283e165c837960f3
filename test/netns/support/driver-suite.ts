import { afterAll, beforeAll, expect, test } from "vitest";
import { type Prefix, parsePrefix } from "../../../src/net/prefix.ts";
import type { Capture } from "../../../src/testbed/capture.ts";
import { fewer } from "../../../src/testbed/patience.ts";
import type { Snapshot } from "../../../src/testbed/snapshot.ts";
import { echo, PLAIN_PAYLOAD, Sender } from "../../../src/testbed/traffic.ts";
import { DriverBed, type DriverKind } from "./driver-bed.ts";
import type { DriverNode } from "./driver-node.ts";
import { eventually } from "./eventually.ts";
import { droppedByFullQueues } from "./full-queues.ts";
import { PLAIN } from "./mesh.ts";
import { expectUnchanged } from "./unchanged.ts";

/** Packets a second of a stream of which none may be lost. */
export const RATE = fewer(1000);

/** What stays on purpose, directories that are empty, and what is of the tests. */
const OTHERS = /files: \/run\/(?:podvpn|wireguard)\/(?:\w+\/)?$|processes: .*(?:mesh-driver|udp-probe)/;

/** What a driver of the agent has to keep, whichever it is: run by each of them. */
export function driverSuite(kind: DriverKind): void {
  let bed: DriverBed;
  let untouched: Snapshot;
  let capture: Capture;
  const [one, two, three] = [() => bed.at(1), () => bed.at(2), () => bed.at(3)];

  beforeAll(async () => {
    bed = await DriverBed.create(kind, 3);
    untouched = await one().node.snapshot();
    capture = await bed.testbed.capture(PLAIN);
    for (const { pod } of bed.nodes.values()) await echo(pod);
  });
  afterAll(async () => {
    await capture?.[Symbol.asyncDispose]();
    await bed?.[Symbol.asyncDispose]();
  });

  /** From the beginning on, all over the bed. */
  async function expectNothingPlain(): Promise<void> {
    await capture.sync();
    expect(await capture.packets(PLAIN)).toEqual([]);
    expect(await capture.carries(PLAIN_PAYLOAD)).toBe(false);
  }

  test("a node whose peers have no tunnel yet sends nothing to them, and says what it made", async () => {
    const applied = await one().apply(bed.wanted(one()));
    expect(applied).toMatchObject({ made: ["n2", "n3"], altered: [], removed: [], started: true });
    for (const ip of two().ips) expect(await one().pod.ping(ip)).toBe(false);
    await expectNothingPlain();
  });

  test("pods reach each other over both families, encrypted", async () => {
    await using encrypted = await bed.testbed.capture(kind.encrypted);
    for (const { obstacles } of await bed.applyAll()) expect(obstacles).toEqual([]);
    for (const from of bed.nodes.values())
      for (const to of bed.nodes.values()) if (from !== to) await reaches(from, to);
    await encrypted.sync();
    expect(await encrypted.count(kind.encrypted)).toBeGreaterThan(0);
    await expectNothingPlain();
  });

  test("nodes reach each other by their own addresses in the mesh", async () => {
    for (const address of two().record.addresses) {
      const source = one().record.addresses[address.includes(":") ? 1 : 0] ?? "";
      const { code } = await one().node.exec(["ping", "-n", "-c", "1", "-W", "2", "-I", source, address], {
        check: false,
      });
      expect(code, address).toBe(0);
    }
  });

  test("the same once more writes nothing", async () => {
    await bed.applyAll();
    await one().effects();
    const applied = await one().apply(bed.wanted(one()));
    expect(applied).toEqual({ made: [], altered: [], removed: [], started: false, obstacles: [] });
    expect(await one().effects()).toEqual([]);
  });

  test("what it observes is what there is", async () => {
    const state = await one().observe();
    expect(state?.tunnels.map(({ name }) => name).sort()).toEqual(["n2", "n3"]);
    const tunnel = state?.tunnels.find(({ name }) => name === "n2");
    expect(tunnel?.endpoint?.address).toBe(two().node.address());
    expect(tunnel?.receivedBytes).toBeGreaterThan(0);
    expect(tunnel?.sentBytes).toBeGreaterThan(0);
    expect(tunnel?.mtu).toBeGreaterThanOrEqual(1280);
    expect(Math.abs(Date.now() - (tunnel?.established ?? 0))).toBeLessThan(600_000);
  });

  test("an agent that is killed and started anew takes over what is there: no packet is lost, and nothing written", async () => {
    await using streams = await Streams.start([[one(), two()]]);
    await one().restart();
    const applied = await one().apply(bed.wanted(one()));
    expect(applied).toEqual({ made: [], altered: [], removed: [], started: false, obstacles: [] });
    expect(await one().effects()).toEqual([]);
    await streams.expectNothingLost();
  });

  test("a node that joins, changes its prefixes and its key, and leaves costs the others no packet", async () => {
    await using streams = await Streams.start([[one(), two()]]);
    const joined = await bed.join(4);
    const applied = await Promise.all([...bed.nodes.values()].map((node) => node.apply(bed.wanted(node))));
    expect(applied[0]).toMatchObject({ made: ["n4"], altered: [], removed: [], started: false });
    await echo(joined.pod);
    await reaches(one(), joined);
    joined.record = { ...joined.record, podPrefixes: [...joined.record.podPrefixes, prefix("10.1.44.0/24")] };
    await joined.pod.exec(["ip", "address", "add", "10.1.44.10/24", "dev", "eth0"]);
    await joined.node.exec(["ip", "address", "add", "10.1.44.1/24", "dev", "vpod"]);
    const [changed] = await bed.applyAll();
    expect(changed).toMatchObject({ made: [], altered: ["n4"], removed: [], started: false });
    await eventually("the new prefix is reached", 20_000, () => one().pod.ping("10.1.44.10"));
    await reaches(one(), joined);
    joined.record = { ...joined.record, ...(await kind.identity(joined.node)) };
    await joined.restart(); // it has read its key
    await bed.applyAll();
    await reaches(one(), joined);
    bed.leave(4);
    const [left] = await bed.applyAll();
    expect(left).toMatchObject({ made: [], altered: [], removed: ["n4"], started: false });
    expect(await one().pod.ping(joined.ips[0] ?? "")).toBe(false);
    await streams.expectNothingLost();
    await joined.remove();
    await joined.stop();
    await expectNothingPlain();
  });

  test("a daemon that is killed is told of, lets nothing out in plain, and is back with all peers", async () => {
    await using sender = await Sender.start(one().pod, two().ips[0] ?? "", 100);
    await using sender6 = await Sender.start(one().pod, two().ips[1] ?? "", 100);
    await Promise.all([sender.answers(20, 20_000), sender6.answers(20, 20_000)]);
    const died = one().died();
    await kind.kill(one().node);
    expect(await died).toBe("died");
    const { tried } = await sender.counts();
    await eventually(
      "there was time for plain packets",
      10_000,
      async () => (await sender.counts()).tried > tried + 30,
    );
    await expectNothingPlain();
    expect(await one().apply(bed.wanted(one()))).toMatchObject({ started: true, removed: [] });
    await Promise.all([sender.answers(20, 30_000), sender6.answers(20, 30_000)]);
    await reaches(one(), three());
    await expectNothingPlain();
  });

  test("what a node that has left still sends stays within it, and so does what is sent to it", async () => {
    const leaving = bed.leave(3);
    await using toIt = await Sender.start(one().pod, leaving.ips[0] ?? "", 100);
    await using fromIt = await Sender.start(leaving.pod, one().ips[1] ?? "", 100);
    await Promise.all([toIt.answers(5, 20_000), fromIt.answers(5, 20_000)]);
    await bed.applyAll();
    await expectSilence(toIt);
    await leaving.pod.exec(["ip", "link", "set", "eth0", "down"]);
    await leaving.remove(); // its guard as well: its pods' packets would go by the default route
    await expectNothingPlain();
  });

  test("when it is removed nothing is left", async () => {
    await one().remove();
    await one().remove(); // twice is fine
    expect(await one().observe()).toBeNull();
    await one().stop();
    await two().stop();
    await expectUnchanged(one().node, untouched, OTHERS);
  });
}

/** A packet of each family to the other pod, and back. */
export async function reaches(from: DriverNode, to: DriverNode): Promise<void> {
  for (const ip of to.ips) {
    await eventually(`${from.record.name} reaches ${ip}`, 20_000, () => from.pod.ping(ip));
  }
}

/** No answer comes any more, to as many as would have been answered. */
async function expectSilence(sender: Sender): Promise<void> {
  let [tried, answered] = [0, -1];
  await eventually("the sender gets no answer", 20_000, async () => {
    const counts = await sender.counts();
    if (counts.answered !== answered) [tried, answered] = [counts.tried, counts.answered];
    return counts.tried >= tried + 50;
  });
}

/** How many packets full queues of the nodes and their pods have dropped so far, as their kernels count them. */
function overflows(nodes: readonly DriverNode[]): Promise<number> {
  return droppedByFullQueues(nodes.flatMap(({ node, pod }) => [node, pod]));
}

/** Streams of {@link RATE} packets a second between pods, of both families: each is answered, so it goes both ways. */
export class Streams implements AsyncDisposable {
  readonly #senders: readonly Sender[];
  readonly #nodes: readonly DriverNode[];
  readonly #overflows: number;

  private constructor(senders: readonly Sender[], nodes: readonly DriverNode[], dropped: number) {
    this.#senders = senders;
    this.#nodes = nodes;
    this.#overflows = dropped;
  }

  /** @param pairs By the first address of the second one; half of all by its second address. The pods have an echo. */
  static async start(pairs: readonly (readonly [DriverNode, DriverNode])[]): Promise<Streams> {
    const senders: Sender[] = [];
    for (const [from, to] of pairs) await reaches(from, to);
    const before = await overflows(pairs.flat());
    for (const [from, to] of pairs) {
      senders.push(await Sender.start(from.pod, to.ips[senders.length % 2] ?? "", RATE));
    }
    const streams = new Streams(senders, pairs.flat(), before);
    await streams.flow(RATE / 5);
    return streams;
  }

  /** Waits until each has been answered so many times more. */
  async flow(more: number): Promise<void> {
    await Promise.all(this.#senders.map((sender) => sender.answers(more, 60_000)));
  }

  /** Since their start. What is answered late is not lost, and what a busy machine had no room for does not count. */
  async expectNothingLost(): Promise<void> {
    await this.flow(1.5 * RATE);
    let unexplained = Number.POSITIVE_INFINITY;
    await eventually("what is lost is no more than what full queues have dropped", 5000, async () => {
      const all = await Promise.all(this.#senders.map((sender) => sender.counts()));
      const lost = all.reduce((sum, counts) => sum + counts.lost, 0);
      unexplained = lost - ((await overflows(this.#nodes)) - this.#overflows);
      return unexplained <= 0;
    }).catch(() => undefined);
    for (const sender of this.#senders) expect((await sender.counts()).refused).toEqual({});
    expect(unexplained).toBeLessThanOrEqual(0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#senders.map((sender) => sender[Symbol.asyncDispose]()));
  }
}

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new TypeError(text);
  return parsed;
}
