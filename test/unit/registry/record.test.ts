import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { parsePrefix } from "../../../src/net/prefix.ts";
import type { NodeRecord } from "../../../src/registry/node-record.ts";
import { firstAddresses, recordOf } from "../../../src/registry/parse-record.ts";
import { isIssues, parseRecordText, recordText } from "../../../src/registry/record-text.ts";
import { ed25519Key, prefix, rawRecord, record, wireguardKey } from "./support.ts";

const PRIVATE = Buffer.from("private-key-never-to-be-seen-QzX").toString("base64");

/** What is wrong with a record, one line each. */
function issues(more: Record<string, unknown>): string[] {
  const read = recordOf(rawRecord(1, more));
  return isIssues(read) ? read.map(({ what, remedy }) => `${what}; ${remedy}`) : [];
}

/** Records of all kinds. */
function anyRecord(): fc.Arbitrary<NodeRecord> {
  const label = fc.stringMatching(/^[A-Za-z0-9]([\w./-]{0,20}[A-Za-z0-9])?$/);
  const text = fc.string({ unit: "grapheme", maxLength: 20 }).filter((value) => /^[^\p{C}\p{Zl}\p{Zp}]*$/u.test(value));
  const odd = fc.constantFrom(
    "true",
    "null",
    "~",
    "012",
    "1e3",
    "0x1f",
    "",
    " ",
    "a: b",
    "- x",
    "# y",
    "'",
    '"',
    "2026-11-21",
  );
  const site = fc.option(
    fc.oneof(fc.stringMatching(/^[A-Za-z0-9]([\w.-]{0,20}[A-Za-z0-9])?$/), fc.constantFrom("null", "1", "on")),
  );
  const host = fc.oneof(
    fc.ipV4().filter((ip) => /^(?:1|8)\d{1,2}\./.test(ip) && !ip.startsWith("127")),
    fc.domain(),
  );
  return fc
    .record({
      number: fc.nat({ max: 39_000 }),
      name: fc.option(
        fc.oneof(fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/), fc.constantFrom("1", "null", "1.5")),
      ),
      generation: fc.maxSafeNat(),
      publicHosts: fc.uniqueArray(host, { maxLength: 4, selector: (value) => value.toLowerCase() }),
      since: fc.option(fc.date({ min: new Date(0), max: new Date("9999-12-31"), noInvalidDate: true })),
      drivers: fc.constantFrom(undefined, ["ipsec", "wireguard"], ["wireguard"], ["ipsec"]),
      port: fc.integer({ min: 1, max: 65_535 }),
      nextPublicKey: fc.option(fc.constant(wireguardKey(70_000))),
      ipsec: fc.constantFrom(
        {},
        { identity: "C=FR,CN=n1" },
        { publicKey: ed25519Key(1) },
        { publicKey: ed25519Key(1), nextPublicKey: ed25519Key(2) },
      ),
      site,
      gateway: fc.boolean(),
      keepalive: fc.nat({ max: 65_535 }),
      mtu: fc.option(fc.integer({ min: 576, max: 65_535 })),
      labels: fc.dictionary(label, fc.oneof(text, odd), { maxKeys: 5, noNullPrototype: true }),
    })
    .map(({ number, name, publicHosts, since, drivers, port, nextPublicKey, ...rest }) => {
      const raw = rawRecord(number, {
        ...rest,
        ...(name === null ? {} : { name }),
        underlay: { private: ["10.9.0.1", "fd00:9::1"], public: publicHosts },
        since: since?.toISOString(),
        drivers,
        wireguard: { publicKey: wireguardKey(number), port, nextPublicKey },
      });
      const read = recordOf(raw);
      if (isIssues(read)) throw new Error(`${JSON.stringify(raw)}: ${read.map(({ what }) => what).join("; ")}`);
      return read;
    });
}

