import { describe, expect, test } from "vitest";
import type { Health } from "../../../../src/agent/probe/health.ts";
import { decodeProbePacket, encodeProbePacket, PROBE_LENGTH } from "../../../../src/agent/probe/packet.ts";
import { type HealthChange, ProbeTable } from "../../../../src/agent/probe/table.ts";
import { type Address, parseAddress } from "../../../../src/net/address.ts";

const PACE = { interval: 1000, doubt: 250, rest: 5000 };
const LIMITS = { downAfter: 2500, degradedLoss: 0.05 };
const TICK = 250;
const NOON = Date.UTC(2026, 2, 1, 12);

const address = (text: string): Address => {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
};

const A = { name: "a", addresses: [address("10.101.1.1"), address("fd00:101:1::1")] };
const B = { name: "b", addresses: [address("10.101.2.1"), address("fd00:101:2::1")] };

/** Two nodes with a tunnel between them, at which a test turns. Times are in milliseconds. */
class Pair {
  now = 0;
  a = new ProbeTable(1, PACE, LIMITS);
  b = new ProbeTable(2, PACE, LIMITS);
  /** Whether a packet passes, by the name of its sender and its destination. */
  passes = (_from: string, _to: Address): boolean => true;
  /** On each way. */
  delay = 10;
  /** What the clocks said at the beginning, in milliseconds since 1970. */
  clocks = { a: NOON, b: NOON };
  readonly told: (HealthChange & { readonly at: number })[] = [];
  sent = 0;
  #onWay: { at: number; from: string; to: Address; bytes: Uint8Array }[] = [];

  constructor() {
    this.a.set([{ name: "b", probes: B.addresses }], 0);
    this.b.set([{ name: "a", probes: A.addresses }], 0);
  }

  /** Runs for so long. */
  run(milliseconds: number): void {
    const until = this.now + milliseconds;
    for (; this.now < until; this.now += 5) {
      if (this.now % TICK === 0) this.#tick();
      const due = this.#onWay.filter(({ at }) => at <= this.now);
      this.#onWay = this.#onWay.filter(({ at }) => at > this.now);
      for (const { from, to, bytes } of due) this.#deliver(from, to, bytes);
      for (const change of this.a.changes()) this.told.push({ ...change, at: this.now });
    }
  }

  health(): Health {
    return this.a.health("b");
  }

  #tick(): void {
    for (const [name, table] of [
      ["a", this.a],
      ["b", this.b],
    ] as const) {
      for (const { address: to, bytes } of table.tick(this.now)) {
        if (name === "a") this.sent += 1;
        this.#send(name, to, bytes);
      }
    }
  }

  #send(from: string, to: Address, bytes: Uint8Array): void {
    if (this.passes(from, to)) this.#onWay.push({ at: this.now + this.delay, from, to, bytes });
  }

  #deliver(from: string, to: Address, bytes: Uint8Array): void {
    const [sender, receiver, table] = from === "a" ? ([A, "b", this.b] as const) : ([B, "a", this.a] as const);
    const source = sender.addresses.find((one) => one.includes(":") === to.includes(":"));
    if (source === undefined) throw new Error("no source");
    const answer = table.take(bytes, source, this.now, this.clocks[receiver] + this.now);
    if (answer !== undefined) this.#send(receiver, source, answer);
  }
}

