import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { Code, Fault } from "../../../src/fault.ts";
import {
  ALICE,
  BOB,
  faultOf,
  files,
  issuesOf,
  KEYS,
  PRIVATE,
  parse,
  peer,
  SHARED,
  withWireguard,
} from "./wireguard-support.ts";

const FILE = "/etc/podvpn/peers";

/** A configuration whose peers are in {@link FILE}. */
const fromFile = withWireguard({ peers: undefined, peersFile: FILE });

/** What stands in FILE, as a reader of it. */
function holding(content: Parameters<typeof files>[0][string]) {
  return { readSecretFile: files({ [FILE]: content, "/shared": SHARED }) };
}

describe("peersFile", () => {
  const yaml = `
# made by hand
- publicKey: ${ALICE}
  name: node 2
  endpoint: node2.example:51820
  allowedIPs: [10.1.2.0/24, "fd00:2::/64"]
  presharedKeyFile: /shared
  persistentKeepalive: off
- publicKey: ${BOB}
  allowedIPs: 10.1.3.0/24
  persistentKeepalive: 25
`;

  test.each<[string, string]>([
    ["a list in YAML", yaml],
    ["an object in YAML", `peers:\n${yaml.replaceAll(/^/gm, "  ")}`],
    [
      "a list in JSON",
      JSON.stringify([
        peer({
          name: "node 2",
          endpoint: "node2.example:51820",
          allowedIPs: ["10.1.2.0/24", "fd00:2::/64"],
          presharedKeyFile: "/shared",
        }),
        { publicKey: BOB, allowedIPs: "10.1.3.0/24", persistentKeepalive: 25 },
      ]),
    ],
    [
      "YAML in flow style",
      `[{publicKey: "${ALICE}", name: node 2, endpoint: "node2.example:51820", allowedIPs: [10.1.2.0/24, "fd00:2::/64"], presharedKeyFile: /shared}, {publicKey: "${BOB}", allowedIPs: 10.1.3.0/24, persistentKeepalive: 25s}]`,
    ],
  ])("may be %s", async (_name, text) => {
    const { peers, meshPrefixes } = await parse(fromFile, holding(text));
    expect(peers).toMatchObject([
      {
        publicKey: ALICE,
        name: "node 2",
        endpoint: { host: "node2.example", port: 51_820 },
        allowedIPs: ["10.1.2.0/24", "fd00:2::/64"],
        persistentKeepalive: 0,
      },
      { publicKey: BOB, allowedIPs: ["10.1.3.0/24"], persistentKeepalive: 25 },
    ]);
    expect(Buffer.from(peers[0]?.presharedKey?.reveal() ?? []).toString("base64")).toBe(SHARED);
    expect(meshPrefixes).toEqual(["10.1.2.0/23", "fd00:2::/64"]);
  });

  test("may hold no peers, if it says so", async () => {
    expect((await parse(fromFile, holding("[]\n"))).peers).toEqual([]);
    expect((await parse(fromFile, holding("peers: []\n"))).peers).toEqual([]);
  });

  test.each<[string, Parameters<typeof files>[0][string], string]>([
    ["empty", "", `wireguard.peersFile is "${FILE}", which holds nothing: write a list of peers`],
    ["a text", SHARED, `wireguard.peersFile is "${FILE}", which holds a string: write a list of peers`],
    ["an object of something else", "nodes: []", `wireguard.peersFile is "${FILE}", which holds an object without`],
    ["more than peers", "peers: []\nfwmark: 1", `${FILE}.fwmark is not known: take it out`],
    ["wrong JSON", '[{"publicKey": }', `wireguard.peersFile: ${FILE}:1 is not YAML`],
    ["wrong YAML", "- a: b\n c: [\n", `wireguard.peersFile: ${FILE}:2 is not YAML`],
    ["a directory", { mode: 0o040755 }, `wireguard.peersFile is "${FILE}", which is no regular file`],
    [
      "somebody else's",
      { uid: 1000, bytes: Buffer.from("[]") },
      `wireguard.peersFile is "${FILE}", which belongs to user 1000`,
    ],
    [
      "writable by its group",
      { mode: 0o100664 },
      `wireguard.peersFile is "${FILE}", which others than its owner may change (mode 0664): close it, with chmod go-w`,
    ],
    [
      "a peer that is wrong",
      `- publicKey: ${ALICE}\n  allowedIPs: 10.1.2/24`,
      `${FILE}[0].allowedIPs is "10.1.2/24": give a prefix`,
    ],
    [
      "a peer in the bridge's subnet",
      JSON.stringify({ peers: [peer({ allowedIPs: ["10.1.1.0/25"] })] }),
      `${FILE}: peers[0].allowedIPs[0] is "10.1.1.0/25", which overlaps "10.1.1.0/24" (ipam.subnet)`,
    ],
  ])("is refused when it is %s", async (_name, content, begin) => {
    const [issue, ...others] = await issuesOf(fromFile, holding(content));
    expect(issue).toSatisfy((line: string) => line.startsWith(begin), `begins with ${begin}`);
    expect(others).toEqual([]);
  });

  test("may be read by all, and is refused when it is not there", async () => {
    await parse(fromFile, holding({ mode: 0o100644, bytes: Buffer.from("[]") }));
    expect((await faultOf(fromFile)).what).toBe(`wireguard.peersFile is "${FILE}", which does not exist`);
  });

  test("that cannot be read hides nothing else that is wrong", async () => {
    const raw = withWireguard({ peers: undefined, peersFile: FILE, mtu: 5 });
    const unreadable = () => {
      throw new Fault(Code.io, `${FILE}: EIO`, "look at the disk");
    };
    expect(await issuesOf(raw, { readSecretFile: unreadable })).toEqual([
      "wireguard.mtu is 5: give auto, or bytes from 576 to 65535, from 1280 with IPv6 in the tunnel",
      `wireguard.peersFile: ${FILE}: EIO: look at the disk`,
    ]);
  });
});

