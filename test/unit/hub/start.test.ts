import { describe, expect, test } from "vitest";
import { localPorts, misfit } from "../../../src/hub/checks.ts";
import { type HubRecord, inherit, takeover } from "../../../src/hub/record.ts";
import { hubSysctls } from "../../../src/hub/sysctl.ts";
import { type Address, parseAddress } from "../../../src/net/address.ts";
import { type Prefix, parsePrefix } from "../../../src/net/prefix.ts";

const address = (text: string): Address => parseAddress(text) ?? expect.fail(text);
const prefix = (text: string): Prefix => parsePrefix(text) ?? expect.fail(text);

describe("forwarding", () => {
  const settings = (values: Record<string, string>) => (key: string) => values[key];

  test("between pods tells nobody of a shorter way, where user space has one device for all of them", () => {
    const read = settings({ "net/ipv4/ip_forward": "1", "net/ipv4/conf/all/send_redirects": "1" });
    const off = { key: "net/ipv4/conf/all/send_redirects", before: "1", after: "0" };
    expect(hubSysctls([4], "userspace", ["lo"], read)).toEqual([off]);
    expect(hubSysctls([4], "kernel", ["lo"], read)).toEqual([]);
  });
});

describe("a hub that finds another's record", () => {
  const record: HubRecord = {
    netns: "net:[4026531840]",
    subnets: [prefix("10.173.0.0/16")],
    dataPlane: "userspace",
    addresses: [address("10.173.255.254")],
    routingRules: [4, 6],
    sysctls: [{ key: "net/ipv4/ip_forward", before: "0", after: "1" }],
    charon: { strongswanConf: "threads = 16", ranges: ["10.173.0.1-10.173.0.9"] },
    leases: "/var/lib/podvpn/hub/leases.json",
  };

  test("takes charon over when nothing has changed that pods depend on", () => {
    expect(takeover(undefined, record)).toBe("none");
    expect(takeover(record, { ...record })).toBe("adopt");
    // As it comes back from disk.
    expect(takeover(JSON.parse(JSON.stringify(record)), record)).toBe("adopt");
  });

  test("starts charon anew for other settings or pools", () => {
    expect(takeover(record, { ...record, charon: { ...record.charon, strongswanConf: "threads = 32" } })).toBe(
      "restart",
    );
    expect(takeover(record, { ...record, charon: { ...record.charon, ranges: [] } })).toBe("restart");
  });

  test("replaces all of it for other subnets or another data plane", () => {
    expect(takeover(record, { ...record, subnets: [prefix("10.174.0.0/16")] })).toBe("replace");
    expect(takeover(record, { ...record, dataPlane: "kernel" })).toBe("replace");
  });

  test("puts back in the end what was there before the first of them", () => {
    // What the second one sees: address and forwarding are there already.
    const later = {
      ...record,
      addresses: [],
      sysctls: [{ key: "net/ipv6/conf/all/forwarding", before: "0", after: "1" }],
    };
    expect(inherit(record, later)).toEqual({ ...record, sysctls: [...record.sysctls, ...later.sysctls] });
  });
});

describe("surroundings", () => {
  const link = (index: number, name: string, up = true) => ({ index, name, up, mtu: 1500, address: "" });
  const on = (index: number, text: string) =>
    ({ index, address: address(text), prefixLength: 24, scope: "universe", flags: [] }) as const;
  const here = {
    links: [link(1, "lo"), link(2, "eth0"), link(3, "ipsec0")],
    addresses: [on(1, "127.0.0.1"), on(1, "10.173.255.254"), on(2, "10.9.0.254"), on(3, "10.173.0.9")],
  };

  test("fit when nobody else has an address of a virtual subnet", () => {
    expect(misfit(here, [address("10.9.0.254")], [prefix("10.173.0.0/16")])).toBeUndefined();
  });

  test("do not fit when the hub would cut off its own network", () => {
    expect(misfit(here, [], [prefix("10.9.0.0/16")])?.what).toMatch(
      /^eth0 has the address 10.9.0.254, .* 10.9.0.0\/16/,
    );
  });

  test("do not fit when an address to listen on is missing, or lo is down", () => {
    expect(misfit(here, [address("10.9.0.7")], [])?.what).toBe("listen has 10.9.0.7, which no interface has");
    expect(misfit({ ...here, links: [link(1, "lo", false)] }, [], [])?.remedy).toBe("run `ip link set lo up`");
  });

  test("tell the ports that are bound, of both families", () => {
    const udp = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  401: 00000000:01F4 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 111 2 0000000000000000 0
  4401: 00000000000000000000000000000000:1194 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 0 0 1 2 0 0
`;
    expect(localPorts(udp)).toEqual([500, 4500]);
    expect(localPorts("")).toEqual([]);
  });
});
