import { describe, expect, test } from "vitest";
import { parseStrongswanConfig } from "../../../src/config/strongswan.ts";
import { Code } from "../../../src/fault.ts";
import { context, faultOf, issuesOf, PSK, parse, withVpn } from "./support.ts";

describe("what is accepted", () => {
  test("the seed's keys, with a default for each that is new", () => {
    const { psk, ...config } = parse(withVpn({}));
    expect(Buffer.from(psk.reveal()).toString()).toBe(PSK);
    expect(config).toEqual({
      servers: ["10.9.0.254"],
      virtualSubnets: ["10.173.0.0/16"],
      hostSubnets: ["10.9.0.0/24"],
      identity: "4f0c2a.eth0@node1",
      proposals: ["aes128gcm16-prfsha256-x25519"],
      espProposals: ["aes128gcm16-x25519"],
      timeout: 10_000,
      dpd: 2,
      dataplane: "auto",
      attach: "pod",
      logLevel: "info",
    });
  });

  test("every key, in canonical form", () => {
    const config = parse(
      withVpn(
        {
          serverIP: ["2001:DB8:0::1", "192.0.2.7"],
          virtualSubnet: ["10.173.9.9/16", "FD00:173::/64"],
          hostSubnet: ["10.9.0.0/24", "10.8.0.0/24"],
          serverID: "@hub.example",
          identity: "{args.K8S_POD_UID}@{node}",
          proposals: ["aes256-sha512-x25519", "aes128gcm16-prfsha256-x25519"],
          espProposals: "aes256gcm16",
          timeout: "500ms",
          mtu: 1280,
          dataplane: "kernel",
          attach: "node",
          dpd: "2m",
        },
        { logFile: "/var/log/podvpn.log", logLevel: "debug" },
      ),
    );
    expect({ ...config, psk: undefined }).toEqual({
      servers: ["2001:db8::1", "192.0.2.7"],
      virtualSubnets: ["10.173.0.0/16", "fd00:173::/64"],
      hostSubnets: ["10.9.0.0/24", "10.8.0.0/24"],
      psk: undefined,
      serverID: "@hub.example",
      identity: "77d1@node1",
      proposals: ["aes256-sha512-x25519", "aes128gcm16-prfsha256-x25519"],
      espProposals: ["aes256gcm16"],
      timeout: 500,
      mtu: 1280,
      dataplane: "kernel",
      attach: "node",
      dpd: 120,
      logFile: "/var/log/podvpn.log",
      logLevel: "debug",
    });
  });

  test.each([
    ["no hostSubnet", { hostSubnet: undefined }],
    ["null for what is absent, as Go writes it", { hostSubnet: null, serverID: null, mtu: null, pskFile: null }],
    ["an empty hostSubnet", { hostSubnet: [] }],
    ["a timeout as a number of seconds", { timeout: 200 }],
    ["no dead peer detection", { dpd: 0 }],
    ["a hub by its own name", { serverID: "server" }],
  ])("%s", (_name, keys) => {
    expect(parse(withVpn(keys)).servers).toEqual(["10.9.0.254"]);
  });

  test("keys at the top that are the bridge's or nobody's", () => {
    expect(parse(withVpn({}, { vlan: 7, args: { cni: {} }, "example.com/x": [1], VPN: {} })).dpd).toBe(2);
  });
});

