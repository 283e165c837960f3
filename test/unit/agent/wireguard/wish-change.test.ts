import { describe, expect, test } from "vitest";
import type { WantedTunnel, WantedTunnels } from "../../../../src/agent/driver.ts";
import type { DeviceOptions } from "../../../../src/agent/wireguard/apply.ts";
import { fittingTunnels, type MeshFacts } from "../../../../src/agent/wireguard/fitting.ts";
import { type Known, wishChange } from "../../../../src/agent/wireguard/wish-change.ts";
import { diff, isEmpty } from "../../../../src/wireguard/diff.ts";
import { address, endpoint, key, peer, prefix } from "../support.ts";
import { privateKey } from "./support.ts";

const OPTIONS: DeviceOptions = {
  interface: "podvpn0",
  port: 51_820,
  dataplane: "auto",
  privateKey: privateKey(1),
  fwmark: 0,
};
const FACTS: MeshFacts = { ownPublicKey: key(99), addresses: [], meshes: [], routes: [] };
const LINK = { index: 2, name: "eth0", mtu: 1500, up: true };

function tunnel(index: number, overrides: Parameters<typeof peer>[1] = {}, more: Partial<WantedTunnel> = {}) {
  return { peer: peer(index, overrides), endpoint: endpoint(`10.9.0.${index}:51820`), ...more };
}

function wanted(tunnels: readonly WantedTunnel[], overrides: Partial<WantedTunnels> = {}): WantedTunnels {
  const [own, network] = [prefix("10.101.1.0/24"), prefix("10.101.0.0/16")];
  return { tunnels, guarded: [network], podPrefixes: [own], addresses: [address("10.101.1.1")], ...overrides };
}

function known(before: WantedTunnels): Known {
  const { peers } = fittingTunnels(before, FACTS);
  return {
    options: OPTIONS,
    facts: FACTS,
    observed: { links: [LINK as never], subnets: [], routes: [], rules: [] },
    dataPlane: "userspace",
    index: 7,
    mtu: 1420,
    wanted: before,
    tunnels: new Map(before.tunnels.map((one) => [one.peer.name, one])),
    peers: new Map(peers.map((one) => [one.name, one])),
  };
}

const BEFORE = wanted([tunnel(2), tunnel(3), tunnel(4)]);

describe("what is wanted otherwise", () => {
  test("is nothing when the same is wanted, by whatever objects", () => {
    const change = wishChange(known(BEFORE), wanted([tunnel(2), tunnel(3), tunnel(4)]), OPTIONS);
    expect(change?.keys.size).toBe(0);
  });

  test("is of those alone that come, change and go", () => {
    const more = [prefix("10.101.3.0/24"), prefix("10.101.33.0/24")];
    const change = wishChange(known(BEFORE), wanted([tunnel(2), tunnel(3, { prefixes: more }), tunnel(5)]), OPTIONS);
    expect(change).toMatchObject({
      made: ["n5"],
      kept: [{ name: "n3", isRouted: true }],
      removed: ["n4"],
      looks: false,
      routes: { add: ["10.101.33.0/24", "10.101.5.0/24"], remove: ["10.101.4.0/24"] },
    });
    expect([...(change?.keys ?? [])].sort()).toEqual([key(3), key(4), key(5)].sort());
    expect([...(change?.next.peers.keys() ?? [])]).toEqual(["n2", "n3", "n5"]);
  });

  test("moves no route of a prefix that goes from one peer to another", () => {
    const [two, three] = [[prefix("10.101.3.0/24")], [prefix("10.101.2.0/24")]];
    const after = wanted([tunnel(2, { prefixes: two }), tunnel(3, { prefixes: three }), tunnel(4)]);
    expect(wishChange(known(BEFORE), after, OPTIONS)?.routes).toEqual({ add: [], remove: [] });
  });

  test("is to be written where what is known says so, and looks at sessions for the sake of an address", () => {
    const elsewhere = { endpoint: endpoint("10.9.0.77:51820") };
    const change = wishChange(known(BEFORE), wanted([tunnel(2, {}, elsewhere), tunnel(3), tunnel(4)]), OPTIONS);
    if (change === undefined) throw new Error("no change");
    expect(change.looks).toBe(true);
    const toWrite = diff(change.settings, change.expected, { now: 0, dummy: () => key(98), lost: change.lost });
    expect(toWrite.peers).toMatchObject([{ publicKey: key(2), endpoint: elsewhere.endpoint, addAllowedIPs: [] }]);
    const done = {
      ...change.expected,
      peers: change.settings.peers.map((one) => ({ ...one, receivedBytes: 0, sentBytes: 0 })),
    };
    expect(isEmpty(diff(change.settings, done, { now: 0, dummy: () => key(98) }))).toBe(true);
  });

  test("is compared from then on with what was wanted last", () => {
    const after = wanted([tunnel(2), tunnel(3)]);
    const next = wishChange(known(BEFORE), after, OPTIONS)?.next;
    if (next === undefined) throw new Error("no change");
    expect(wishChange(next, after, OPTIONS)?.keys.size).toBe(0);
    expect(wishChange(next, BEFORE, OPTIONS)?.made).toEqual(["n4"]);
  });
});

describe("all has to be read", () => {
  const [two, ...others] = BEFORE.tunnels;
  if (two === undefined) throw new TypeError("no tunnel");
  const next = { wireguard: { publicKey: key(2), port: 51_820, nextPublicKey: key(22) } };

  test.each<[string, WantedTunnels, Partial<DeviceOptions>?]>([
    ["something else is guarded", wanted(BEFORE.tunnels, { guarded: [prefix("10.101.0.0/17")] })],
    ["the node has other pods", wanted(BEFORE.tunnels, { podPrefixes: [prefix("10.101.11.0/24")] })],
    ["it has other addresses", wanted(BEFORE.tunnels, { addresses: [] })],
    ["the underlay's MTU is given otherwise", wanted(BEFORE.tunnels, { mtu: 1400 })],
    ["a peer's key changes", wanted([tunnel(2, next), ...others])],
    [
      "a peer has another key all at once",
      wanted([tunnel(2, { wireguard: { publicKey: key(22), port: 51_820 } }), ...others]),
    ],
    ["this node's key changes", BEFORE, { nextPrivateKey: privateKey(2) }],
    ["this node has another key", BEFORE, { privateKey: privateKey(3) }],
    ["a peer has less room than the device's packets", wanted([tunnel(2, { mtu: 1400 }), ...others])],
    ["a peer gets what others get not", wanted([tunnel(2, { localPrefixes: [prefix("10.101.9.0/24")] }), ...others])],
    ["an address cannot be one", wanted([{ ...two, endpoint: endpoint("10.101.9.9:51820") }, ...others])],
    ["many change at once", wanted(Array.from({ length: 60 }, (_, index) => tunnel(index + 2)))],
  ])("when %s", (_when, after, options = {}) => {
    expect(wishChange(known(BEFORE), after, { ...OPTIONS, ...options })).toBeUndefined();
  });
});
