import { describe, expect, test } from "vitest";
import { deviceMtu } from "../../../../src/agent/wireguard/device-mtu.ts";
import { forwardingNeeds } from "../../../../src/agent/wireguard/forward.ts";
import { tunnelOf } from "../../../../src/agent/wireguard/observe.ts";
import { plannedRecord } from "../../../../src/agent/wireguard/own-record.ts";
import { routesBySlot } from "../../../../src/agent/wireguard/peer-routes.ts";
import { Quiet } from "../../../../src/agent/wireguard/quiet.ts";
import { peerChanges, peerNames } from "../../../../src/agent/wireguard/report.ts";
import type { SlotPeer } from "../../../../src/agent/wireguard/slot-plan.ts";
import { secondEndpoint, secondName } from "../../../../src/agent/wireguard/slots.ts";
import type { PlannedPeer } from "../../../../src/mesh/mesh-plan.ts";
import { parseAddress } from "../../../../src/net/address.ts";
import type { Route } from "../../../../src/netlink/routes.ts";
import { PROTOCOL_MESH } from "../../../../src/node/plan.ts";
import type { Underlay } from "../../../../src/node/underlay.ts";
import { deviceState, endpoint, peerState, prefix, privateKey, publicKey } from "./support.ts";

const slotPeer = (name: string, key: number, more: Partial<SlotPeer> = {}): SlotPeer => ({
  name,
  publicKey: publicKey(key),
  port: 51_820,
  prefixes: [],
  persistentKeepalive: 0,
  ...more,
});

describe("the second device", () => {
  test.each([
    ["podvpn0", "podvpn1"],
    ["wg9", "wg10"],
    ["mesh", "mesh1"],
    ["a-name-of-15-len", "a-name-of-15-l1"],
    ["abcdefghijklmn9", "abcdefghijklm10"],
    ["wg00000000", "wg00001"],
  ])("of %s is %s: another name, of 15 bytes at most", (first, second) => {
    expect(secondName(first)).toBe(second);
    expect(second).not.toBe(first);
    expect(second.length).toBeLessThanOrEqual(15);
  });

  test("of a peer is at the next port of its record, wherever the NAT before it has put the first one", () => {
    expect(secondEndpoint(endpoint("192.0.2.1", 40_000), 51_820)).toEqual(endpoint("192.0.2.1", 51_821));
    expect(secondEndpoint(undefined, 51_820)).toBeUndefined();
  });
});

describe("how long nothing has come", () => {
  const state = (bytes: number) => deviceState(privateKey(1), [peerState(publicKey(2), [], { receivedBytes: bytes })]);

  test("is the time between looks at the same counter, and not the time since", () => {
    const quiet = new Quiet();
    quiet.note(state(100), 1000);
    expect(quiet.of(publicKey(2))).toBe(0);
    quiet.note(state(100), 4000);
    expect(quiet.of(publicKey(2))).toBe(3000);
    quiet.note(state(132), 5000);
    expect(quiet.of(publicKey(2))).toBe(0);
    quiet.note(undefined, 9000);
    expect(quiet.of(publicKey(2))).toBe(0);
  });

  test("is not ended by as many bytes as do not count", () => {
    const quiet = new Quiet(32);
    quiet.note(state(100), 0);
    quiet.note(state(132), 1000);
    quiet.note(state(164), 2000);
    expect(quiet.of(publicKey(2))).toBe(2000);
    quiet.note(state(228), 3000);
    expect(quiet.of(publicKey(2))).toBe(0);
    quiet.note(state(0), 4000); // a device that was made anew
    expect(quiet.of(publicKey(2))).toBe(0);
  });
});

