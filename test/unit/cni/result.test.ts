import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatResult, parseResult, type Result } from "../../../src/cni/result.ts";
import { atLeast, type CniVersion, supportedVersions } from "../../../src/cni/version.ts";
import { Fault } from "../../../src/fault.ts";

const DNS = { nameservers: ["10.1.2.53"] };
const INTERFACES = [
  { name: "br0", mac: "3a:df:43:02:4f:9b" },
  { name: "veth590d1ca2", mac: "2e:25:23:3e:f5:4b" },
  { name: "eth0", mac: "ce:2d:cd:a7:af:bc", sandbox: "/run/netns/p3" },
];
const ROUTES = [{ dst: "0.0.0.0/0" }, { dst: "10.5.0.0/16", gw: "10.1.2.7" }, { dst: "::/0" }];

/** What the reference bridge 1.1.1 printed for one dual-stack configuration in each version (1.1.0: by the specification). */
const GOLDEN: Record<CniVersion, Record<string, unknown>> = {
  "0.1.0": legacy("0.1.0"),
  "0.2.0": legacy("0.2.0"),
  "0.3.0": withFamily("0.3.0"),
  "0.3.1": withFamily("0.3.1"),
  "0.4.0": withFamily("0.4.0"),
  "1.0.0": current("1.0.0"),
  "1.1.0": current("1.1.0"),
};

function legacy(cniVersion: string) {
  return {
    cniVersion,
    ip4: {
      ip: "10.1.2.2/24",
      gateway: "10.1.2.1",
      routes: [{ dst: "0.0.0.0/0" }, { dst: "10.5.0.0/16", gw: "10.1.2.7" }],
    },
    ip6: { ip: "fd00:1::2/64", gateway: "fd00:1::1", routes: [{ dst: "::/0" }] },
    dns: DNS,
  };
}

function withFamily(cniVersion: string) {
  return {
    cniVersion,
    interfaces: INTERFACES,
    ips: [
      { version: "4", interface: 2, address: "10.1.2.2/24", gateway: "10.1.2.1" },
      { version: "6", interface: 2, address: "fd00:1::2/64", gateway: "fd00:1::1" },
    ],
    routes: ROUTES,
    dns: DNS,
  };
}

function current(cniVersion: string) {
  return {
    cniVersion,
    interfaces: INTERFACES,
    ips: [
      { interface: 2, address: "10.1.2.2/24", gateway: "10.1.2.1" },
      { interface: 2, address: "fd00:1::2/64", gateway: "fd00:1::1" },
    ],
    routes: ROUTES,
    dns: DNS,
  };
}

describe("a result of the reference bridge", () => {
  it.each(supportedVersions)("survives being read and printed in %s", (version) => {
    expect(formatResult(parseResult(GOLDEN[version], "result"), version)).toEqual(GOLDEN[version]);
  });

  it.each(supportedVersions)("of version 1.1.0 becomes the bridge's own in %s", (version) => {
    expect(formatResult(parseResult(GOLDEN["1.1.0"], "result"), version)).toEqual(GOLDEN[version]);
  });

  it.each(supportedVersions.filter((version) => atLeast(version, "0.3.0")))(
    "of %s is read as what it means",
    (version) => {
      expect(parseResult(GOLDEN[version], "result")).toEqual(parseResult(GOLDEN["1.1.0"], "result"));
    },
  );
});

const NEWEST: Result = {
  interfaces: [
    { name: "eth0", mac: "02:00:00:00:00:01", mtu: 1400, sandbox: "/s", socketPath: "/v.sock", pciID: "0000:00:1f.6" },
  ],
  ips: [
    { address: "10.173.0.5/32", interface: 0 },
    { address: "10.1.2.2/24", gateway: "10.1.2.1", interface: 0 },
  ],
  routes: [{ dst: "10.173.0.0/16", gw: "10.1.2.1", mtu: 1400, advmss: 1360, priority: 0, table: 220, scope: 253 }],
};

describe("formatResult", () => {
  it("prints the fields of 1.1.0 in 1.1.0, also those that are zero", () => {
    expect(formatResult(NEWEST, "1.1.0")).toEqual({ cniVersion: "1.1.0", ...NEWEST });
  });

  it("leaves out in 1.0.0 what came with 1.1.0", () => {
    expect(formatResult(NEWEST, "1.0.0")).toEqual({
      cniVersion: "1.0.0",
      interfaces: [{ name: "eth0", mac: "02:00:00:00:00:01", sandbox: "/s" }],
      ips: NEWEST.ips,
      routes: [{ dst: "10.173.0.0/16", gw: "10.1.2.1" }],
    });
  });

  it("prints the first address of a family up to 0.2.0, with all routes of that family", () => {
    expect(formatResult(NEWEST, "0.2.0")).toEqual({
      cniVersion: "0.2.0",
      ip4: { ip: "10.173.0.5/32", routes: [{ dst: "10.173.0.0/16", gw: "10.1.2.1" }] },
    });
  });

  it.each(supportedVersions)("prints no empty lists in %s", (cniVersion) => {
    expect(formatResult({ interfaces: [], ips: [], routes: [] }, cniVersion)).toEqual({ cniVersion });
  });

  it("does not change what it is given", () => {
    const before = structuredClone(NEWEST);
    for (const version of supportedVersions) formatResult(NEWEST, version);
    expect(NEWEST).toEqual(before);
  });
});

