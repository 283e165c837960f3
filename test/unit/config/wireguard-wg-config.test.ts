import { describe, expect, test } from "vitest";
import { parseWgConfig, type WgConfig } from "../../../src/config/wg-config.ts";
import { ALICE, BOB, PRIVATE, SHARED } from "./wireguard-support.ts";

/** What `text` says; a failure of the test when anything is wrong with it. */
function read(text: string): WgConfig {
  const { config, issues } = parseWgConfig(text, "wg0.conf");
  expect(issues).toEqual([]);
  return config;
}

/** What is wrong with `text`, a line each. */
function wrong(text: string): string[] {
  return parseWgConfig(text, "wg0.conf").issues.map(({ what, remedy }) => `${what}: ${remedy}`);
}

describe("a file is read as wg setconf does", () => {
  test("with all of its keys", () => {
    const { privateKey, peers, ...rest } = read(`
[Interface]
PrivateKey = ${PRIVATE}
ListenPort = 51820
FwMark = 0xCa6c

[Peer]
PublicKey = ${ALICE}
PresharedKey = ${SHARED}
AllowedIPs = 10.1.2.9/24, fd00:2::/64
Endpoint = [2001:DB8::2]:51820
PersistentKeepalive = 25

[Peer]
PublicKey = ${BOB}
Endpoint = node3.example:7
`);
    expect(rest).toEqual({
      listenPort: { value: 51_820, path: "wg0.conf:4 ListenPort" },
      fwmark: { value: 0xca6c, path: "wg0.conf:5 FwMark" },
    });
    expect(privateKey?.path).toBe("wg0.conf:3 PrivateKey");
    expect(Buffer.from(privateKey?.value.reveal() ?? []).toString("base64")).toBe(PRIVATE);
    const [first, second] = peers;
    expect(Buffer.from(first?.presharedKey?.reveal() ?? []).toString("base64")).toBe(SHARED);
    expect({ ...first, presharedKey: undefined }).toEqual({
      publicKey: ALICE,
      presharedKey: undefined,
      endpoint: { address: "2001:db8::2", port: 51_820 },
      allowedIPs: ["10.1.2.0/24", "fd00:2::/64"],
      persistentKeepalive: 25,
      place: {
        publicKey: "wg0.conf:8 PublicKey",
        endpoint: "wg0.conf:11 Endpoint",
        allowedIPs: ["wg0.conf:10 AllowedIPs", "wg0.conf:10 AllowedIPs"],
      },
    });
    expect(second).toEqual({
      publicKey: BOB,
      endpoint: { host: "node3.example", port: 7 },
      allowedIPs: [],
      persistentKeepalive: 0,
      place: { publicKey: "wg0.conf:15 PublicKey", endpoint: "wg0.conf:16 Endpoint", allowedIPs: [] },
    });
  });

  test.each<[string, string, object]>([
    ["nothing", "", { peers: [] }],
    ["comments and blank lines", "# [Peer]\n\n \t#\r\n", { peers: [] }],
    [
      "capitals and white space anywhere",
      `\t[in ter\tFACE]\r\n listen PORT\t=\v5 1\f# 8`,
      { listenPort: { value: 51 } },
    ],
    [
      "several [Interface], of which the last counts",
      "[Interface]\nListenPort=1\n[Interface]\nListenPort=2\nFwMark=1",
      { listenPort: { value: 2 } },
    ],
    [
      "a peer before the interface",
      `[Peer]\nPublicKey=${ALICE}\n[Interface]\nFwMark=OFF`,
      { fwmark: { value: 0 }, peers: [{ publicKey: ALICE }] },
    ],
    [
      "the last of a repeated key",
      `[Peer]\nPublicKey=${BOB}\nPublicKey=${ALICE}\nEndpoint=192.0.2.1:1\nEndpoint=192.0.2.2:2`,
      { peers: [{ publicKey: ALICE, endpoint: { address: "192.0.2.2", port: 2 } }] },
    ],
    [
      "all AllowedIPs, each once",
      `[Peer]\nPublicKey=${ALICE}\nAllowedIPs=10.1.2.3\nAllowedIPs=fd00::1,10.1.2.3/032\nAllowedIPs=0.0.0.0/00`,
      { peers: [{ allowedIPs: ["10.1.2.3/32", "fd00::1/128", "0.0.0.0/0"] }] },
    ],
    ["no AllowedIPs", `[Peer]\nPublicKey=${ALICE}\nAllowedIPs =`, { peers: [{ allowedIPs: [] }] }],
    [
      "an IPv6 endpoint without brackets",
      `[Peer]\nPublicKey=${ALICE}\nEndpoint=2001:db8::2:51820`,
      { peers: [{ endpoint: { address: "2001:db8::2", port: 51_820 } }] },
    ],
    [
      "an IPv4 endpoint with brackets",
      `[Peer]\nPublicKey=${ALICE}\nEndpoint=[192.0.2.2]:51820`,
      { peers: [{ endpoint: { address: "192.0.2.2", port: 51_820 } }] },
    ],
    [
      "a keepalive that is off",
      `[Peer]\nPublicKey=${ALICE}\nPersistentKeepalive=025\nPersistentKeepalive=Off`,
      { peers: [{ persistentKeepalive: 0 }] },
    ],
    [
      "numbers with zeros before them",
      `[Interface]\nListenPort=00080\nFwMark=0010`,
      { listenPort: { value: 80 }, fwmark: { value: 10 } },
    ],
  ])("%s", (_name, text, config) => {
    expect(read(text)).toMatchObject(config);
  });

  test("a preshared key of zeros is none, also after another", () => {
    const zeros = `${"A".repeat(43)}=`;
    const { peers } = read(`[Peer]\nPublicKey=${ALICE}\nPresharedKey=${SHARED}\nPresharedKey=${zeros}\n`);
    expect(peers[0]).not.toHaveProperty("presharedKey");
  });
});

