import { describe, expect, test } from "vitest";
import { type MeshRecord, tableOfGuard } from "../../../src/node/guards.ts";
import { recordedTable } from "../../../src/node/plan.ts";
import { AGENT_NETWORK, type DeviceRecord } from "../../../src/node/record.ts";
import { prefix } from "../agent/support.ts";

const shared = {
  version: 1,
  network: AGENT_NETWORK,
  guarded: [prefix("10.101.2.0/24")],
  podSubnets: [prefix("10.101.1.0/24")],
  fwmark: 0,
  sysctls: [],
} as const;
const ipsec: MeshRecord = { ...shared, interface: "ipsec0", dataPlane: "userspace", isLoading: false, orphans: [] };

describe("the nft table that is looked for", () => {
  test("of IPsec between nodes is the one that the agent makes, whatever charon calls its device", () => {
    for (const name of ["ipsec0", "ipsec1", "podvpn-esp0"]) {
      const record = { ...ipsec, interface: name };
      expect(tableOfGuard(record)).toEqual({ ...recordedTable(record), name: "podvpn-mesh-podvpn-esp0" });
    }
  });

  test("lets out of an XFRM interface what will be encrypted, with ESP in the kernel alone", () => {
    const kernel: MeshRecord = { ...ipsec, interface: "podvpn-esp0", dataPlane: "kernel" };
    expect(JSON.stringify(tableOfGuard(kernel))).toContain('{"plain":"out"}');
    expect(JSON.stringify(tableOfGuard(ipsec))).not.toContain('"plain"');
  });

  test("of a WireGuard device has its name", () => {
    const record: DeviceRecord = {
      ...shared,
      interface: "podvpn0",
      complete: true,
      dataPlane: "userspace",
      addresses: [],
      removeWithLastPod: false,
      peerNames: {},
    };
    expect(tableOfGuard(record)).toEqual(recordedTable(record));
    expect(tableOfGuard(record).name).toBe("podvpn-mesh-podvpn0");
  });
});