describe("presharedKeyFile", () => {
  const raw = withWireguard({ peers: [peer({ presharedKeyFile: "/psk" })] });
  const holds = (content: Parameters<typeof files>[0][string]) => ({ readSecretFile: files({ "/psk": content }) });

  test.each([SHARED, `${SHARED}\n`, `${SHARED} \r\n\n`])(
    "holds a key, and white space behind it at most: %#",
    async (text) => {
      const { peers } = await parse(raw, holds(text));
      expect(Buffer.from(peers[0]?.presharedKey?.reveal() ?? []).toString("base64")).toBe(SHARED);
    },
  );

  test.each<[string, Parameters<typeof files>[0][string], string]>([
    [
      "empty",
      "",
      'wireguard.peers[0].presharedKeyFile is "/psk", which holds no key: write one into it with wg genpsk',
    ],
    ["a key of zeros", `${"A".repeat(43)}=\n`, 'wireguard.peers[0].presharedKeyFile is "/psk", which holds no key'],
    ["two keys", `${SHARED}\n${SHARED}\n`, 'wireguard.peers[0].presharedKeyFile is "/psk", which holds no key'],
    ["short", SHARED.slice(4), 'wireguard.peers[0].presharedKeyFile is "/psk", which holds no key'],
    [
      "bytes",
      { bytes: new Uint8Array(32).fill(0xff) },
      'wireguard.peers[0].presharedKeyFile is "/psk", which holds no key',
    ],
    [
      "open to others",
      { mode: 0o100640 },
      'wireguard.peers[0].presharedKeyFile is "/psk", which others than its owner may use (mode 0640)',
    ],
    ["somebody else's", { uid: 7 }, 'wireguard.peers[0].presharedKeyFile is "/psk", which belongs to user 7'],
  ])("is refused when it is %s", async (_name, content, begin) => {
    const [issue, ...others] = await issuesOf(raw, holds(content));
    expect(issue).toSatisfy((line: string) => line.startsWith(begin), `begins with ${begin}`);
    expect(others).toEqual([]);
  });

  test("each that is missing is told", async () => {
    const peers = [peer({ presharedKeyFile: "/a" }), peer({ publicKey: BOB, allowedIPs: [], presharedKeyFile: "/b" })];
    expect(await issuesOf(withWireguard({ peers }))).toEqual([
      'wireguard.peers[0].presharedKeyFile is "/a", which does not exist: make the file, or correct the path',
      'wireguard.peers[1].presharedKeyFile is "/b", which does not exist: make the file, or correct the path',
    ]);
  });
});

