import { describe, expect, test } from "vitest";
import type { KeyChange } from "../../../../src/agent/driver.ts";
import {
  HELD_BACK,
  nextStep,
  PATIENCE,
  PATIENCE_WITHOUT_TUNNEL,
  type RotationInput,
} from "../../../../src/agent/wireguard/rotation.ts";
import type { NodeRecord } from "../../../../src/registry/node-record.ts";
import { publicKey } from "./support.ts";

function node(name: string, changes = false): NodeRecord {
  return {
    name,
    generation: 1,
    underlay: { private: [], public: [] },
    podPrefixes: [],
    addresses: [],
    drivers: ["wireguard"],
    wireguard: { publicKey: publicKey(1), port: 51_820, ...(changes && { nextPublicKey: publicKey(2) }) },
    gateway: false,
    keepalive: 0,
    labels: {},
  };
}

const REST: KeyChange = { atRest: true, peers: [] };
const input: RotationInput = {
  name: "n2",
  asked: true,
  hasNext: false,
  waited: 0,
  nodes: [node("n1"), node("n2"), node("n3")],
  changes: [REST],
};
const changing: RotationInput = { ...input, hasNext: true, nodes: [node("n1"), node("n2", true), node("n3")] };
const peers = (...all: readonly (readonly [string, boolean, boolean])[]): KeyChange[] => [
  { atRest: false, peers: all.map(([name, hasTunnel, hasMoved]) => ({ name, hasTunnel, hasMoved })) },
];

describe("a change begins", () => {
  test("when it is asked for, and not before", () => {
    expect(nextStep(input)).toEqual({ do: "begin" });
    expect(nextStep({ ...input, asked: false })).toEqual({ do: "nothing" });
  });

  test("when no other node changes its keys", () => {
    const nodes = [node("n1"), node("n2"), node("n3", true)];
    expect(nextStep({ ...input, nodes })).toEqual({ do: "wait", for: "n3, which changes its keys" });
  });

  test("when nothing is left of one before", () => {
    expect(nextStep({ ...input, changes: [REST, { atRest: false, peers: [] }] })).toMatchObject({ do: "wait" });
  });

  test("when the registry has this node, and its drivers have looked at their devices", () => {
    expect(nextStep({ ...input, nodes: [node("n1")] })).toMatchObject({ do: "wait" });
    expect(nextStep({ ...input, changes: [REST, undefined] })).toMatchObject({ do: "wait" });
  });
});

describe("a change that has begun", () => {
  test("goes on without being asked for: it was, before the agent was started anew", () => {
    const changes = peers(["n1", true, true], ["n3", true, true]);
    expect(nextStep({ ...changing, asked: false, changes })).toEqual({ do: "promote" });
  });

  test("never ends before the devices were looked at", () => {
    for (const changes of [[undefined], []]) expect(nextStep({ ...changing, changes })).toMatchObject({ do: "wait" });
  });

  test("waits for the registry to have the next key", () => {
    const changes = peers(["n1", true, true]);
    expect(nextStep({ ...changing, nodes: input.nodes, changes })).toMatchObject({ do: "wait" });
  });

  test("is held back until others that have begun at the same time are heard of", () => {
    const held = { ...changing, isHeldBack: true, changes: peers(["n1", true, true], ["n3", true, true]) };
    expect(nextStep({ ...held, waited: HELD_BACK - 1 })).toMatchObject({ do: "wait" });
    expect(nextStep({ ...held, waited: HELD_BACK })).toEqual({ do: "use" });
    const both = [node("n1", true), node("n2", true)];
    expect(nextStep({ ...held, waited: HELD_BACK, nodes: both })).toMatchObject({ do: "withdraw" });
  });

  test("waits for each peer with a tunnel, of all drivers", () => {
    const changes = [...peers(["n1", true, true]), ...peers(["n3", true, false])];
    expect(nextStep({ ...changing, changes })).toEqual({ do: "wait", for: "n3 to take the next key" });
    expect(nextStep({ ...changing, waited: PATIENCE - 1, changes })).toMatchObject({ do: "wait" });
  });

  test("is given up rather than to cut a peer off whose agent does not take part", () => {
    const step = nextStep({ ...changing, waited: PATIENCE, changes: peers(["n1", true, true], ["n3", true, false]) });
    expect(step).toMatchObject({ do: "withdraw", why: expect.stringContaining("n3 did not take the next key") });
  });

  test("waits a while for a peer without a tunnel, and no longer", () => {
    const changes = peers(["n1", true, true], ["n3", false, false]);
    expect(nextStep({ ...changing, waited: PATIENCE_WITHOUT_TUNNEL - 1, changes })).toMatchObject({ do: "wait" });
    expect(nextStep({ ...changing, waited: PATIENCE_WITHOUT_TUNNEL, changes })).toEqual({ do: "promote" });
  });

  test("of two at once the first by name goes on, when the other has given way", () => {
    const both = [node("n1", true), node("n2", true)];
    expect(nextStep({ ...changing, nodes: both })).toMatchObject({ do: "withdraw" });
    const changes = peers(["n2", true, false]);
    expect(nextStep({ ...changing, name: "n1", nodes: both, changes })).toMatchObject({ do: "wait" });
  });

  test("a node that is alone has nobody to wait for", () => {
    expect(nextStep({ ...changing, nodes: [node("n2", true)], changes: [REST] })).toEqual({ do: "promote" });
  });
});
