import { describe, expect, it } from "vitest";
import { checkOverlap } from "../../../src/doctor/checks/overlap.ts";
import { checkRoutes } from "../../../src/doctor/checks/routes.ts";
import { leftoversOf, staleBridges } from "../../../src/doctor/gather/leftovers.ts";
import type { Way } from "../../../src/doctor/gather/ways.ts";
import type { Observed } from "../../../src/node/observe.ts";
import { address, DEVICE, OBSERVED, prefix, route, UPLINK } from "./support/facts.ts";

const mend = () => ({ command: "mend it" });

function check(way: Partial<Way>, observed: Partial<Observed> = {}) {
  const full = { device: DEVICE, peer: "n2", prefix: prefix("10.1.2.0/24"), ...way };
  return checkRoutes([DEVICE], [full], { ...OBSERVED, ...observed }, mend);
}

const through = route("10.1.2.1/32", { oif: 7 });
const byUplink = route("10.1.2.1/32", { oif: 2 });

describe("the check of routes", () => {
  it("is content when the kernel sends by the device", () => {
    expect(check({ route: through })).toMatchObject([{ outcome: "ok" }]);
  });

  it("has podvpn's own route written anew when it is gone", () => {
    expect(check({})).toMatchObject([{ outcome: "bad", command: "mend it" }]);
  });

  it("removes the longest foreign route that leads elsewhere, and no other", () => {
    const routes = [
      ...OBSERVED.routes,
      route("0.0.0.0/0", { oif: 2, gateway: address("10.9.0.254") }),
      route("10.1.2.0/25", { oif: 2, metric: 50 }),
    ];
    const findings = check({ route: byUplink }, { routes });
    expect(findings).toContainEqual(
      expect.objectContaining({ outcome: "bad", command: "ip -4 route del 10.1.2.0/25 dev eth0 metric 50" }),
    );
    expect(findings.map(({ command }) => command).join()).not.toContain("0.0.0.0/0");
  });

  it("removes a foreign rule where that leads elsewhere", () => {
    const rules = [
      { family: 4, priority: 100, action: "lookup", table: 99, protocol: 3, dst: prefix("10.1.0.0/16") },
    ] as const;
    const findings = check({ route: { ...byUplink, table: 99 } }, { rules });
    expect(findings).toMatchObject([{ command: "ip -4 rule del pref 100 to 10.1.0.0/16" }]);
  });

  it("finds a foreign route for a part of a prefix, and leaves podvpn's own alone", () => {
    const part = (protocol: number) => [...OBSERVED.routes, route("10.1.2.128/25", { oif: 2, protocol })];
    expect(check({ route: through }, { routes: part(3) })).toMatchObject([
      { command: "ip -4 route del 10.1.2.128/25 dev eth0" },
    ]);
    expect(check({ route: through }, { routes: part(173) })).toMatchObject([{ outcome: "ok" }]);
  });
});

describe("the check of overlaps", () => {
  const link = (text: string, of = "10.1.2.128/25") => ({
    subnets: [...OBSERVED.subnets, { dev: "eth1", address: address(text), prefix: prefix(of) }],
  });

  it("passes by the pods' own bridge and the uplink", () => {
    expect(checkOverlap([DEVICE], OBSERVED)).toMatchObject([{ outcome: "ok" }]);
  });

  it("takes an address of the mesh away, but not a network that only holds it", () => {
    expect(checkOverlap([DEVICE], link("10.1.2.130"))).toMatchObject([
      { outcome: "bad", command: "ip address del 10.1.2.130/25 dev eth1" },
    ]);
    const wide = checkOverlap([DEVICE], link("10.5.0.1", "10.0.0.0/8"));
    expect(wide).toMatchObject([{ outcome: "warning" }]);
    expect(wide[0]).not.toHaveProperty("command");
  });

  it("finds an endpoint that is in the mesh, and two networks with the same prefix", () => {
    const inside = { address: address("10.1.2.9"), port: 51820 };
    const looped = { ...DEVICE, peers: DEVICE.peers.map((peer) => ({ ...peer, endpoint: inside })) };
    expect(checkOverlap([looped], OBSERVED)).toMatchObject([
      { what: expect.stringContaining("the tunnel would go through itself") },
    ]);
    const other = { ...DEVICE, name: "podvpn1", record: { ...DEVICE.record, interface: "podvpn1", network: "other" } };
    expect(checkOverlap([DEVICE, other], OBSERVED)).toMatchObject([
      { what: expect.stringContaining("podvpn0 and podvpn1 both have") },
    ]);
  });
});

describe("leftovers", () => {
  const links = (...names: string[]) => ({ links: names.map((name, index) => ({ ...UPLINK, name, index })) });

  it("are known by their names alone, and nothing similar is", () => {
    const found = leftoversOf(links("flannel.1", "cilium_net", "cali0123456789a", "vethwe-bridge", "antrea-gw0"), {
      directory: "",
      files: [],
    });
    expect(found.map(({ of }) => of)).toEqual(["flannel", "Cilium", "Calico", "Weave Net", "Antrea"]);
    expect(
      leftoversOf(links("eth0", "cni0", "lxcbr0", "calibration", "podvpn0", "weaver"), { directory: "", files: [] }),
    ).toEqual([]);
  });

  it("have a bridge with an address of no pods", () => {
    const file = {
      path: "/c",
      faults: [],
      types: [],
      isPodvpns: true,
      isAgents: false,
      usesWireguard: true,
      usesIpsec: false,
    };
    const files = [{ ...file, bridge: "cni0", subnets: [{ prefix: prefix("10.1.1.0/24"), text: "" }] }];
    expect(staleBridges(OBSERVED, { directory: "", files }, undefined)).toEqual([]);
    const other = [{ dev: "cni0", address: address("10.244.0.1"), prefix: prefix("10.244.0.0/24") }];
    expect(staleBridges({ subnets: other }, { directory: "", files }, undefined)).toMatchObject([
      { bridge: "cni0", address: "10.244.0.1" },
    ]);
  });
});