describe("what became of the peers", () => {
  const before = deviceState(privateKey(1), [peerState(publicKey(2), []), peerState(publicKey(4), [])]);
  const wanted = [slotPeer("n2", 12), slotPeer("n3", 3)];
  const names = peerNames(wanted, { [publicKey(2)]: "n2", [publicKey(4)]: "n4" }, [before]);

  test("is told by their names; one with another key is the same one", () => {
    const written = {
      keys: new Set([publicKey(2), publicKey(12), publicKey(3), publicKey(4)]),
      names: new Set<string>(),
    };
    const changes = peerChanges(names, wanted, [before, undefined], written);
    expect(changes).toEqual({ made: ["n3"], altered: ["n2"], removed: ["n4"] });
  });

  test("is nothing, when nothing was written", () => {
    const same = [slotPeer("n2", 2), slotPeer("n4", 4)];
    const nothing = { keys: new Set<never>(), names: new Set<never>() };
    expect(peerChanges(names, same, [before], nothing)).toEqual({ made: [], altered: [], removed: [] });
    const routed = { keys: new Set<never>(), names: new Set(["n4"]) };
    expect(peerChanges(names, same, [before], routed).altered).toEqual(["n4"]);
  });

  test("of a stranger tells the beginning of its key", () => {
    const written = { keys: new Set([publicKey(9)]), names: new Set<string>() };
    const state = deviceState(privateKey(1), [peerState(publicKey(9), [])]);
    expect(peerChanges(new Map(), [], [state], written).removed[0]).toMatch(/^a peer with the key .{8}…$/);
  });
});

describe("a tunnel as it is observed", () => {
  const device = { device: "podvpn0", mtu: 1420 };
  const first = peerState(publicKey(2), [], {
    endpoint: endpoint("192.0.2.2", 51_820),
    latestHandshake: 1000,
    receivedBytes: 10,
    sentBytes: 1,
  });
  const second = peerState(publicKey(12), [], {
    endpoint: endpoint("192.0.2.2", 51_821),
    latestHandshake: 2000,
    receivedBytes: 20,
    sentBytes: 2,
  });

  test("is one, while it has a session on each device: at the endpoint of the first", () => {
    expect(
      tunnelOf(
        "n2",
        [
          { slot: "first", entry: first },
          { slot: "second", entry: second },
        ],
        device,
      ),
    ).toEqual({
      name: "n2",
      device: "podvpn1",
      endpoint: endpoint("192.0.2.2", 51_820),
      established: 2000,
      receivedBytes: 30,
      sentBytes: 3,
      mtu: 1420,
    });
  });

  test("that is on the second device alone is at the port of the first one", () => {
    const tunnel = tunnelOf("n2", [{ slot: "second", entry: second }], device);
    expect(tunnel.endpoint).toEqual(endpoint("192.0.2.2", 51_820));
  });

  test("without a handshake was never established", () => {
    const tunnel = tunnelOf("n2", [{ slot: "first", entry: peerState(publicKey(2), []) }], device);
    expect(tunnel).not.toHaveProperty("established");
    expect(tunnel.device).toBe("podvpn0");
  });
});

describe("the record of the device", () => {
  const wish = {
    interface: "podvpn0",
    otherDevices: [],
    fwmark: 0,
    wanted: { podPrefixes: [prefix("10.1.1.0/24")], addresses: [endpoint("10.1.1.1", 1).address] },
    fitting: { peers: [slotPeer("n2", 2)], guarded: [prefix("10.1.2.0/24")] },
  };

  test("is the agent's, and no failing ADD takes the device away", () => {
    expect(plannedRecord(wish, undefined)).toMatchObject({
      network: "podvpn agent",
      complete: true,
      removeWithLastPod: false,
      addresses: [{ address: "10.1.1.1", prefixLength: 32 }],
      peerNames: { [publicKey(2)]: "n2" },
    });
  });

  test("keeps what only the node knows, and gives up subnets of pods that are another node's by now", () => {
    const before = {
      ...plannedRecord(wish, undefined),
      sysctls: [{ key: "a", before: "0", after: "1" }],
      podSubnets: ["10.1.1.0/24", "10.1.2.0/24", "10.7.0.0/24"].map(prefix),
      peerNames: { [publicKey(9)]: "n9" },
      mtu: 1300,
    };
    const record = plannedRecord(wish, before);
    expect(record.sysctls).toBe(before.sysctls);
    expect(record.podSubnets).toEqual(["10.1.1.0/24", "10.7.0.0/24"]);
    expect(Object.values(record.peerNames).sort()).toEqual(["n2", "n9"]);
    expect(record).not.toHaveProperty("mtu");
  });

  test("guards what the plan says, and no more: what was guarded before may be another driver's now", () => {
    const before = { ...plannedRecord(wish, undefined), guarded: [prefix("10.1.0.0/16")] };
    expect(plannedRecord(wish, before).guarded).toEqual(["10.1.2.0/24"]);
  });
});

