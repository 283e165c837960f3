import { describe, expect, test } from "vitest";
import type { WantedTunnel, WantedTunnels } from "../../../../src/agent/driver.ts";
import { fittingTunnels, type NodeFacts } from "../../../../src/agent/ipsec/fitting.ts";
import type { PlannedPeer } from "../../../../src/mesh/mesh-plan.ts";
import { address, endpoint, peer, prefix } from "../support.ts";

const FACTS: NodeFacts = {
  identity: "n1.example",
  by: "key",
  addresses: [{ dev: "eth0", address: address("10.9.0.1"), prefix: prefix("10.9.0.0/24") }],
};

function ipsec(index: number, overrides: Partial<PlannedPeer> = {}): WantedTunnel {
  const { wireguard: _, ...plain } = peer(index);
  return {
    peer: {
      ...plain,
      driver: "ipsec",
      ipsec: { identity: `n${index}.example`, publicKey: `key ${index}` },
      ...overrides,
    },
    endpoint: endpoint(`10.9.0.${index}:500`),
  };
}

function wanted(...tunnels: WantedTunnel[]): WantedTunnels {
  return { tunnels, guarded: [prefix("10.101.2.0/23")], podPrefixes: [prefix("10.101.1.0/24")], addresses: [] };
}

function names(result: ReturnType<typeof fittingTunnels>): string[] {
  return result.tunnels.map((tunnel) => tunnel.peer.name);
}

describe("what of a plan IPsec can bring about on a node", () => {
  test("all of it, where nothing is in the way", () => {
    const result = fittingTunnels(wanted(ipsec(2), ipsec(3)), FACTS);
    expect(names(result)).toEqual(["n2", "n3"]);
    expect(result.tunnels[0]).toMatchObject({
      endpoint: "10.9.0.2",
      local: ["10.101.1.0/24"],
      remote: ["10.101.2.0/24"],
    });
    expect(result.obstacles).toEqual([]);
  });

  test("prefixes that stand side by side are one: IKE has room for 255, and both sides count alike", () => {
    const halves = [prefix("10.101.2.0/25"), prefix("10.101.2.128/25")];
    const result = fittingTunnels(wanted(ipsec(2, { prefixes: halves, localPrefixes: halves })), FACTS);
    expect(result.tunnels[0]).toMatchObject({ local: ["10.101.2.0/24"], remote: ["10.101.2.0/24"] });
  });

  test("not a peer with more prefixes than IKE takes", () => {
    const many = Array.from({ length: 256 }, (_, index) => prefix(`10.102.${index}.0/25`));
    const result = fittingTunnels(wanted(ipsec(2, { prefixes: many }), ipsec(3)), FACTS);
    expect(names(result)).toEqual(["n3"]);
    expect(result.obstacles).toEqual([expect.stringMatching(/n2: it would carry 256 prefixes/)]);
  });

  test("not a peer whose identity somebody has already, in whatever case", () => {
    const twin = ipsec(3, { ipsec: { identity: "N2.example", publicKey: "key 3" } });
    const own = ipsec(4, { ipsec: { identity: "n1.example", publicKey: "key 4" } });
    const result = fittingTunnels(wanted(ipsec(2), twin, own), FACTS);
    expect(names(result)).toEqual(["n2"]);
    expect(result.obstacles).toEqual([
      expect.stringMatching(/n3: its IPsec identity "N2.example" is that of n2/),
      expect.stringMatching(/n4: its IPsec identity "n1.example" is that of this node/),
    ]);
  });

  test("a peer without a public key only where nodes prove themselves by something else", () => {
    const keyless = ipsec(2, { ipsec: { identity: "n2.example" } });
    expect(fittingTunnels(wanted(keyless), FACTS)).toMatchObject({
      tunnels: [],
      obstacles: [expect.stringMatching(/no public key/)],
    });
    expect(names(fittingTunnels(wanted(keyless), { ...FACTS, by: "psk" }))).toEqual(["n2"]);
  });

  test("neither routes nor guards what holds an address of the node itself", () => {
    const facts: NodeFacts = {
      ...FACTS,
      addresses: [{ dev: "eth1", address: address("10.101.2.7"), prefix: prefix("10.101.2.0/24") }],
    };
    const result = fittingTunnels(
      wanted(ipsec(2, { prefixes: [prefix("10.101.2.0/24"), prefix("10.101.4.0/24")] })),
      facts,
    );
    expect(result.tunnels[0]?.remote).toEqual(["10.101.4.0/24"]);
    expect(result.guarded).toEqual(["10.101.3.0/24"]);
    expect(result.obstacles).toEqual([
      expect.stringMatching(/10\.101\.2\.0\/24 of n2 holds 10\.101\.2\.7 of this node's eth1/),
    ]);
  });

  test("an endpoint within the mesh is none", () => {
    const inside = { ...ipsec(2), endpoint: endpoint("10.101.3.1:500") };
    const result = fittingTunnels(wanted(inside), FACTS);
    expect(result.tunnels[0]).not.toHaveProperty("endpoint");
    expect(result.obstacles).toEqual([expect.stringMatching(/underlay address of n2 is 10\.101\.3\.1/)]);
  });
});