describe("configFile", () => {
  const wg = (keys: Record<string, unknown> = {}) => withWireguard({ peers: undefined, configFile: FILE, ...keys });
  const text = `
[Interface]
PrivateKey = ${PRIVATE}
ListenPort = 51821
FwMark = 0x7

[Peer] # node 2
PublicKey = ${ALICE}
PresharedKey = ${SHARED}
AllowedIPs = 10.1.2.0/24
Endpoint = 192.0.2.2:51820
`;

  test("gives key, port, mark and peers", async () => {
    const { privateKey, peers, ...config } = await parse(wg(), holding(text));
    expect(config).toMatchObject({ listenPort: 51_821, fwmark: 7, meshPrefixes: ["10.1.2.0/24"] });
    expect(config).not.toHaveProperty("privateKeyFile");
    expect(Buffer.from(privateKey?.reveal() ?? []).toString("base64")).toBe(PRIVATE);
    expect(Buffer.from(peers[0]?.presharedKey?.reveal() ?? []).toString("base64")).toBe(SHARED);
    expect(peers[0]?.place).toEqual({
      publicKey: `${FILE}:8 PublicKey`,
      endpoint: `${FILE}:11 Endpoint`,
      allowedIPs: [`${FILE}:10 AllowedIPs`],
    });
  });

  test("what it leaves out is as without it", async () => {
    const config = await parse(wg({ listenPort: 7, fwmark: 9 }), holding(`[Peer]\nPublicKey=${ALICE}\n`));
    expect(config).toMatchObject({
      listenPort: 7,
      fwmark: 9,
      privateKeyFile: "/var/lib/podvpn/wireguard/podvpn0.key",
      peers: [{ publicKey: ALICE, allowedIPs: [], persistentKeepalive: 0 }],
    });
    expect(await parse(wg(), holding("[Interface]\n"))).toMatchObject({ listenPort: 51_820, fwmark: 0 });
  });

  test("may say the same as the configuration", async () => {
    expect(await parse(wg({ listenPort: 51_821, fwmark: "7" }), holding(text))).toMatchObject({ fwmark: 7 });
  });

  test("must not contradict it", async () => {
    const raw = wg({ listenPort: 51_820, fwmark: "off", privateKeyFile: "/etc/podvpn/key" });
    expect(await issuesOf(raw, holding(text))).toEqual([
      `${FILE}:3 PrivateKey and wireguard.privateKeyFile are both given: take one of them out`,
      `wireguard.listenPort is 51820, and ${FILE}:4 ListenPort is 51821: take one of them out, or make them the same`,
      `wireguard.fwmark is 0, and ${FILE}:5 FwMark is 7: take one of them out, or make them the same`,
    ]);
  });

  test.each<[string, Parameters<typeof files>[0][string], string]>([
    [
      "open to its group",
      { mode: 0o100640 },
      `wireguard.configFile is "${FILE}", which others than its owner may use (mode 0640): close it, with chmod 600`,
    ],
    ["somebody else's", { uid: 7 }, `wireguard.configFile is "${FILE}", which belongs to user 7`],
    ["a FIFO", { mode: 0o010600 }, `wireguard.configFile is "${FILE}", which is no regular file`],
    ["wrong", "[Peer]\nPublicKey = x\n", `${FILE}:2 PublicKey is [secret]: give a key`],
    [
      "in conflict with the bridge",
      `[Peer]\nPublicKey=${ALICE}\nAllowedIPs = 10.1.2.0/24,\\\n`,
      `${FILE}:3 AllowedIPs is "\\\\": give a prefix`,
    ],
    [
      "twice of one peer",
      `[Peer]\nPublicKey=${ALICE}\n[Peer]\nPublicKey=${ALICE}\n`,
      `${FILE}:4 PublicKey is "${ALICE}", and so is ${FILE}:2 PublicKey`,
    ],
  ])("is refused when it is %s", async (_name, content, begin) => {
    const [issue, ...others] = await issuesOf(wg(), holding(content));
    expect(issue).toSatisfy((line: string) => line.startsWith(begin), `begins with ${begin}`);
    expect(others).toEqual([]);
  });
});