const link = (index: number, name: string, mtu = 1500) => ({ index, name, mtu, up: true, address: "" });
const route = (dst: string, oif: number, more: Partial<Route> = {}): Route => ({
  dst: prefix(dst),
  type: "unicast",
  table: 254,
  scope: "link",
  oif,
  protocol: PROTOCOL_MESH,
  ...more,
});

describe("the routes of the mesh", () => {
  const routes = [
    route("10.1.2.0/24", 5),
    route("10.1.3.0/24", 6),
    route("10.1.4.0/24", 5, { type: "unreachable" }),
    route("10.1.5.0/24", 5, { protocol: 3 }),
    route("10.1.6.0/24", 7),
    route("10.1.7.0/24", 6, { table: 99 }),
  ];

  test("are told by the device that they lead into, in the table of the mesh", () => {
    expect([...routesBySlot({ routes }, { first: 5, second: 6 })]).toEqual([
      ["10.1.2.0/24", "first"],
      ["10.1.3.0/24", "second"],
    ]);
    expect([...routesBySlot({ routes }, { first: 5, second: 6 }, 99)]).toEqual([["10.1.7.0/24", "second"]]);
    expect([...routesBySlot({ routes }, {})]).toEqual([]);
  });
});

const planned: PlannedPeer = {
  name: "n2",
  driver: "wireguard",
  candidates: [],
  prefixes: [],
  localPrefixes: [prefix("10.1.1.0/24"), prefix("10.1.9.0/24")],
  probes: [],
  initiates: true,
  keepalive: 0,
};

describe("the MTU of the devices", () => {
  const underlay: Underlay = {
    links: [link(2, "eth0", 1500), link(3, "eth1", 9000)],
    subnets: [],
    routes: [route("0.0.0.0/0", 2, { protocol: 3 }), route("192.0.2.0/24", 3, { protocol: 3 })],
  };
  const wanted = { tunnels: [{ peer: planned }], guarded: [], podPrefixes: [], addresses: [] };
  const fitting = { peers: [slotPeer("n2", 2, { endpoint: endpoint("192.0.2.2", 51_820) })], guarded: [] };

  test("is what fits the way to the peers, or what the peers say of theirs", () => {
    expect(deviceMtu(wanted, fitting, underlay, "podvpn0")).toEqual({ mtu: 8920 });
    const narrow = { ...wanted, tunnels: [{ peer: { ...planned, mtu: 1400 } }] };
    expect(deviceMtu(narrow, fitting, underlay, "podvpn0")).toEqual({ mtu: 1320 });
    expect(deviceMtu({ ...wanted, mtu: 1450 }, fitting, underlay, "podvpn0")).toEqual({ mtu: 1370 });
  });

  test("is never too small for IPv6 because of one node, and that is told", () => {
    const narrow = { ...wanted, tunnels: [{ peer: { ...planned, mtu: 1300 } }] };
    expect(deviceMtu(narrow, fitting, underlay, "podvpn0")).toEqual({ mtu: 1220 });
    const { mtu, obstacle } = deviceMtu(narrow, { ...fitting, guarded: [prefix("fd00:1::/32")] }, underlay, "podvpn0");
    expect(mtu).toBe(1280);
    expect(obstacle).toMatch(/leaves 1220 bytes .* at least 1360$/);
  });
});

describe("what is forwarded", () => {
  const on = (dev: string, address: string, on_: string) => {
    const parsed = parseAddress(address);
    if (parsed === undefined) throw new TypeError(address);
    return { dev, address: parsed, prefix: prefix(on_) };
  };

  test("is between the devices and the links of the pods, whoever made these, and what a gateway carries", () => {
    const subnets = [
      on("eth0", "10.9.0.1", "10.9.0.0/24"),
      on("br-prd", "10.1.1.1", "10.1.1.0/24"),
      on("br-prd", "10.1.1.2", "10.1.1.0/24"),
      on("podvpn0", "10.1.1.1", "10.1.1.1/32"),
    ];
    const wanted = { podPrefixes: [prefix("10.1.1.0/24")], tunnels: [{ peer: planned }, { peer: planned }] };
    expect(forwardingNeeds(wanted, { subnets }, ["podvpn0"], ["podvpn0", "podvpn1"])).toEqual({
      devices: ["podvpn0"],
      podInterfaces: ["br-prd"],
      subnets: ["10.1.1.0/24", "10.1.9.0/24"],
    });
  });
});