describe("the text of a record", () => {
  test("has its keys in a fixed order, with a remark on top", () => {
    const text = recordText(
      record(1, {
        generation: 3,
        since: "2026-11-21T12:00:00.000Z",
        underlay: { private: ["10.9.0.1"], public: ["n1.example.org"] },
        wireguard: { port: 51_821, publicKey: wireguardKey(1) },
        ipsec: { publicKey: ed25519Key(1) },
        labels: { zone: "b", rack: "012" },
      }),
    );
    expect(text).toBe(`# Written by podvpn agent on this node (n00001), at each change: edit agent.yaml there instead.
name: n00001
generation: 3
underlay:
  private:
    - 10.9.0.1
  public:
    - n1.example.org
podPrefixes:
  - 10.100.1.0/24
  - fd00:101:1::/64
since: 2026-11-21T12:00:00.000Z
addresses:
  - 10.100.1.1
  - fd00:101:1::1
drivers:
  - wireguard
  - ipsec
wireguard:
  publicKey: ${wireguardKey(1)}
  port: 51821
ipsec:
  identity: n00001
  publicKey: ${ed25519Key(1)}
gateway: false
keepalive: 0
labels:
  rack: "012"
  zone: b
...
`);
  });

  test("is read as the record that it was written of", () => {
    fc.assert(
      fc.property(anyRecord(), (one) => {
        const text = recordText(one);
        expect(parseRecordText(text)).toEqual(one);
        expect(recordText({ ...one, labels: Object.fromEntries(Object.entries(one.labels).reverse()) })).toBe(text);
      }),
    );
  });

  test("is refused when it was cut off anywhere", () => {
    const text = recordText(record(1));
    for (let length = 0; length < text.length; length += 1) {
      const read = parseRecordText(text.slice(0, length));
      if (!isIssues(read)) throw new Error(`cut off after ${length}, it is a record`);
    }
  });

  test("is read whoever wrote it, also as JSON", () => {
    expect(parseRecordText(JSON.stringify(rawRecord(1)))).toEqual(record(1));
    expect(parseRecordText(stringify(rawRecord(1)).replaceAll("\n", "\r\n"))).toEqual(record(1));
  });
});

