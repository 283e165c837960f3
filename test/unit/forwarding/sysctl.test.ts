import { describe, expect, test } from "vitest";
import { forwardingChanges, mergedSysctls, meshSysctls } from "../../../src/forwarding/sysctl.ts";

const settings = (values: Record<string, string>) => (key: string) => values[key];

describe("forwarding for all interfaces", () => {
  test("is left alone where it is on", () => {
    const read = settings({ "net/ipv4/ip_forward": "1", "net/ipv6/conf/all/forwarding": "1" });
    expect(forwardingChanges([4, 6], ["lo", "eth0"], read)).toEqual([]);
  });

  test("is turned on for the families that are asked for, and for no other", () => {
    const read = settings({ "net/ipv4/ip_forward": "0", "net/ipv6/conf/all/forwarding": "0" });
    expect(forwardingChanges([4], ["lo", "eth0"], read)).toEqual([
      { key: "net/ipv4/ip_forward", before: "0", after: "1" },
    ]);
  });

  test("does not cost an interface the IPv6 route that a router told it", () => {
    const read = settings({
      "net/ipv6/conf/all/forwarding": "0",
      "net/ipv6/conf/eth0/accept_ra": "1",
      "net/ipv6/conf/eth1/accept_ra": "0",
    });
    expect(forwardingChanges([6], ["lo", "eth0", "eth1"], read)).toEqual([
      { key: "net/ipv6/conf/eth0/accept_ra", before: "1", after: "2" },
      { key: "net/ipv6/conf/all/forwarding", before: "0", after: "1" },
    ]);
  });
});

describe("the settings of a WireGuard device", () => {
  const fresh = {
    "net/ipv4/conf/podvpn0/rp_filter": "0",
    "net/ipv4/conf/podvpn0/forwarding": "0",
    "net/ipv4/conf/br.42/forwarding": "0",
    "net/ipv6/conf/all/forwarding": "0",
    "net/ipv6/conf/eth0/accept_ra": "1",
  };
  const request = { device: "podvpn0", podInterface: "br.42", interfaces: ["eth0", "br.42", "podvpn0"] } as const;

  test("for IPv4 are those of the device and the pods' interface, and none of all interfaces", () => {
    expect(meshSysctls({ ...request, families: [4], read: settings(fresh) })).toEqual([
      { key: "net/ipv4/conf/podvpn0/rp_filter", before: "0", after: "2" },
      { key: "net/ipv4/conf/podvpn0/forwarding", before: "0", after: "1" },
      { key: "net/ipv4/conf/br.42/forwarding", before: "0", after: "1" },
    ]);
  });

  test("for IPv6 are those of all interfaces, without the loss of a router's route", () => {
    expect(meshSysctls({ ...request, families: [6], read: settings(fresh) })).toEqual([
      { key: "net/ipv6/conf/eth0/accept_ra", before: "1", after: "2" },
      { key: "net/ipv6/conf/all/forwarding", before: "0", after: "1" },
    ]);
  });

  test("are the device's alone where no interface of the node leads to the pods", () => {
    const keys = meshSysctls({ device: "podvpn0", families: [4], interfaces: [], read: settings(fresh) });
    expect(keys.map(({ key }) => key)).toEqual(["net/ipv4/conf/podvpn0/rp_filter", "net/ipv4/conf/podvpn0/forwarding"]);
  });

  test("need no change where they are as they shall be", () => {
    const done = { ...fresh };
    for (const change of meshSysctls({ ...request, families: [4, 6], read: settings(fresh) })) {
      Object.assign(done, { [change.key]: change.after });
    }
    expect(meshSysctls({ ...request, families: [4, 6], read: settings(done) })).toEqual([]);
  });
});

test("what was before the first of several changes is what is put back", () => {
  const earlier = { key: "a", before: "0", after: "1" };
  const later = [
    { key: "a", before: "2", after: "1" },
    { key: "b", before: "0", after: "1" },
  ];
  expect(mergedSysctls([earlier], later)).toEqual([earlier, later[1]]);
});
