import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { NodeRecord } from "../../../src/registry/node-record.ts";
import type { Registry, RegistryState } from "../../../src/registry/registry.ts";
import { namesOf, nodeName, record, stateWhere } from "./support.ts";

/** A store, as the suite needs it. */
export interface RegistryBed extends AsyncDisposable {
  /** Another agent's: of its own, on the same store. */
  open(): Promise<Registry>;
  /** Makes of a node's record what cannot be read as one. */
  damage(name: string): Promise<void>;
}

/** What every registry does, whatever it keeps its records in. */
export function registrySuite(title: string, makeBed: () => Promise<RegistryBed>): void {
  describe(`${title}: a registry`, () => {
    let bed: RegistryBed;
    let one: Registry;
    let other: Registry;
    let over: AbortController;

    beforeEach(async () => {
      bed = await makeBed();
      one = await bed.open();
      other = await bed.open();
      over = new AbortController();
    });

    afterEach(async () => {
      over.abort();
      await one[Symbol.asyncDispose]();
      await other[Symbol.asyncDispose]();
      await bed[Symbol.asyncDispose]();
    });

    /** The states that `registry` tells of; an error is one of the test. */
    function watched(registry: Registry): AsyncIterator<RegistryState> {
      const states = registry.watch(over.signal, (error) => {
        throw error;
      });
      return states[Symbol.asyncIterator]();
    }

    test("is empty before anybody publishes", async () => {
      expect(await one.list()).toMatchObject({ nodes: [], refusals: [] });
    });

    test("shows others what a node publishes, whole", async () => {
      const full = record(1, {
        generation: 7,
        underlay: { private: ["10.9.0.1", "fd00:9::1"], public: ["192.0.2.1", "n1.example.org"] },
        since: "2026-11-21T12:00:00.000Z",
        drivers: ["ipsec", "wireguard"],
        ipsec: { identity: "n1@example.org" },
        site: "paris",
        gateway: true,
        keepalive: 25,
        mtu: 1400,
        labels: { zone: "eu west", rack: "012" },
      });
      expect(await one.publish(full)).toEqual(full);
      expect((await other.list()).nodes).toEqual([full]);
    });

    test("lists nodes in the order of their names", async () => {
      for (const number of [3, 1, 2]) await one.publish(record(number));
      expect(namesOf(await other.list())).toEqual([nodeName(1), nodeName(2), nodeName(3)]);
    });

    test("counts the changes of a record, and writes nothing when there is none", async () => {
      const first = await one.publish(record(1));
      expect(first.generation).toBe(1);
      const { version } = await other.list();
      expect(await one.publish(record(1))).toEqual(first);
      expect((await other.list()).version).toBe(version);
      const second = await one.publish({ ...first, keepalive: 25 });
      expect(second).toEqual({ ...first, keepalive: 25, generation: 2 });
      const after = await other.list();
      expect(after.version).not.toBe(version);
      expect(after.nodes).toEqual([second]);
      expect((await one.publish(record(1))).generation).toBe(3);
    });

    test("goes on counting when another agent of the node publishes", async () => {
      await one.publish(record(1));
      expect((await other.publish(record(1, { mtu: 1400 }))).generation).toBe(2);
    });

    test("forgets a node that is withdrawn, and minds no node that is not there", async () => {
      await one.publish(record(1));
      await one.publish(record(2));
      await other.list();
      await one.withdraw(nodeName(1));
      await one.withdraw(nodeName(1));
      expect(namesOf(await other.list())).toEqual([nodeName(2)]);
      expect(namesOf(await one.list())).toEqual([nodeName(2)]);
    });

    test("tells a watcher of the state at once, and of each change, until its signal", async () => {
      await one.publish(record(1));
      const states = watched(other);
      const { value: first } = await states.next();
      expect(namesOf(first)).toEqual([nodeName(1)]);
      await one.publish(record(2));
      const joined = await stateWhere(states, ({ nodes }) => nodes.length === 2);
      expect(joined.version).not.toBe(first.version);
      await one.publish(record(2, { keepalive: 25 }));
      await stateWhere(states, ({ nodes }) => nodes[1]?.keepalive === 25);
      await one.withdraw(nodeName(1));
      await stateWhere(states, ({ nodes }) => nodes.length === 1);
      const last = states.next();
      over.abort();
      expect(await last).toEqual({ done: true, value: undefined });
    });

    test("tells a watcher nothing when nothing changed", async () => {
      await one.publish(record(1));
      const states = watched(other);
      const seen: RegistryState[] = [(await states.next()).value];
      await one.publish(record(1));
      await one.publish(record(2));
      for (; seen.at(-1)?.nodes.length !== 2; ) seen.push((await states.next()).value);
      expect(seen).toHaveLength(2);
    });

    test("leaves nothing out when many publish at once, however slow the watcher is", async () => {
      const states = watched(other);
      await states.next();
      const numbers = Array.from({ length: 30 }, (_, index) => index);
      await Promise.all(numbers.map((number) => one.publish(record(number))));
      const all = await stateWhere(states, ({ nodes }) => nodes.length === numbers.length);
      expect(namesOf(all)).toEqual(numbers.map(nodeName));
    });

    test("ends its watchers when it is disposed of", async () => {
      const states = watched(other);
      await states.next();
      const last = states.next();
      await other[Symbol.asyncDispose]();
      expect(await last).toEqual({ done: true, value: undefined });
    });

    test("refuses a damaged record alone, keeps its node as it was, and takes it again when it is mended", async () => {
      await one.publish(record(1));
      await one.publish(record(2));
      const states = watched(other);
      const { nodes } = (await states.next()).value;
      await bed.damage(nodeName(1));
      const damaged = await stateWhere(states, ({ refusals }) => refusals.length > 0);
      expect(damaged.nodes).toEqual(nodes);
      expect(damaged.refusals[0]).toMatchObject({ name: nodeName(1), kept: true });
      const { where, what, remedy } = damaged.refusals[0] ?? {};
      expect(where).toContain(nodeName(1));
      expect(what).not.toBe("");
      expect(remedy).not.toBe("");
      await one.publish(record(3));
      const joined = await stateWhere(states, (state) => state.nodes.length === 3);
      expect(joined.refusals).toEqual(damaged.refusals);
      await one.publish(record(1, { keepalive: 25 }));
      const mended = await stateWhere(states, ({ refusals }) => refusals.length === 0);
      expect(mended.nodes[0]).toMatchObject({ name: nodeName(1), keepalive: 25 });
    });

    test("has no node of which it never saw more than damage", async () => {
      await one.publish(record(1));
      await one.publish(record(2));
      await bed.damage(nodeName(1));
      const state = await other.list();
      expect(namesOf(state)).toEqual([nodeName(2)]);
      expect(state.refusals).toMatchObject([{ name: nodeName(1), kept: false }]);
    });

    test("forgets a damaged node when its record is withdrawn", async () => {
      await one.publish(record(1));
      await one.publish(record(2));
      await other.list();
      await bed.damage(nodeName(1));
      expect(namesOf(await other.list())).toHaveLength(2);
      await one.withdraw(nodeName(1));
      expect(await other.list()).toMatchObject({ nodes: [{ name: nodeName(2) }], refusals: [] });
    });

    test("refuses the one of two that comes later with the same, until the other has gone", async () => {
      const mine: NodeRecord = record(2);
      await one.publish(mine);
      const states = watched(other);
      await states.next();
      await one.publish(record(1, { podPrefixes: ["10.100.2.128/25"] }));
      const both = await stateWhere(states, ({ refusals }) => refusals.length > 0);
      expect(namesOf(both)).toEqual([nodeName(2)]);
      expect(both.refusals).toMatchObject([{ name: nodeName(1), kept: false, record: { name: nodeName(1) } }]);
      expect(both.refusals[0]?.what).toContain(nodeName(2));
      await one.withdraw(nodeName(2));
      const after = await stateWhere(states, ({ refusals }) => refusals.length === 0);
      expect(namesOf(after)).toEqual([nodeName(1)]);
    });

    test("keeps a node as it was when its new record contradicts another", async () => {
      await one.publish(record(1));
      const before = await one.publish(record(2));
      await other.list();
      await one.publish(record(2, { podPrefixes: ["10.100.1.0/24"], keepalive: 25 }));
      const state = await other.list();
      expect(state.nodes[1]).toEqual(before);
      expect(state.refusals).toMatchObject([{ name: nodeName(2), kept: true }]);
    });
  });
}