describe("two nodes that probe each other", () => {
  test("know each other as up after the first answer, with the round trip", () => {
    const pair = new Pair();
    pair.run(5000);
    expect(pair.told).toEqual([{ name: "b", from: "unknown", to: "up", at: 20 }]);
    expect(pair.a.report("b", pair.now)).toMatchObject({
      health: "up",
      roundTrip: { smoothed: expect.closeTo(20, 0) },
      loss: { out: 0, in: 0, roundTrip: 0 },
      silent: [],
    });
  });

  test("know each other's clocks to a second, also after one of them went silent", () => {
    const pair = new Pair();
    pair.clocks.b += 300_000;
    pair.run(5000);
    const ahead = (table = pair.a, name = "b") => {
      const { clock = 0 } = table.report(name, pair.now) ?? {};
      return Math.round((clock - NOON - pair.now) / 1000) + 0; // no negative zero
    };
    expect(ahead()).toBe(300);
    expect(ahead(pair.b, "a")).toBe(0);
    pair.passes = () => false;
    pair.run(60_000);
    expect(ahead()).toBe(300);
    pair.passes = () => true;
    pair.clocks.b = NOON;
    pair.run(10_000);
    expect(ahead()).toBe(0);
  });

  test("probe once a second while all is well", () => {
    const pair = new Pair();
    pair.run(20_000);
    expect(pair.sent).toBe(20);
  });

  test("tell of a dead one within 3 seconds, whenever it dies", () => {
    for (let phase = 0; phase < 1000; phase += 50) {
      const pair = new Pair();
      pair.run(10_000 + phase);
      pair.passes = () => false;
      const died = pair.now;
      pair.run(4000);
      expect(pair.told.map(({ to }) => to)).toEqual(["up", "down"]);
      const down = pair.told.find(({ to }) => to === "down");
      expect(down?.at, `died at ${died}`).toBeLessThanOrEqual(died + 3000);
      expect(pair.a.report("b", pair.now)).toMatchObject({ health: "down", silent: [] });
    }
  });

  test("do not tell of one that is started anew, and is silent for a moment", () => {
    for (let gap = 500; gap <= 1400; gap += 100) {
      const pair = new Pair();
      pair.run(30_000);
      pair.passes = () => false;
      pair.run(gap);
      pair.passes = () => true;
      pair.run(60_000);
      expect(
        pair.told.map(({ to }) => to),
        `${gap} ms`,
      ).toEqual(["up"]);
    }
  });

  test("are up again, and not degraded, when all is well after an outage", () => {
    const pair = new Pair();
    pair.run(30_000);
    pair.passes = () => false;
    pair.run(10_000);
    pair.passes = () => true;
    pair.run(60_000);
    expect(pair.told.map(({ to }) => to)).toEqual(["up", "down", "up"]);
  });

  test("take answers that come late and all together for a tunnel that has come up", () => {
    const pair = new Pair();
    pair.delay = 1500;
    pair.run(8000);
    pair.delay = 10;
    pair.run(60_000);
    expect(pair.told.map(({ to }) => to).at(-1)).toBe("up");
    expect(pair.a.report("b", pair.now)?.loss).toEqual({ out: 0, in: 0, roundTrip: 0 });
    expect(pair.a.report("b", pair.now)?.roundTrip?.smoothed).toBeLessThan(100);
  });

  test("are sure of it by more than two lost probes", () => {
    const pair = new Pair();
    pair.run(10_000);
    pair.passes = () => false;
    const before = pair.sent;
    pair.run(2500);
    expect(pair.sent - before).toBeGreaterThanOrEqual(5);
  });

  test("rest when one is down for long, and are back at once when it says something", () => {
    const pair = new Pair();
    pair.run(5000);
    pair.passes = () => false;
    pair.run(60_000);
    const before = pair.sent;
    pair.run(20_000);
    expect(pair.sent - before).toBe(4);
    pair.passes = () => true;
    const back = pair.now;
    pair.run(10_000);
    const again = pair.told.find(({ from }) => from === "down");
    expect(again).toMatchObject({ to: "up" });
    expect(again?.at).toBeLessThanOrEqual(back + 8000);
  });

  test("tell of a way that is shut in one direction only, on both sides", () => {
    const pair = new Pair();
    pair.run(10_000);
    pair.passes = (from) => from !== "a";
    pair.run(5000);
    expect(pair.health()).toBe("down");
    expect(pair.b.health("a")).toBe("down");
    expect([pair.a.isHeard("b", pair.now), pair.b.isHeard("a", pair.now)]).toEqual([true, false]);
  });

  test("name the family that does not pass, and hold the peer for degraded", () => {
    const pair = new Pair();
    pair.run(10_000);
    pair.passes = (_, to) => !to.includes(":");
    pair.run(60_000);
    expect(pair.told.map(({ to }) => to)).toEqual(["up", "degraded"]);
    expect(pair.a.report("b", pair.now)?.silent).toEqual([B.addresses[1]]);
  });

  test("measure the loss of each direction", () => {
    const pair = new Pair();
    let count = 0;
    pair.passes = (from) => {
      if (from !== "a") return true;
      count += 1;
      return count % 8 !== 0; // probes and answers of a by turns: some probes are lost
    };
    pair.run(120_000);
    const loss = pair.a.report("b", pair.now)?.loss;
    expect(loss?.in).toBe(0);
    expect(loss?.out).toBeGreaterThan(0);
    expect(loss?.roundTrip).toBe(loss?.out);
  });

  test.each([3, 4, 5, 7, 10])("do not flap when every %dth packet is lost", (every) => {
    const pair = new Pair();
    let count = 0;
    pair.passes = () => {
      count += 1;
      return count % every !== 0;
    };
    pair.run(300_000);
    expect(pair.told.map(({ to }) => to)).toEqual(["up", "degraded"]);
  });

  test("do not flap when a tenth of all packets is lost at random", () => {
    for (let seed = 1; seed <= 10; seed += 1) {
      const pair = new Pair();
      let state = seed;
      pair.passes = () => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0; // Numerical Recipes' generator
        return state / 2 ** 32 >= 0.1;
      };
      pair.run(300_000);
      expect(
        pair.told.map(({ to }) => to),
        `seed ${seed}`,
      ).toEqual(["up", "degraded"]);
    }
  });

  test("do not take their own standstill for a peer's silence", () => {
    const pair = new Pair();
    pair.run(10_000);
    pair.now += 30_000; // stopped, with all timers
    pair.a.forgive(30_000);
    pair.b.forgive(30_000);
    pair.run(10_000);
    expect(pair.told.map(({ to }) => to)).toEqual(["up"]);
  });

  test("go on when one of them is started again", () => {
    const pair = new Pair();
    pair.run(10_000);
    pair.b = new ProbeTable(3, PACE, LIMITS);
    pair.b.set([{ name: "a", probes: A.addresses }], pair.now);
    pair.run(30_000);
    expect(pair.told.map(({ to }) => to)).toEqual(["up"]);
    expect(pair.b.health("a")).toBe("up");
  });
});

