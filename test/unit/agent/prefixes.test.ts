import { describe, expect, test } from "vitest";
import { ownPrefixes, publishedRecord } from "../../../src/agent/own-prefixes.ts";
import { hasKeyOf, ownRecord } from "../../../src/agent/own-record.ts";
import { cniPrefixes } from "../../../src/agent/prefixes.ts";
import { config, record } from "./fakes.ts";
import { address, key, prefix } from "./support.ts";

const file = (value: unknown, name = "10-net.conflist") => ({
  name,
  text: typeof value === "string" ? value : JSON.stringify(value),
});
const hostLocal = (...subnets: string[]) => ({ type: "host-local", ranges: subnets.map((subnet) => [{ subnet }]) });

describe("the pod prefixes of a node's network configurations", () => {
  test("are the subnets of host-local, in a list or a single configuration, in either form", () => {
    const list = {
      name: "a",
      plugins: [{ type: "wireguard", ipam: hostLocal("10.101.1.0/24", "fd00:101:1::/64") }, { type: "portmap" }],
    };
    const single = { name: "b", type: "bridge", ipam: { type: "host-local", subnet: "10.102.1.0/24" } };
    expect(cniPrefixes([file(list), file(single, "20.conf")])).toEqual({
      prefixes: ["10.101.1.0/24", "fd00:101:1::/64", "10.102.1.0/24"],
      problems: [],
    });
  });

  test("are those of networks that leave tunnels to the agent alone, if there are any", () => {
    const agent = {
      name: "a",
      plugins: [{ type: "wireguard", wireguard: { agent: true }, ipam: hostLocal("10.101.1.0/24") }],
    };
    const other = { name: "b", type: "bridge", ipam: hostLocal("172.17.0.0/16") };
    expect(cniPrefixes([file(other), file(agent)]).prefixes).toEqual(["10.101.1.0/24"]);
  });

  test("have each address once", () => {
    const nets = ["10.101.1.0/24", "10.101.1.0/25", "10.101.1.0/24"].map((subnet, index) =>
      file({ name: `n${index}`, type: "bridge", ipam: hostLocal(subnet) }),
    );
    expect(cniPrefixes(nets).prefixes).toEqual(["10.101.1.0/24"]);
  });

  test("are none of a plugin without addresses, of another type, or of a subnet that is none", () => {
    const nets = [
      { name: "a", type: "bridge" },
      { name: "b", type: "macvlan", ipam: hostLocal("10.1.0.0/24") },
      { name: "c", type: "bridge", ipam: { type: "host-local", subnet: "usePodCidr", ranges: [[{}], "x", [[]]] } },
      { name: "d", type: "bridge", ipam: { type: "dhcp" } },
    ];
    expect(cniPrefixes(nets.map((net) => file(net)))).toEqual({ prefixes: [], problems: [] });
  });

  test("are read although another file is damaged, which is told", () => {
    const good = file({ name: "a", type: "bridge", ipam: hostLocal("10.101.1.0/24") });
    expect(cniPrefixes([file("{", "bad.conf"), good, file("[]", "list.json")])).toEqual({
      prefixes: ["10.101.1.0/24"],
      problems: ["bad.conf is no network configuration in JSON", "list.json is no network configuration in JSON"],
    });
  });
});

