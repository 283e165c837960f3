import type { ChildSa } from "vici";
import { describe, expect, test } from "vitest";
import { podGuard } from "../../../../src/attachment/guard.ts";
import { podConnection } from "../../../../src/ipsec/connection.ts";
import { parseAddress } from "../../../../src/net/address.ts";
import { parsePrefix } from "../../../../src/net/prefix.ts";
import { waitingRoom } from "../../../../src/net/waiting-room.ts";
import { connectionOf } from "../../../../src/node/charon/connect.ts";
import { type SharedAttachment, tunnelName } from "../../../../src/node/charon/directory.ts";
import { orphansOf, pending, planRecovery, replaced } from "../../../../src/node/charon/recovery.ts";

function address(text: string) {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new TypeError(text);
  return parsed;
}

function prefix(text: string) {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new TypeError(text);
  return parsed;
}

const HUB = address("10.9.0.254");

function pod(containerID: string, ifId: number, virtualIPs: readonly string[] = ["10.173.0.1"]) {
  const record: SharedAttachment = {
    version: 1,
    type: "strongswan",
    phase: "ready",
    addedAt: 0,
    containerID,
    ifname: "eth0",
    network: "podnet",
    netns: `/run/netns/${containerID}`,
    masquerade: true,
    dataPlane: "kernel",
    virtualSubnets: [prefix("10.173.0.0/16")],
    excluded: [],
    virtualIPs: virtualIPs.map(address),
    hostRoutes: [],
    rulePriority: 220,
    identity: `${containerID}.eth0@node`,
    shared: {
      ifId,
      device: "ipsec0",
      mtu: 1438,
      servers: [HUB],
      proposals: ["aes128gcm16-prfsha256-x25519"],
      espProposals: ["aes128gcm16-x25519"],
      dpdDelay: 5,
    },
  };
  return { record };
}

function sa(of: { readonly record: SharedAttachment }, state = "ESTABLISHED", child = "INSTALLED", ip = "10.173.0.1") {
  const childSas = [{ name: "net", state: child } as ChildSa]; // of a CHILD_SA only these matter
  return { name: tunnelName(of.record), state, childSas, localVips: [ip] };
}

const [a, b, c] = [pod("a", 1), pod("b", 2), pod("c", 3)];
const names = (...pods: readonly { readonly record: SharedAttachment }[]) =>
  pods.map(({ record }) => tunnelName(record));

describe("a charon and the records are brought together", () => {
  test("a new charon is asked for every tunnel that was", () => {
    expect(planRecovery([a, b], { connections: [], sas: [] })).toEqual({ unload: [], connect: [a, b] });
  });

  test("what is up, or on its way, is left alone", () => {
    const held = { connections: names(a, b), sas: [sa(a), sa(b, "CONNECTING", "CREATED")] };
    expect(planRecovery([a, b], held)).toEqual({ unload: [], connect: [] });
  });

  test("a connection without an SA, or with one that is going, is asked for again", () => {
    const held = { connections: names(a, b, c), sas: [sa(b, "DELETING"), sa(c)] };
    expect(planRecovery([a, b, c], held).connect).toEqual([a, b]);
  });

  test("a tunnel that is up without its connection would not be rekeyed: it is asked for again", () => {
    expect(planRecovery([a], { connections: [], sas: [sa(a)] }).connect).toEqual([a]);
  });

  test("a pod that is being added is its own ADD's business", () => {
    expect(planRecovery([pod("new", 9, [])], { connections: [], sas: [] }).connect).toEqual([]);
  });

  test("connections of pods that are gone are unloaded, and those of others are not", () => {
    const held = { connections: [...names(a, b), "operators-own"], sas: [sa(a)] };
    expect(planRecovery([a], held).unload).toEqual(names(b));
  });

  test("a pod waits until its child is installed", () => {
    const sas = [sa(a), sa(b, "ESTABLISHED", "INSTALLING")];
    expect(pending([a, b, c, pod("new", 9, [])], { sas })).toEqual([b, c]);
  });

  test("and until the hub has found out that its tunnel of before is dead", () => {
    const [first] = waitingRoom(4).split("/");
    expect(pending([a], { sas: [sa(a, "ESTABLISHED", "INSTALLED", first)] })).toEqual([a]);
  });
});

describe("what a dead charon left in the kernel", () => {
  const state = (spi: number, ifId?: number) => ({
    spi,
    src: address("10.9.0.1"),
    dst: HUB,
    protocol: 50,
    reqid: 1,
    ...(ifId === undefined ? {} : { ifId }),
  });

  test("is what has the number of a pod: nothing of other programs", () => {
    expect(orphansOf([state(10, 1), state(11, 7), state(12)], [a, b])).toEqual([
      { spi: 10, dst: HUB, protocol: 50, ifId: 1 },
    ]);
  });

  test("goes only with a new tunnel in its place: until then it carries the pod's traffic", () => {
    const orphans = orphansOf([state(10, 1), state(20, 2)], [a, b]);
    expect(replaced(orphans, [b]).map(({ spi }) => spi)).toEqual([10]);
    expect(replaced(orphans, []).map(({ spi }) => spi)).toEqual([10, 20]);
    expect(replaced(orphans, [a, b])).toEqual([]);
  });
});

describe("a pod's connection in the node's charon", () => {
  test("has the number of its interface both ways, and is ESP as it is", () => {
    const section = podConnection({ ...connectionOf(a.record, false), server: HUB });
    expect(section).toMatchObject({ if_id_in: "1", if_id_out: "1", encap: "no", unique: "replace" });
  });

  test("asked for again does not make the hub drop the tunnel that still carries traffic", () => {
    expect(podConnection({ ...connectionOf(a.record, true), server: HUB })).toMatchObject({ unique: "never" });
  });

  test("has a name of its own for each interface of each container", () => {
    const others = [{ containerID: "a", ifname: "eth1" }, { containerID: "b", ifname: "eth0" }, a.record];
    expect(new Set(others.map(tunnelName)).size).toBe(3);
  });
});

test("the guard of such a pod lets pass what its own XFRM interface carries, and needs no XFRM policy", () => {
  const { tables, policies, rules } = podGuard({ ...a.record, shared: { ...a.record.shared, device: "ipsec1" } });
  expect(policies).toEqual([]);
  expect(rules).toMatchObject([{ priority: 221, dst: "10.173.0.0/16", action: "blackhole" }]);
  const devices = tables[0]?.chains.flatMap(({ rules: filters }) => filters.map(({ matches }) => matches[1]));
  expect(devices).toEqual([
    { device: "iifname", isNot: "ipsec1" },
    { device: "oifname", isNot: "ipsec1" },
  ]);
});
