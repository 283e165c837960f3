import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { type HubConfig, parseHubConfig } from "../../../src/config/hub.ts";
import type { SecretFileAccess } from "../../../src/config/psk-file.ts";
import { Fault } from "../../../src/fault.ts";
import { Secret } from "../../../src/secret.ts";

const KEY = "key-that-nobody-may-see";

/** Files by path: `mode` 0600 unless it is told after a colon. */
const access: SecretFileAccess = {
  euid: 0,
  readSecretFile(path) {
    const [, mode] = path.split(":");
    if (path.startsWith("/absent")) return undefined;
    return { uid: 0, mode: 0o100000 | Number.parseInt(mode ?? "600", 8), bytes: Buffer.from(`${KEY} ${path}\n`) };
  },
};

function config(yaml: string): HubConfig {
  return parseHubConfig(parse(yaml), "hub.yaml", access);
}

function fault(yaml: string): Fault {
  try {
    config(yaml);
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
  throw new Error("the configuration was taken");
}

describe("a hub's configuration", () => {
  test("needs virtualSubnets and a PSK, and has defaults for the rest", () => {
    const { subnets, psks, ...rest } = config("virtualSubnets: [10.173.0.0/16, 'fd00:173::/64']\npskFile: /psk");
    expect(subnets).toEqual([
      { subnet: "10.173.0.0/16", own: "10.173.255.254", pool: { first: "10.173.0.1", last: "10.173.255.253" } },
      {
        subnet: "fd00:173::/64",
        own: "fd00:173::ffff:ffff:ffff:ffff",
        pool: { first: "fd00:173::1", last: "fd00:173::ffff" },
      },
    ]);
    expect(psks).toBeInstanceOf(Secret);
    expect(rest).toEqual({
      listen: [],
      identity: "server",
      proposals: ["aes128gcm16-prfsha256-x25519"],
      espProposals: ["aes128gcm16-x25519"],
      dpd: 30,
      dataplane: "auto",
      directory: "/run/podvpn/hub",
      leases: "/var/lib/podvpn/hub/leases.json",
      leaseTime: 3600,
      logLevel: "info",
    });
  });

  test("keeps the leases of each hub of a machine in a file of its own", () => {
    const { leases } = config("virtualSubnets: 10.173.0.0/16\npskFile: /psk\ndirectory: /run/podvpn/hub-b");
    expect(leases).toBe("/var/lib/podvpn/hub/run+podvpn+hub-b/leases.json");
    expect(config("virtualSubnets: 10.173.0.0/16\npskFile: /psk\nleases: /srv/l.json").leases).toBe("/srv/l.json");
  });

  test("takes one value where a list of one would do", () => {
    const { listen, subnets } = config("virtualSubnets: 10.173.0.0/16\npskFile: /psk\nlisten: 10.9.0.254");
    expect(listen).toEqual(["10.9.0.254"]);
    expect(subnets).toHaveLength(1);
  });

  test("takes a pool for a subnet", () => {
    const { subnets } = config("pskFile: /psk\nvirtualSubnets: [{ subnet: 10.173.0.0/16, pool: 10.173.16.0/20 }]");
    expect(subnets[0]?.pool).toEqual({ first: "10.173.16.0", last: "10.173.31.255" });
  });

  test("takes a PSK for each identity, without the end of line of its file", () => {
    const yaml =
      "virtualSubnets: 10.173.0.0/16\nidentities: [{ identity: a@n1, pskFile: /a }, { identity: b, pskFile: /b }]";
    const { psks } = config(yaml);
    if (psks instanceof Secret) throw new Error("one key for all");
    expect(psks.map(({ identity, psk }) => [identity, Buffer.from(psk.reveal()).toString()])).toEqual([
      ["a@n1", `${KEY} /a`],
      ["b", `${KEY} /b`],
    ]);
  });

  test("tells all that is wrong at once, with path, value and what is expected", () => {
    const { what, details } = fault(`
      listen: [10.9.0.254, nowhere]
      virtualSubnet: 10.173.0.0/16
      virtualSubnets:
        - 10.173.0.0/33
        - { subnet: 'fd00:173::/64', pool: 'fd00:173::/96', size: 3 }
        - 7
      identity: "two words"
      dpd: soon
      pskFile: /psk:644
      dataplane: both
    `);
    expect(what).toBe("hub.yaml has 9 errors");
    for (const line of [
      "virtualSubnet is not known: write virtualSubnets",
      'listen[1] is "nowhere": give an IPv4 or IPv6 address of this hub',
      'virtualSubnets[0].subnet is "10.173.0.0/33": give a prefix',
      "virtualSubnets[1].size is not known: use one of subnet, pool",
      "virtualSubnets[2] is a number: give an object with subnet and pool",
      'identity is "two words": give an IKE identity',
      'dpd is "soon": give whole seconds (30)',
      'pskFile is "/psk:644", which others than its owner may use (mode 0644): close it, with chmod 600',
      'dataplane is "both": give auto, kernel or userspace',
    ]) {
      expect(details).toContain(line);
    }
  });

  test("wants exactly one of pskFile and identities", () => {
    expect(fault("virtualSubnets: 10.173.0.0/16").message).toMatch(/pskFile is missing/);
    const both = "virtualSubnets: 10.173.0.0/16\npskFile: /psk\nidentities: [{ identity: a, pskFile: /a }]";
    expect(fault(both).message).toMatch(/both given/);
  });

  test.each([
    ["[10.173.0.0/16, 10.173.4.0/24]", /\[1\] is "10.173.4.0\/24", which overlaps "10.173.0.0\/16"/],
    ["[10.9.0.0/16]", /\[0\] is "10.9.0.0\/16", which holds the address "10.9.0.254" of listen/],
    ["[{ subnet: 10.173.0.0/16, pool: 10.174.0.0/24 }]", /\[0\].pool is "10.174.0.0\/24", which is not in/],
    [
      "[{ subnet: 'fd00:1::/64', pool: 'fd00:1::/111' }]",
      /\[0\].pool is "fd00:1::\/111"; give an IPv6 pool of at least 112/,
    ],
    ["[10.173.0.0/31]", /\[0\] is "10.173.0.0\/31"; give more addresses/],
    ["[{ subnet: 10.173.0.0/16, pool: 10.173.255.254/31 }]", /\[0\].pool is "10.173.255.254\/31"; give more addresses/],
    ["[0.0.0.0/0]", /\[0\].subnet is "0.0.0.0\/0"; give a prefix such as/],
    ["['::ffff:10.173.0.0/112']", /\[0\].subnet is "::ffff:10.173.0.0\/112"/],
    ["['fe80::/64']", /fe80/],
    ["['100::/64']", /\[0\].subnet is "100::\/64"/],
    ["[]", /virtualSubnets is an empty list; give a list with at least one prefix/],
  ])("refuses virtualSubnets %s", (subnets, message) => {
    expect(fault(`virtualSubnets: ${subnets}\npskFile: /psk\nlisten: 10.9.0.254`).message).toMatch(message);
  });

  test.each([
    ["the hub's own", "server", "other", /identities\[0\].identity is "server", and so is identity, the hub's own/],
    [
      "one that another has",
      "pod-a",
      "POD-A",
      /identities\[1\].identity is "POD-A", and so is identities\[0\].identity/,
    ],
    ["a pattern", "*@n1", "other", /identities\[0\].identity is "\*@n1"/],
    ["any", "%any", "other", /identities\[0\].identity is "%any"/],
  ])("refuses as an identity %s", (_, one, other, message) => {
    const yaml = `identities: [{ identity: "${one}", pskFile: /a }, { identity: "${other}", pskFile: /b }]`;
    expect(fault(`virtualSubnets: 10.173.0.0/16\n${yaml}`).message).toMatch(message);
  });

  test("never shows a key, whatever is wrong with it", () => {
    for (const yaml of [
      `pskFile: ${KEY}`,
      `psk: ${KEY}`,
      `pskFile: [${KEY}]`,
      `identities: [${KEY}]`,
      `identities: { pod: ${KEY} }`,
      `identities: [{ identity: a, psk: ${KEY} }]`,
      `identities: [{ identity: a, pskFile: ${KEY} }]`,
      "pskFile: /psk:644",
    ]) {
      const { message, details = "" } = fault(`virtualSubnets: 10.173.0.0/16\n${yaml}`);
      expect(`${message}${details}`).not.toContain(KEY);
    }
    expect(() => parseHubConfig(KEY, "hub.yaml", access)).toThrow("hub.yaml: it holds a string");
  });

  test("is taken or refused with a Fault, never with anything else", () => {
    const value = fc.oneof(fc.string(), fc.integer(), fc.constant(null), fc.array(fc.string()), fc.object());
    const keys = ["listen", "virtualSubnets", "identities", "pskFile", "dpd", "identity", "proposals", "directory"];
    const root = fc.dictionary(fc.constantFrom(...keys), value);
    fc.assert(
      fc.property(fc.oneof(root, value), (raw) => {
        try {
          parseHubConfig(raw, "hub.yaml", access);
        } catch (error) {
          expect(error).toBeInstanceOf(Fault);
        }
      }),
    );
  });
});