describe("a table of probes", () => {
  const probe = encodeProbePacket({ type: "probe", session: 9, sequence: 0, sentAt: 1n });

  test("answers its peers alone, with no more than it was sent", () => {
    const table = new ProbeTable(1, PACE, LIMITS);
    table.set([{ name: "b", probes: B.addresses }], 0);
    const [own = address("::")] = B.addresses;
    expect(table.take(probe, own, 0, NOON)).toHaveLength(PROBE_LENGTH);
    expect(table.take(probe, address("10.101.3.1"), 0, NOON)).toBeUndefined();
    expect(table.take(probe.subarray(1), own, 0, NOON)).toBeUndefined();
  });

  test("believes no answer that it did not ask for", () => {
    const table = new ProbeTable(1, PACE, LIMITS);
    table.set([{ name: "b", probes: B.addresses }], 0);
    const [sent] = table.tick(0);
    const asked = sent === undefined ? undefined : decodeProbePacket(sent.bytes);
    if (sent === undefined || asked?.type !== "probe") throw new Error("no probe");
    const { type: _, ...question } = asked;
    for (const forged of [
      { ...question, session: 2 },
      { ...question, sequence: 7 },
    ]) {
      table.take(encodeProbePacket({ ...forged, type: "answer", received: 1 }), sent.address, 10, NOON);
      expect(table.health("b")).toBe("unknown");
    }
    table.take(encodeProbePacket({ ...question, sentAt: 0n, type: "answer", received: 1 }), sent.address, 10, NOON);
    expect(table.report("b", 10)).toMatchObject({ health: "up", roundTrip: { smoothed: 10 } });
  });

  test("keeps what is known of a peer that stays, and forgets one that goes", () => {
    const pair = new Pair();
    pair.run(5000);
    pair.a.set(
      [
        { name: "c", probes: [address("10.101.3.1")] },
        { name: "b", probes: B.addresses },
      ],
      pair.now,
    );
    expect(pair.health()).toBe("up");
    pair.a.set([], pair.now);
    expect(pair.a.report("b", pair.now)).toBeUndefined();
    expect(pair.a.changes()).toEqual([]);
    expect(pair.a.tick(pair.now + 5000)).toEqual([]);
  });

  test("sends nothing to whoever is not kept, and answers nothing, before others are probed instead", () => {
    const pair = new Pair();
    pair.run(3000);
    const question = pair.b.tick(pair.now + 2000)[0]?.bytes ?? new Uint8Array();
    const from = B.addresses[0] ?? address("::");
    expect(pair.a.take(question, from, pair.now, NOON)).toBeDefined();
    pair.a.keep(new Set(["c"]));
    expect(pair.a.tick(pair.now + 5000)).toEqual([]);
    expect(pair.a.take(question, from, pair.now, NOON)).toBeUndefined();
  });

  test("does not probe all peers at the same moment", () => {
    const table = new ProbeTable(1, PACE, LIMITS);
    const peers = Array.from({ length: 8 }, (_, index) => ({
      name: `n${index}`,
      probes: [address(`10.101.${index}.1`)],
    }));
    table.set(peers, 0);
    expect([0, 250, 500, 750].map((now) => table.tick(now).length)).toEqual([2, 2, 2, 2]);
  });

  test("does not probe a peer without an address", () => {
    const table = new ProbeTable(1, PACE, LIMITS);
    table.set([{ name: "b", probes: [] }], 0);
    expect(table.tick(10_000)).toEqual([]);
    expect(table.report("b", 10_000)).toBeUndefined();
  });
});
