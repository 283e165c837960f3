import { describe, expect, test } from "vitest";
import { Memory } from "../../../../src/agent/ipsec/memory.ts";
import type { HeldSa } from "../../../../src/ipsec/mesh-held.ts";
import type { MeshName } from "../../../../src/ipsec/mesh-name.ts";
import type { PeerProgress } from "../../../../src/ipsec/mesh-plan.ts";

const NAME: MeshName = {
  peer: "n2",
  number: 0,
  generation: 1,
  role: "initiates",
  tunnel: "0123456789",
  rest: "0123456789",
};
const RIGHT: PeerProgress = { peer: "n2", hasTunnel: true, isRight: true, isSettled: true, waits: false };
const CHANGING: PeerProgress = { ...RIGHT, isRight: false, isSettled: false };
const NAMES = new Map([["n2", "n2"]]);

function memory() {
  let now = 1000;
  const pass = (milliseconds: number) => {
    now += milliseconds;
  };
  return { pass, memory: new Memory(() => now) };
}

describe("what the driver remembers of a peer", () => {
  test("one whose tunnel is being replaced is looked at again soon, then later, then no more", () => {
    const { pass, memory: known } = memory();
    expect(known.again).toBeUndefined();
    known.note([CHANGING], NAMES);
    expect(known.again).toBeLessThan(1000);
    pass(6000);
    known.note([CHANGING], NAMES);
    expect(known.again).toBe(1000);
    pass(60_000);
    known.note([CHANGING], NAMES);
    expect(known.again).toBeUndefined();
    known.note([RIGHT], NAMES);
    expect(known.again).toBeUndefined();
  });

  test("the other side is late after ten seconds, and only as long as nothing is settled", () => {
    const { pass, memory: known } = memory();
    known.note([CHANGING], NAMES);
    pass(9999);
    expect(known.isLate("n2")).toBe(false);
    pass(1);
    expect(known.isLate("n2")).toBe(true);
    known.note([RIGHT], NAMES);
    known.note([CHANGING], NAMES);
    expect(known.isLate("n2")).toBe(false);
    expect(known.isLate("n3")).toBe(false);
  });

  test("a connection that was tried in vain is tried again ever more slowly, and at once when there was a tunnel", () => {
    const { pass, memory: known } = memory();
    expect(known.isTried(NAME)).toBe(false);
    for (const pause of [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]) {
      known.tries(NAME);
      pass(pause - 1);
      expect(known.isTried(NAME)).toBe(true);
      pass(1);
      expect(known.isTried(NAME)).toBe(false);
    }
    known.tries(NAME);
    known.note([RIGHT], NAMES);
    expect(known.isTried(NAME)).toBe(false);
  });

  test("what a new charon has lost is asked for once, when peers had time to come by themselves", () => {
    const { pass, memory: known } = memory();
    expect(known.isLost("n2")).toBe(false);
    known.started();
    known.note([{ ...CHANGING, hasTunnel: false }], NAMES);
    expect(known.isLost("n2")).toBe(false);
    expect(known.again).toBeLessThan(1000);
    pass(known.again ?? 0);
    expect(known.isLost("n2")).toBe(true);
    known.tries(NAME);
    expect(known.isLost("n2")).toBe(false);
    expect(known.isLost("n3")).toBe(true);
  });

  test("a tunnel takes another's place only when nothing can be on its way any more", () => {
    const { pass, memory: known } = memory();
    const sa = { uniqueid: 7 } as HeldSa;
    expect(known.isProven(sa)).toBe(false);
    pass(1000);
    expect(known.isProven(sa)).toBe(true);
    expect(known.isProven({ uniqueid: 8 } as HeldSa)).toBe(false);
  });

  test("a key has moved where the tunnel is as wanted, and no other is left", () => {
    const { memory: known } = memory();
    expect(known.keyChange()).toBeUndefined();
    known.note([CHANGING], new Map([["n2", "node 2"]]));
    expect(known.keyChange()).toEqual({
      atRest: false,
      peers: [{ name: "node 2", hasTunnel: true, hasMoved: false }],
    });
    known.note([{ ...RIGHT, isSettled: false }], NAMES);
    expect(known.keyChange()?.peers[0]?.hasMoved).toBe(false);
    known.note([RIGHT], NAMES);
    expect(known.keyChange()).toEqual({ atRest: true, peers: [{ name: "n2", hasTunnel: true, hasMoved: true }] });
  });

  test("why a peer refuses is told when it has done so for a while, and not when it does no more", () => {
    const { pass, memory: known } = memory();
    known.note([CHANGING], NAMES);
    known.refused("n2", "n2 refuses");
    expect(known.reasons).toEqual([]);
    pass(10_000);
    expect(known.reasons).toEqual(["n2 refuses"]);
    known.note([RIGHT], NAMES);
    known.note([CHANGING], NAMES);
    pass(10_000);
    expect(known.reasons).toEqual([]);
  });

  test("what a dead charon left is of no more use when all have their tunnels, or after a minute", () => {
    const { pass, memory: known } = memory();
    known.started();
    known.note([{ ...CHANGING, hasTunnel: false }], NAMES);
    expect(known.hasRecovered).toBe(false);
    pass(60_000);
    expect(known.hasRecovered).toBe(true);
    known.started();
    expect(known.hasRecovered).toBe(false);
    known.note([RIGHT], NAMES);
    expect(known.hasRecovered).toBe(true);
  });

  test("other people's firewalls are looked at when something else is asked for, and now and then", async () => {
    const { pass, memory: known } = memory();
    let looks = 0;
    const look = async () => {
      looks += 1;
      return [`look ${looks}`];
    };
    expect(await known.forwarding("one", look)).toEqual(["look 1"]);
    expect(await known.forwarding("one", look)).toEqual(["look 1"]);
    expect(await known.forwarding("two", look)).toEqual(["look 2"]);
    pass(25_000);
    expect(await known.forwarding("two", look)).toEqual(["look 3"]);
  });
});
