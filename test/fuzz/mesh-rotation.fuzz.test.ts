import fc from "fast-check";
import { expect, test } from "vitest";
import { type Crash, publicKey, RotatingMesh } from "./support/rotating-mesh.ts";

// Agents that hear of each other late, do their steps late, are killed between two steps, and rotate at the same time:
// a packet is sent between all nodes after each event, and none may be lost.

type Event =
  | { readonly what: "ask" | "restart"; readonly node: number }
  | { readonly what: "step"; readonly node: number; readonly crash: Crash | undefined }
  | { readonly what: "alone"; readonly node: number; readonly rounds: number }
  | { readonly what: "hear"; readonly node: number; readonly other: number }
  | { readonly what: "tick"; readonly milliseconds: number; readonly shaky: boolean };

const node = fc.nat(2);
const crash = fc.constantFrom<(Crash | undefined)[]>(undefined, undefined, "after the keys", "after the record");
const events = fc.array(
  fc.oneof(
    { weight: 1, arbitrary: fc.record({ what: fc.constantFrom("ask" as const, "restart" as const), node }) },
    { weight: 6, arbitrary: fc.record({ what: fc.constant("step" as const), node, crash }) },
    {
      weight: 2,
      arbitrary: fc.record({ what: fc.constant("alone" as const), node, rounds: fc.integer({ min: 1, max: 20 }) }),
    },
    { weight: 4, arbitrary: fc.record({ what: fc.constant("hear" as const), node, other: node }) },
    {
      weight: 6,
      arbitrary: fc.record({
        what: fc.constant("tick" as const),
        milliseconds: fc.integer({ min: 1, max: 3000 }),
        shaky: fc.boolean(),
      }),
    },
  ),
  { minLength: 20, maxLength: 400 },
);

function run(mesh: RotatingMesh, event: Event): void {
  switch (event.what) {
    case "ask":
      mesh.at(event.node).asked = true;
      return;
    case "restart":
      mesh.restart(mesh.at(event.node));
      return;
    case "step":
      mesh.step(mesh.at(event.node), event.crash);
      return;
    case "alone":
      for (let round = 0; round < event.rounds; round += 1) {
        for (const other of mesh.nodes) mesh.hear(mesh.at(event.node), other);
        mesh.step(mesh.at(event.node));
        mesh.tick(300);
      }
      return;
    case "hear":
      mesh.hear(mesh.at(event.node), mesh.at(event.other));
      return;
    case "tick":
      mesh.tick(event.milliseconds, () => event.shaky);
  }
}

/** Rounds of 200 ms in which everybody hears everything: enough for three changes, one after the other. */
const ROUNDS = 600;

test("no packet is lost whatever happens when, and in the end all have the keys that they were asked for, on one device", () => {
  fc.assert(
    fc.property(events, (list) => {
      const mesh = new RotatingMesh(3);
      const before = mesh.nodes.map(({ key }) => publicKey(key));
      const asked = mesh.nodes.map(() => false);
      for (const event of list) {
        run(mesh, event);
        if (event.what === "ask") asked[event.node] = true;
        expect(mesh.lost).toEqual([]);
      }
      for (let round = 0; round < ROUNDS && !isAtRest(mesh); round += 1) mesh.everybody();
      expect(mesh.lost).toEqual([]);
      expect(isAtRest(mesh)).toBe(true);
      for (const [index, one] of mesh.nodes.entries()) {
        expect(publicKey(one.key) !== before[index]).toBe(asked[index]);
        for (const other of mesh.nodes) {
          if (other === one) continue;
          expect([...(one.devices.get("first")?.peers.keys() ?? [])]).toContain(publicKey(other.key));
          expect(one.devices.get("first")?.peers.get(publicKey(other.key))?.persistentKeepalive).toBe(0);
        }
      }
    }),
    { numRuns: 1000 },
  );
});

function isAtRest(mesh: RotatingMesh): boolean {
  return mesh.nodes.every(({ asked, next, devices }) => !asked && next === undefined && devices.size === 1);
}