describe("parseResult", () => {
  it("takes null and the empty string for absent, as Go does", () => {
    const json = {
      interfaces: [{ name: "a", sandbox: "" }],
      ips: [{ address: "10.0.0.1/8", gateway: "" }],
      routes: null,
      dns: null,
    };
    expect(parseResult(json, "r")).toEqual({
      interfaces: [{ name: "a" }],
      ips: [{ address: "10.0.0.1/8" }],
      routes: [],
    });
  });

  it("drops unknown keys", () => {
    expect(parseResult({ ips: [{ address: "10.0.0.1/8", x: 1 }], y: 2 }, "r")).toEqual({
      interfaces: [],
      ips: [{ address: "10.0.0.1/8" }],
      routes: [],
    });
  });

  it("writes addresses in canonical form and keeps their host bits", () => {
    const json = { ips: [{ address: "FD00:0:0::2/64", gateway: "FD00::1" }] };
    expect(parseResult(json, "r").ips).toEqual([{ address: "fd00::2/64", gateway: "fd00::1" }]);
  });

  it.each([
    [undefined, "prevResult is missing; give a CNI result"],
    [[], "prevResult is []; give an object"],
    ["x", 'prevResult is "x"; give an object'],
    [{ ips: {} }, "prevResult.ips is {}; give a list"],
    [{ ips: [null] }, "prevResult.ips[0] is missing; give an address"],
    [{ ips: [{}] }, "prevResult.ips[0].address is missing"],
    [
      { ips: [{ address: "10.0.0.1" }] },
      'prevResult.ips[0].address is "10.0.0.1"; give an address with a prefix length',
    ],
    [{ ips: [{ address: "10.0.0.1/8", gateway: "fe80::1%eth0" }] }, 'prevResult.ips[0].gateway is "fe80::1%eth0"'],
    [
      { ips: [{ address: "10.0.0.1/8", interface: 0 }] },
      "prevResult.ips[0].interface is 0; give an index into the list of 0",
    ],
    [
      { interfaces: [{ name: "a" }], ips: [{ address: "10.0.0.1/8", interface: -1 }] },
      "prevResult.ips[0].interface is -1",
    ],
    [{ interfaces: [{}] }, "prevResult.interfaces[0].name is missing"],
    [{ interfaces: [{ name: 5 }] }, "prevResult.interfaces[0].name is 5; give a string"],
    [{ interfaces: [{ name: "a", mtu: 1.5 }] }, "prevResult.interfaces[0].mtu is 1.5; give an integer"],
    [{ routes: [{ dst: "default" }] }, 'prevResult.routes[0].dst is "default"'],
    [{ ip4: { ip: "10.0.0.1/8", routes: [{}] } }, "prevResult.ip4.routes[0].dst is missing"],
    [{ dns: { nameservers: [""] } }, "prevResult.dns.nameservers[0] is missing"],
    [{ dns: { search: "x" } }, 'prevResult.dns.search is "x"; give a list'],
  ])("refuses %j and names the place", (json, message) => {
    expect(() => parseResult(json, "prevResult")).toThrow(
      expect.objectContaining({ code: 7, message: expect.stringContaining(message) }),
    );
  });

  it("raises nothing but a Fault for any JSON", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        for (const json of [
          value,
          { interfaces: value, ips: value },
          { ip4: value },
          { dns: value },
          { routes: value },
        ]) {
          try {
            parseResult(json, "r");
          } catch (error) {
            if (!(error instanceof Fault)) throw error;
          }
        }
      }),
    );
  });

  it("reads back whatever is printed in 1.1.0", () => {
    const address = fc.ipV4().map((ip) => `${ip}/24`);
    const result = fc.record({
      interfaces: fc.constant([{ name: "eth0" }, { name: "eth1", mtu: 1400 }]),
      ips: fc.array(fc.record({ address, interface: fc.nat(1) })),
      routes: fc.array(fc.record({ dst: address, gw: fc.ipV4() }, { requiredKeys: ["dst"] })),
    });
    fc.assert(
      fc.property(result, (one) => {
        expect(parseResult(formatResult(one, "1.1.0"), "r")).toEqual(one);
      }),
    );
  });
});