describe("what is wrong is told by file and line, and never with a key", () => {
  const peer = (line: string) => `[Peer]\nPublicKey=${ALICE}\n${line}\n`;

  test.each<[string, string]>([
    ["ListenPort = 1", "wg0.conf:1 stands before all sections: write [Interface] or [Peer] before it"],
    ["[Peers]\nfoo = 1\nbar", "wg0.conf:1 is no section of wg's: write [Interface] or [Peer]"],
    ["[Interface\n", "wg0.conf:1 is no section of wg's"],
    ["[Interface]\nPrivateKey", "wg0.conf:2 PrivateKey has no value: give a key as wg genkey writes it"],
    ["[Interface]\nPrivateKey =", "wg0.conf:2 PrivateKey is [secret]: give a key as wg genkey writes it"],
    [`[Interface]\nPrivateKey = ${"A".repeat(43)}=`, "wg0.conf:2 PrivateKey is [secret]: give a key"],
    ["[Interface]\nListenPort = 65536", 'wg0.conf:2 ListenPort is "65536": give a port from 0 to 65535'],
    ["[Interface]\nListenPort = domain", 'wg0.conf:2 ListenPort is "domain": give a port'],
    ["[Interface]\nListenPort =", 'wg0.conf:2 ListenPort is "": give a port'],
    ["[Interface]\nFwMark = 0X10", 'wg0.conf:2 FwMark is "0X10": give off, or a number'],
    ["[Interface]\nFwMark = 4294967296", 'wg0.conf:2 FwMark is "4294967296": give off'],
    ["[Interface]\nAllowedIPs = 10.0.0.0/8", "wg0.conf:2 has AllowedIPs in a wrong section: move it to [Peer]"],
    [peer("ListenPort = 1"), "wg0.conf:3 has ListenPort in a wrong section: move it to [Interface]"],
    ["[Interface]\nPrivatKey = x", "wg0.conf:2 has no key of wg's: write PrivateKey"],
    ["[Interface]\n__proto__ = x", "wg0.conf:2 has no key of wg's: take it out"],
    ["[Interface]\nconstructor = x", "wg0.conf:2 has no key of wg's: take it out"],
    ["[Interface]\n= x", "wg0.conf:2 has no key of wg's: take it out"],
    ["[Peer]\nAllowedIPs = 10.0.0.0/8", "wg0.conf:1 [Peer] has no PublicKey: give the peer's public key"],
    [
      "[Peer]\nPublicKey = x\nAllowedIPs = 10.0.0.0/8",
      "wg0.conf:2 PublicKey is [secret]: give a key as wg pubkey writes it",
    ],
    [peer("PresharedKey = x"), "wg0.conf:3 PresharedKey is [secret]: give a key as wg genpsk writes it"],
    [peer("AllowedIPs = 10.0.0.0/8, 10.0.0.0/33"), 'wg0.conf:3 AllowedIPs is "10.0.0.0/33": give a prefix'],
    [peer("AllowedIPs = 10.0.0.0/8,"), 'wg0.conf:3 AllowedIPs is "10.0.0.0/8,": give a prefix'],
    [peer("AllowedIPs = +10.0.0.0/8"), 'wg0.conf:3 AllowedIPs is "+10.0.0.0/8": give a prefix'],
    [peer("AllowedIPs = 10.0.0.0/"), 'wg0.conf:3 AllowedIPs is "10.0.0.0/": give a prefix'],
    [peer("Endpoint = 192.0.2.1"), 'wg0.conf:3 Endpoint is "192.0.2.1": give address and port'],
    [peer("Endpoint = [fe80::1%eth0]:1"), 'wg0.conf:3 Endpoint is "[fe80::1%eth0]:1": give address and port'],
    [peer("Endpoint = [2001:db8::12:51820"), 'wg0.conf:3 Endpoint is "[2001:db8::12:51820": give address and port'],
    [peer(`Endpoint = ${SHARED.slice(0, 20)}.:1:`), "wg0.conf:3 Endpoint is [secret]: give address and port"],
    [peer("Endpoint = 192.0.2.1:0"), 'wg0.conf:3 Endpoint is "192.0.2.1:0": give address and port'],
    [peer("Endpoint = []:1"), 'wg0.conf:3 Endpoint is "[]:1": give address and port'],
    [peer("PersistentKeepalive = 65536"), 'wg0.conf:3 PersistentKeepalive is "65536": give off, or seconds'],
    [peer("PersistentKeepalive = 25s"), 'wg0.conf:3 PersistentKeepalive is "25s": give off, or seconds'],
  ])("%j", (text, begin) => {
    const [issue, ...others] = wrong(text);
    expect(issue).toSatisfy((line: string) => line.startsWith(begin), `begins with ${begin}`);
    expect(others).toEqual([]);
  });

  test.each<[string, string]>([
    [
      "Address = 10.8.0.1/24",
      "Address, which is wg-quick's and not wg's: take it out, as wg-quick strip does; give wireguard.address",
    ],
    ["mtu = 1420", "MTU, which is wg-quick's and not wg's: take it out, as wg-quick strip does; give wireguard.mtu"],
    [
      "Table = off",
      "Table, which is wg-quick's and not wg's: take it out, as wg-quick strip does; give wireguard.table",
    ],
    ["DNS = 10.0.0.53", "DNS, which is wg-quick's and not wg's: take it out, as wg-quick strip does; name servers"],
    [
      "SaveConfig = true",
      "SaveConfig, which is wg-quick's and not wg's: take it out, as wg-quick strip does; podvpn never",
    ],
    ...["PreUp", "PostUp", "PreDown", "PostDown"].map((key): [string, string] => [
      `${key} = iptables -A FORWARD`,
      `${key}, which is wg-quick's and not wg's: take it out, as wg-quick strip does; podvpn runs no commands`,
    ]),
  ])("a key of wg-quick's: %s", (line, rest) => {
    const [issue, ...others] = wrong(`[Interface]\n${line}\n`);
    expect(issue).toSatisfy((text: string) => text.startsWith(`wg0.conf:2 has ${rest}`), rest);
    expect(others).toEqual([]);
  });

  test("everything at once, and the rest is read all the same", () => {
    const text = `[Interface]\nListenPort=x\nFwMark=7\n[Peer]\nPublicKey=?\n[Peer]\nPublicKey=${BOB}\nEndpoint=?\n[Peer]\n`;
    const { config, issues } = parseWgConfig(text, "wg0.conf");
    expect(issues.map(({ what }) => what)).toEqual([
      'wg0.conf:2 ListenPort is "x"',
      "wg0.conf:5 PublicKey is [secret]",
      'wg0.conf:8 Endpoint is "?"',
      "wg0.conf:9 [Peer] has no PublicKey",
    ]);
    expect(config).toMatchObject({ fwmark: { value: 7 }, peers: [{ publicKey: BOB }] });
  });
});