describe("a record", () => {
  test("needs a name, pod prefixes and one identity", () => {
    const read = recordOf({});
    expect(isIssues(read) && read.map(({ what }) => what)).toEqual([
      "name is missing",
      "podPrefixes is missing",
      "wireguard is missing, and so is ipsec",
    ]);
    expect(recordOf(parse(`{name: n1, podPrefixes: 10.1.0.0/24, ipsec: {}}`))).toEqual({
      name: "n1",
      generation: 0,
      underlay: { private: [], public: [] },
      podPrefixes: ["10.1.0.0/24"],
      addresses: ["10.1.0.1"],
      drivers: ["ipsec"],
      ipsec: { identity: "n1" },
      gateway: false,
      keepalive: 0,
      labels: {},
    });
  });

  test.each([
    [
      ["10.1.0.0/24", "10.2.0.0/24", "fd00:1::/64"],
      ["10.1.0.1", "fd00:1::1"],
    ],
    [["fd00:1::/64"], ["fd00:1::1"]],
    [["10.1.0.4/31"], ["10.1.0.4"]],
    [
      ["10.1.0.5/32", "fd00::7/128"],
      ["10.1.0.5", "fd00::7"],
    ],
    [
      ["10.1.0.4/30", "fd00::6/127"],
      ["10.1.0.5", "fd00::6"],
    ],
  ])("has the first address of %j that a host can have", (prefixes, addresses) => {
    expect(firstAddresses(prefixes.map(prefix))).toEqual(addresses);
  });

  test.each<[string, Record<string, unknown>, RegExp]>([
    ["name with capitals", { name: "Node1" }, /^name is "Node1"; give a name of 1 to 253 lower-case letters/],
    ["name that YAML takes for a number", { name: 12 }, /^name is 12; give a name/],
    ["too long a label in its name", { name: `${"a-".repeat(32)}a` }, /^name is "(?:a-){29}a…; give a name/],
    ["unknown key", { podprefix: "10.1.0.0/24" }, /^podprefix is not known; write podPrefixes$/],
    [
      "unknown key below",
      { wireguard: { publickey: "x" } },
      /^wireguard\.publickey is not known; write wireguard\.publicKey/,
    ],
    ["generation that is none", { generation: -1 }, /^generation is -1; give a whole number/],
    [
      "underlay that is a list",
      { underlay: ["10.9.0.1"] },
      /^underlay is a list; give an object with private and public/,
    ],
    [
      "loopback underlay",
      { underlay: { private: "127.0.0.1" } },
      /^underlay\.private\[0\] is "127\.0\.0\.1"|^underlay\.private is/,
    ],
    ["underlay with a zone", { underlay: { private: ["fe80::1%eth0"] } }, /^underlay\.private\[0\] is "fe80::1%eth0"/],
    [
      "underlay address twice",
      { underlay: { public: ["A.example", "a.example"] } },
      /^underlay\.public\[1\] is "a\.example", as an/,
    ],
    ["name as private address", { underlay: { private: ["n1.example"] } }, /^underlay\.private\[0\] is "n1\.example"/],
    [
      "everything as pod prefix",
      { podPrefixes: ["0.0.0.0/0"], addresses: [] },
      /^podPrefixes\[0\] is "0\.0\.0\.0\/0"; give a prefix/,
    ],
    ["multicast as pod prefix", { podPrefixes: ["ff00::/8"] }, /^podPrefixes\[0\] is "ff00::\/8"/],
    [
      "overlap in itself",
      { podPrefixes: ["10.1.0.0/16", "10.1.2.0/24"] },
      /^podPrefixes\[1\] is .* overlaps "10\.1\.0\.0\/16"/,
    ],
    ["no pod prefix", { podPrefixes: [] }, /^podPrefixes is an empty list/],
    [
      "address elsewhere",
      { addresses: ["10.7.7.7"] },
      /^addresses\[0\] is "10\.7\.7\.7", which is in none of podPrefixes/,
    ],
    [
      "two addresses of a family",
      { addresses: ["10.100.1.1", "10.100.1.2"] },
      /^addresses\[1\] is .* of the same family/,
    ],
    [
      "driver without identity",
      { drivers: ["wireguard", "ipsec"] },
      /^ipsec is missing, and drivers has it; give ipsec, or take/,
    ],
    ["driver twice", { drivers: ["wireguard", "wireguard"] }, /^drivers is a list; give wireguard or ipsec/],
    ["driver that is none", { drivers: "openvpn" }, /^drivers is "openvpn"/],
    ["no key", { wireguard: { port: 1 } }, /^wireguard\.publicKey is missing; give a public key/],
    [
      "same next key",
      { wireguard: { publicKey: wireguardKey(1), nextPublicKey: wireguardKey(1) } },
      /^wireguard\.nextPublicKey is the same/,
    ],
    [
      "key of another kind",
      { ipsec: { publicKey: wireguardKey(1) } },
      /^ipsec\.publicKey is \[secret\]; give a public ed25519 key/,
    ],
    [
      "next key alone",
      { ipsec: { nextPublicKey: ed25519Key(1) } },
      /^ipsec\.publicKey is missing, and ipsec\.nextPublicKey is given/,
    ],
    ["identity that is a pattern", { ipsec: { identity: "*@x" } }, /^ipsec\.identity is "\*@x"/],
    ["wrong time", { since: "yesterday" }, /^since is "yesterday"; give a time/],
    ["time that does not exist", { since: "2026-13-01T00:00:00Z" }, /^since is/],
    ["keepalive that is too long", { keepalive: "2d" }, /^keepalive is "2d"/],
    ["MTU that is too small", { mtu: 100 }, /^mtu is 100; give bytes from 576/],
    ["label that is a number", { labels: { rack: 12 } }, /^labels\.rack is 12; give text: in quotes/],
    ["labels as a list", { labels: ["a"] }, /^labels is a list; give names with texts/],
    ["label that would be a prototype", JSON.parse('{"labels":{"__proto__":"x"}}'), /^labels\.__proto__ is not a name/],
    [
      "too many labels",
      { labels: Object.fromEntries(Array.from({ length: 65 }, (_, n) => [`l${n}`, ""])) },
      /^labels has 65 names/,
    ],
    ["label that is too long", { labels: { a: "x ".repeat(127) } }, /^labels\.a is "(?:x ){29}x…; give at most 253/],
  ])("is refused with a %s", (_, more, message) => {
    const found = issues(more);
    expect(found.length).toBeGreaterThan(0);
    expect(
      found.some((line) => message.test(line)),
      found.join("\n"),
    ).toBe(true);
  });

  test("takes null for what is absent", () => {
    const absent = { site: null, mtu: null, ipsec: null, labels: null, underlay: null, addresses: null, drivers: null };
    const { underlay: _, ...rest } = record(1);
    expect(recordOf(rawRecord(1, absent))).toEqual({ ...rest, underlay: { private: [], public: [] } });
  });

  test("never shows a private key that was taken for a public one, or stands anywhere", () => {
    const all = [
      ...issues({
        wireguard: { publicKey: PRIVATE.slice(0, 43), port: PRIVATE },
        ipsec: { publicKey: PRIVATE, identity: [PRIVATE] },
      }),
      ...issues({ name: PRIVATE, site: PRIVATE, podPrefixes: PRIVATE, labels: { [PRIVATE]: "x", a: [PRIVATE] } }),
      ...issues({ [PRIVATE]: 1, underlay: PRIVATE, since: PRIVATE, drivers: [PRIVATE], addresses: [PRIVATE] }),
    ];
    expect(all.length).toBeGreaterThan(10);
    for (const line of all) expect(line).not.toContain(PRIVATE.slice(4, 24));
  });

  test("keeps prefixes and addresses in their canonical form", () => {
    const read = record(1, { podPrefixes: ["10.1.2.3/16", "FD00:0:0:1::5/64"], addresses: "fd00:0:0:1:0:0:0:9" });
    expect(read.podPrefixes).toEqual([parsePrefix("10.1.0.0/16"), parsePrefix("fd00:0:0:1::/64")]);
    expect(read.addresses).toEqual(["fd00:0:0:1::9"]);
  });
});