describe("no private or preshared key is ever shown", () => {
  /** Everything of `fault` that could be printed. */
  const printed = (fault: Fault) =>
    [fault.message, fault.what, fault.remedy, fault.details, fault.stack, inspect(fault, { depth: 9 })].join("\n");

  test.each<[string, Record<string, unknown>]>([
    ["under a name that is not known", { privateKey: PRIVATE }],
    ["in place of its file", { privateKeyFile: PRIVATE }],
    ["in place of its file, with a slash", { privateKeyFile: `/${PRIVATE.slice(1)}` }],
    ["in a list", { privateKeyFile: [PRIVATE] }],
    ["in place of wireguard.peers", { peers: PRIVATE }],
    ["in place of another file", { peers: undefined, peersFile: `/${PRIVATE.slice(1)}` }],
    ["in place of a number", { listenPort: PRIVATE }],
    ["as an endpoint", { peers: [peer({ endpoint: PRIVATE })] }],
    ["as an allowed IP", { peers: [peer({ allowedIPs: [PRIVATE] })] }],
    ["as the level of the log", { logLevel: PRIVATE }],
    ["in place of a peer", { peers: [PRIVATE] }],
    ["in a peer, under a name that is not known", { peers: [peer({ privateKey: PRIVATE })] }],
    ["in a peer, in place of its file", { peers: [peer({ presharedKeyFile: PRIVATE })] }],
    ["in a peer, in place of its file, with a slash", { peers: [peer({ presharedKeyFile: `/${PRIVATE.slice(1)}` })] }],
    ["as a public key that is cut", { peers: [peer({ publicKey: PRIVATE.slice(0, -1) })] }],
  ])("%s", async (_name, keys) => {
    const text = printed(await faultOf(withWireguard({ mtu: 1, ...keys }, keys)));
    expect(text).not.toContain(PRIVATE.slice(1, -1));
  });

  test.each([
    `PrivateKey = ${PRIVATE}x`,
    `PrivateKey = ${PRIVATE.slice(0, -1)}`,
    `PrivateKe = ${PRIVATE}`,
    PRIVATE,
    `[${PRIVATE}]`,
    `ListenPort = ${PRIVATE}`,
    `FwMark = ${PRIVATE}`,
    `Address = ${PRIVATE}`,
    `[Peer]\n PublicKey = ${PRIVATE}=`,
    `[Peer]\n PresharedKey = ${PRIVATE}=`,
    `[Peer]\n PrivateKey = ${PRIVATE}`,
    `[Peer]\n Endpoint = ${PRIVATE}`,
    `[Peer]\n Endpoint = ${PRIVATE}:51820`,
    `[Peer]\n AllowedIPs = 10.1.2.0/24, ${PRIVATE}`,
    `[Peer]\n PersistentKeepalive = ${PRIVATE}`,
  ])("in a wg file: %#", async (lines) => {
    const raw = withWireguard({ peers: undefined, configFile: FILE, mtu: 1 });
    const text = printed(await faultOf(raw, holding(`[Interface]\n${lines}\n`)));
    expect(text).toContain(`${FILE}:`);
    expect(text.toLowerCase()).not.toContain(PRIVATE.slice(1, 40).toLowerCase());
  });

  test("nor by printing the whole configuration", async () => {
    const text = `[Interface]\nPrivateKey=${PRIVATE}\n[Peer]\nPublicKey=${KEYS[0]}\nPresharedKey=${SHARED}`;
    const config = await parse(withWireguard({ peers: undefined, configFile: FILE }), holding(text));
    const shown = `${inspect(config, { depth: 9 })}${JSON.stringify(config)}${config.privateKey}`;
    expect(shown).not.toContain(PRIVATE);
    expect(shown).not.toContain(SHARED);
  });
});