describe("what is refused, by path, value and what is expected", () => {
  test.each<[Record<string, unknown>, string]>([
    [{ serverIP: undefined }, "vpn.serverIP is missing: give the hub's IPv4 or IPv6 address"],
    [{ serverIP: "hub.example" }, 'vpn.serverIP is "hub.example": give the hub\'s IPv4 or IPv6 address'],
    [{ serverIP: ["192.0.2.1", 5] }, "vpn.serverIP[1] is 5: give the hub's"],
    [{ serverIP: "fe80::1" }, 'vpn.serverIP is "fe80::1": give the hub\'s'],
    [{ serverIP: "127.0.0.1" }, 'vpn.serverIP is "127.0.0.1"'],
    [{ serverIP: "::" }, 'vpn.serverIP is "::"'],
    [{ serverIP: "ff02::1" }, 'vpn.serverIP is "ff02::1"'],
    [{ serverIP: "0.0.0.0" }, 'vpn.serverIP is "0.0.0.0"'],
    [{ virtualSubnet: [] }, "vpn.virtualSubnet[0] is missing: give a prefix such as 10.173.0.0/16"],
    [{ virtualSubnet: ["10.173.0.0/16", "x"] }, 'vpn.virtualSubnet[1] is "x": give a prefix such as'],
    [{ virtualSubnet: { v4: "10.173.0.0/16" } }, "vpn.virtualSubnet is an object: give a prefix"],
    [{ hostSubnet: "10.9.0.0" }, 'vpn.hostSubnet is "10.9.0.0": give a prefix'],
    [{ hostSubnet: ["10.9.0.0/24", ["10.8.0.0/24"]] }, "vpn.hostSubnet[1] is a list: give a prefix"],
    [{ serverID: "%any" }, 'vpn.serverID is "%any": give an IKE identity'],
    [{ serverID: "two words" }, 'vpn.serverID is "two words": give an IKE identity'],
    [{ identity: "{pod}" }, 'vpn.identity has the placeholder "{pod}": use {containerID}'],
    [{ proposals: "aes128 sha256" }, 'vpn.proposals is "aes128 sha256": give a proposal'],
    [{ espProposals: ["aes128gcm16", ""] }, 'vpn.espProposals[1] is "": give a proposal'],
    [{ timeout: 0 }, "vpn.timeout is 0: give seconds"],
    [{ timeout: "201s" }, 'vpn.timeout is "201s": give seconds'],
    [{ mtu: 575 }, "vpn.mtu is 575: give bytes"],
    [{ mtu: "1400" }, 'vpn.mtu is "1400": give bytes'],
    [{ mtu: 1400.5 }, "vpn.mtu is 1400.5: give bytes"],
    [{ dataplane: "ebpf" }, 'vpn.dataplane is "ebpf": give auto, kernel or userspace'],
    [{ attach: "host" }, 'vpn.attach is "host": give pod or node'],
    [{ dpd: "1500ms" }, 'vpn.dpd is "1500ms": give whole seconds'],
    [{ dpd: true }, "vpn.dpd is true: give whole seconds"],
    [{ virtualSubnets: "10.1.0.0/16" }, "vpn.virtualSubnets is not known: write vpn.virtualSubnet"],
    [{ serverip: "192.0.2.1" }, "vpn.serverip is not known: write vpn.serverIP"],
    [{ colour: "red" }, "vpn.colour is not known: use one of serverIP, virtualSubnet"],
    [{ "a\nb": 1 }, 'vpn["a\\nb"] is not known: use one of'],
  ])("%j", (keys, begin) => {
    const issues = issuesOf(withVpn(keys));
    expect(issues).toHaveLength(1);
    expect(issues[0]).toSatisfy((line: string) => line.startsWith(begin), `begins with ${begin}`);
  });

  test.each<[Record<string, unknown>, string]>([
    [{ vpn: undefined }, "vpn is missing: give an object with serverIP, virtualSubnet, and PSK or pskFile"],
    [{ vpn: null }, "vpn is missing"],
    [{ vpn: [] }, "vpn is an empty list: give an object"],
    [{ vpn: [{ PSK }] }, "vpn is a list: give an object"],
    [{ vpn: PSK }, "vpn is a string: give an object"],
    [{ logFile: "podvpn.log" }, 'logFile is "podvpn.log": give the absolute path of a file'],
    [{ logFile: "/var/log/" }, 'logFile is "/var/log/": give the absolute path of a file'],
    [{ logLevel: "warn" }, 'logLevel is "warn": give error, info or debug'],
  ])("at the top, %j", (keys, begin) => {
    const issues = issuesOf(withVpn({}, keys));
    expect(issues).toHaveLength(1);
    expect(issues[0]).toSatisfy((line: string) => line.startsWith(begin), `begins with ${begin}`);
  });

  test("all errors at once, one a line of the details, under code 7", () => {
    const raw = withVpn(
      {
        serverIP: "hub",
        virtualSubnet: ["10.173.0.0/16", "bad", "10.173.1.0/24"],
        PSK: undefined,
        psk: PSK,
        identity: "{pod}{args.NONE}",
        mtu: 3,
      },
      { logLevel: 4 },
    );
    const fault = faultOf(raw);
    expect(fault.code).toBe(Code.invalidConfig);
    expect(fault.details?.split("\n").map((line) => line.slice(0, line.indexOf(": ")))).toEqual([
      "vpn.psk is not known",
      'vpn.serverIP is "hub"',
      'vpn.virtualSubnet[1] is "bad"',
      "vpn.mtu is 3",
      "vpn.PSK is missing",
      'vpn.identity has the placeholder "{pod}"',
      'vpn.identity has the placeholder "{args.NONE}", and CNI_ARGS does not have it',
      "logLevel is 4",
    ]);
    for (const line of fault.details?.split("\n") ?? []) expect(fault.message).toContain(line);
    expect(fault.message).toMatch(/^the network configuration has 8 errors: /);
  });

  test("a wrong vpn hides no error beside it", () => {
    expect(issuesOf({ vpn: 1, logLevel: 4 })).toHaveLength(2);
  });

  test("values are shortened, and very many errors cut off", () => {
    const issues = issuesOf(withVpn({ hostSubnet: Array.from({ length: 1000 }, () => "x".repeat(10_000)) }));
    expect(issues).toHaveLength(21);
    expect(issues.at(-1)).toBe("and 980 more");
    expect(issues[0]?.length).toBeLessThan(180);
  });

  test("a value that JSON gives another prototype", () => {
    const raw = JSON.parse('{"vpn":{"__proto__":{"PSK":"x"},"constructor":1,"serverIP":{"__proto__":null}}}');
    expect(issuesOf(raw).map((line) => line.slice(0, line.indexOf(": ")))).toEqual([
      "vpn.__proto__ is not known",
      "vpn.constructor is not known",
      "vpn.serverIP is an object",
      "vpn.virtualSubnet is missing",
      "vpn.PSK is missing",
    ]);
  });
});

describe("STATUS, which has no container", () => {
  test("takes an identity by CNI_ARGS that only an ADD has", () => {
    const raw = withVpn({ identity: "{args.K8S_POD_UID}@{node}" });
    const { args: _, ...withoutArgs } = context;
    expect(parse(raw).identity).toBe("77d1@node1");
    expect(faultOf(raw, { args: new Map() }).what).toContain("CNI_ARGS does not have it");
    expect(parseStrongswanConfig(raw, withoutArgs).identity).toBe("K8S_POD_UID@node1");
  });
});