describe("the prefixes of this node", () => {
  const state = { version: "1", nodes: [record(2)], refusals: [] };
  const facts = { name: "n1", state, published: undefined, cni: [], now: 1000 };
  const NETWORK = config({ podPrefixes: undefined, network: "10.101.0.0/16" }).pods;

  test("are those that it was given, or its networks', without a time", () => {
    expect(ownPrefixes({ ...facts, source: { from: "given", prefixes: [prefix("10.5.0.0/24")] } })).toEqual({
      podPrefixes: ["10.5.0.0/24"],
    });
    expect(ownPrefixes({ ...facts, source: { from: "cni" }, cni: [prefix("10.6.0.0/24")] })).toEqual({
      podPrefixes: ["10.6.0.0/24"],
    });
    expect(() => ownPrefixes({ ...facts, source: { from: "cni" } })).toThrow("no pod prefixes");
  });

  test("are a share of the network that is nobody's, with the time when it was taken", () => {
    const first = ownPrefixes({ ...facts, source: NETWORK });
    expect(first).toEqual({ podPrefixes: [expect.stringMatching(/^10\.101\.\d+\.0\/24$/)], since: 1000 });
    const taken = { ...state, nodes: [record(2, { podPrefixes: first.podPrefixes })] };
    expect(ownPrefixes({ ...facts, state: taken, source: NETWORK }).podPrefixes).not.toEqual(first.podPrefixes);
  });

  test("stay, and so does their time", () => {
    const published = record(1, { podPrefixes: [prefix("10.101.77.0/24")], since: 500 });
    expect(ownPrefixes({ ...facts, published, source: NETWORK })).toEqual({
      podPrefixes: ["10.101.77.0/24"],
      since: 500,
    });
  });

  test("are found where the registry has them, also in a record that it refuses", () => {
    expect(publishedRecord("n2", state)).toEqual(record(2));
    expect(publishedRecord("n3", state)).toBeUndefined();
    const refusal = { where: "x", what: "x", remedy: "x", kept: false, record: record(3) };
    expect(publishedRecord("n3", { ...state, refusals: [refusal] })).toEqual(record(3));
  });
});

describe("what a node tells of itself", () => {
  const found = {
    keys: { wireguard: key(1) },
    underlay: [address("10.9.0.1"), address("8.8.8.8")],
    podPrefixes: [prefix("10.101.1.0/24")],
  };

  test("is its configuration and what was found out", () => {
    expect(
      ownRecord(config({ site: "a", gateway: true, keepalive: 25, mtu: 1400, labels: { rack: "7" } }), found),
    ).toEqual({
      name: "n1",
      generation: 0,
      underlay: { private: ["10.9.0.1", "8.8.8.8"], public: ["8.8.8.8"] },
      podPrefixes: ["10.101.1.0/24"],
      addresses: ["10.101.1.1"],
      drivers: ["wireguard"],
      wireguard: { publicKey: key(1), port: 51820 },
      site: "a",
      gateway: true,
      keepalive: 25,
      mtu: 1400,
      labels: { rack: "7" },
    });
  });

  test("has the addresses of the configuration in place of those that were found", () => {
    const given = config({ underlay: { private: "10.9.0.9", public: ["n1.example.org"] } });
    expect(ownRecord(given, found).underlay).toEqual({ private: ["10.9.0.9"], public: ["n1.example.org"] });
    const added = config({ underlay: { public: ["n1.example.org"] } });
    expect(ownRecord(added, found).underlay.public).toEqual(["n1.example.org", "8.8.8.8"]);
  });

  test("has the next keys as well while they are about to come", () => {
    const both = config({ drivers: ["wireguard", "ipsec"] });
    const keys = { wireguard: key(1), nextWireguard: key(2), ipsec: "one", nextIpsec: "two" };
    expect(ownRecord(both, { ...found, keys })).toMatchObject({
      wireguard: { publicKey: key(1), nextPublicKey: key(2) },
      ipsec: { identity: "n1", publicKey: "one", nextPublicKey: "two" },
    });
  });

  test("is told from a stranger's of the same name by its keys", () => {
    expect(hasKeyOf(record(1), new Set([key(9), key(1)]))).toBe(true);
    expect(hasKeyOf(record(1), new Set([key(9)]))).toBe(false);
    const { wireguard: _, ...keyless } = record(1, { drivers: ["ipsec"], ipsec: { identity: "n1" } });
    expect(hasKeyOf(keyless, new Set([key(9)]))).toBe(true);
  });
});
