import { describe, expect, it } from "vitest";
import type { Attachment, StrongswanAttachment, WireguardAttachment } from "../../../src/attachment/record.ts";
import { scopesOf, wireguardPorts } from "../../../src/capture/target.ts";
import { parseAddress } from "../../../src/net/address.ts";
import { parsePrefix } from "../../../src/net/prefix.ts";
import { AGENT_NETWORK } from "../../../src/node/record.ts";
import type { PeerView } from "../../../src/status/devices.ts";

const prefixes = (...texts: string[]) => texts.map(parsePrefix).filter((prefix) => prefix !== undefined);
const addresses = (...texts: string[]) => texts.map(parseAddress).filter((address) => address !== undefined);

const BASE = {
  version: 1,
  phase: "ready",
  addedAt: 0,
  containerID: "c1",
  ifname: "eth0",
  network: "net",
  netns: "/run/netns/c1",
  masquerade: false,
} as const;

function strongswan(virtualSubnets: string[], overrides: Partial<StrongswanAttachment> = {}): Attachment {
  return {
    ...BASE,
    type: "strongswan",
    dataPlane: "userspace",
    virtualSubnets: prefixes(...virtualSubnets),
    excluded: prefixes("10.9.0.0/24"),
    virtualIPs: addresses("10.173.0.5", "fd00:173::5"),
    hostRoutes: [],
    rulePriority: 220,
    identity: "c1",
    ...overrides,
  };
}

function wireguard(meshPrefixes: string[], overrides: Partial<WireguardAttachment> = {}): WireguardAttachment {
  return {
    ...BASE,
    type: "wireguard",
    interface: "podvpn0",
    meshPrefixes: prefixes(...meshPrefixes),
    podRoutes: [],
    removeWithLastPod: false,
    linkResult: { interfaces: [], ips: [{ address: "10.1.1.5/24" }, { address: "fd00:1:1::5/64" }], routes: [] },
    ...overrides,
  };
}

function guard(guarded: string[], device = "podvpn0") {
  return { interface: device, guarded: prefixes(...guarded) };
}

describe("what is looked for", () => {
  it("is a pod's virtual subnets, without what stays outside of the tunnel", () => {
    expect(scopesOf([strongswan(["10.173.0.0/16", "fd00:173::/64"])], [])).toEqual([
      { prefixes: prefixes("10.173.0.0/16", "fd00:173::/64"), except: prefixes("10.9.0.0/24") },
    ]);
  });

  it("is the mesh of pods, and what the node's device guards beyond that", () => {
    expect(scopesOf([wireguard(["10.1.2.0/24"])], [guard(["10.1.2.0/24", "10.1.3.0/24"])])).toEqual([
      { prefixes: prefixes("10.1.2.0/24"), except: [] },
      { prefixes: prefixes("10.1.2.0/23"), except: [] },
    ]);
  });

  it("is not what a pod with a device of its own leaves outside of it", () => {
    const own = {
      madeAs: "pv1",
      dataPlane: "userspace",
      excluded: prefixes("10.1.2.9/32"),
      addresses: [],
      sources: [],
      rulePriority: 220,
      mtu: 1420,
    } as const;
    const record = wireguard(["10.1.2.0/24"], { own });
    expect(scopesOf([record], [])).toEqual([{ prefixes: prefixes("10.1.2.0/24"), except: prefixes("10.1.2.9/32") }]);
  });

  it("is, of a full tunnel, the pods' own addresses of that family: every packet has an address in the rest", () => {
    expect(scopesOf([strongswan(["0.0.0.0/0", "fd00:173::/64"])], [])).toEqual([
      { prefixes: prefixes("fd00:173::/64", "10.173.0.5/32"), except: prefixes("10.9.0.0/24") },
    ]);
    expect(scopesOf([wireguard(["0.0.0.0/1", "128.0.0.0/1"])], [guard(["0.0.0.0/0"])])).toEqual([
      { prefixes: prefixes("10.1.1.5/32"), except: [] },
      { prefixes: prefixes("10.1.1.5/32"), except: [] },
    ]);
  });

  it("is what the node's agent guards, of WireGuard and of IPsec, also where no pod is attached", () => {
    const guards = [guard(["10.101.2.0/24"]), guard(["10.101.3.0/24", "fd00:101:3::/64"], "podvpn-esp0"), guard([])];
    expect(scopesOf([], guards)).toEqual([
      { prefixes: prefixes("10.101.2.0/24"), except: [] },
      { prefixes: prefixes("10.101.3.0/24", "fd00:101:3::/64"), except: [] },
    ]);
  });

  it("is nothing, where nothing is attached, or only something without an address yet", () => {
    expect(scopesOf([], [])).toEqual([]);
    expect(scopesOf([strongswan(["0.0.0.0/0"], { virtualIPs: [] })], [])).toEqual([]);
  });
});

describe("the UDP ports of a device", () => {
  const peers = [51_820, 65_535, 40_000].map((port) => ({ endpoint: { address: "10.9.0.2", port } }) as PeerView);

  it("are its own one, and those of its peers", () => {
    const device = { network: "mesh", listenPort: 51_820, peers: [...peers, {} as PeerView] };
    expect(wireguardPorts(device)).toEqual([51_820, 65_535, 40_000]);
    expect(wireguardPorts({ network: "mesh", listenPort: 0, peers: [] })).toEqual([]);
  });

  it("are, of an agent's, also those to which they go while keys change, as far as there are such", () => {
    const device = { network: AGENT_NETWORK, listenPort: 51_820, peers };
    expect(wireguardPorts(device)).toEqual([51_820, 65_535, 40_000, 51_821, 40_001]);
  });
});
