import { beforeAll, expect, test } from "vitest";
import type { Issue } from "../../src/config/issues.ts";
import { parseWgConfig, type WgConfig } from "../../src/config/wg-config.ts";
import { parseWireguardConfig } from "../../src/config/wireguard.ts";
import type { WantedPeer } from "../../src/config/wireguard-peer.ts";
import { Fault } from "../../src/fault.ts";
import { endpointText } from "../../src/net/endpoint.ts";
import { encodeKey } from "../../src/wireguard/key.ts";
import { Memory, Random } from "./support/random.ts";

/** How many inputs, and the one number that all of them follow from: FUZZ_SEED repeats a run. */
const INPUTS = 1_000_000;
const CONFIGURATIONS = 20_000;
const SEED = Number(process.env.FUZZ_SEED ?? Date.now() % 0x100000000);

/** The most that a run may have resident more than at its start, in bytes. */
const MEMORY = 300 * 1024 * 1024;

const PRIVATE = Buffer.from("private-key-never-to-be-seen-QzX").toString("base64");
const SHARED = Buffer.from("preshared-key-not-to-be-seen-9Kx").toString("base64");
/** What of a key must be in no message: longer than any chance, shorter than what damage leaves of it. */
const SEEN = [PRIVATE, SHARED].map((key) => key.slice(4, 24));

const key = (byte: number) => Buffer.alloc(32, byte).toString("base64");

const CORPUS: readonly string[] = [
  `[Interface]
PrivateKey = ${PRIVATE}
ListenPort = 51820
FwMark = 0xca6c # as wg-quick has it

[Peer]
PublicKey = ${key(1)}
PresharedKey = ${SHARED}
AllowedIPs = 10.1.2.0/24, fd00:2::/64, 10.8.0.2
Endpoint = [2001:db8::2]:51820
PersistentKeepalive = 25

[Peer]
PublicKey = ${key(2)}
Endpoint = node3.example:51820
`,
  `[peer]\r\npublickey=${key(3)}\r\nallowedips=10.1.3.0/24\r\nallowedips=10.1.4.0/22,::/0\r\nendpoint=2001:db8::3:7\r\n[interface]\r\nfwmark=off\r\nlistenport=0\r\n`,
  "[Interface]\nAddress = 10.8.0.1/24\nDNS = 10.0.0.53\nMTU = 1420\nPostUp = iptables -A FORWARD -i %i -j ACCEPT\n",
  "\n# nothing\n\n",
];

/** Pieces that mean something, or nearly. */
const PIECES: readonly string[] = [
  ...["[Interface]\n", "[Peer]\n", "\n", "\r", "#", "=", ",", "/", ":", "[", "]", "\0", "\ufeff", "\u212a", "\u0130"],
  ...[
    "PrivateKey = ",
    "PublicKey=",
    "PresharedKey=",
    "AllowedIPs=",
    "Endpoint=",
    "PersistentKeepalive=",
    "ListenPort=",
  ],
  ...["FwMark=", "Address=", "SaveConfig=", "__proto__=", "constructor=", "toString", "off", "0x", "0", "65536", "-1"],
  ...["4294967296", "0.0.0.0/0", "::/0", "255.255.255.255:65535", "fe80::1%eth0", "::ffff:10.0.0.1", PRIVATE, SHARED],
  ...[key(1), key(9), `${"A".repeat(43)}=`, "a.".repeat(100), "0".repeat(200), "é", "\ud800"],
];

/** Ways to damage a text. */
const MUTATIONS: readonly ((text: string, random: Random) => string)[] = [
  (text, random) => spliced(text, random, 0, random.pick(PIECES)),
  (text, random) => spliced(text, random, random.below(8), random.pick(PIECES)),
  (text, random) => spliced(text, random, 1, String.fromCharCode(random.below(128))),
  (text, random) => spliced(text, random, 1, String.fromCharCode(random.below(0x10000))),
  (text, random) => spliced(text, random, random.below(64), ""),
  (text, random) => text.slice(0, random.below(text.length + 1)),
  (text, random) => spliced(text, random, 0, part(text, random)),
  (text, random) => spliced(text, random, 0, part(random.pick(CORPUS), random)),
];

function spliced(text: string, random: Random, removed: number, inserted: string): string {
  const at = random.below(text.length + 1);
  return `${text.slice(0, at)}${inserted}${text.slice(at + removed)}`;
}

function part(text: string, random: Random): string {
  const start = random.below(text.length + 1);
  return text.slice(start, start + random.below(64));
}

function mutate(random: Random): string {
  let text = random.pick(CORPUS);
  for (let count = 1 + random.below(4); count > 0; count -= 1) text = random.pick(MUTATIONS)(text, random);
  return text;
}

/** The file that says the same, as wg(8) would write it. */
function written({ privateKey, listenPort, fwmark, peers }: WgConfig): string {
  const device = [
    ...(privateKey === undefined ? [] : [`PrivateKey = ${encodeKey(privateKey.value.reveal())}`]),
    ...(listenPort === undefined ? [] : [`ListenPort = ${listenPort.value}`]),
    ...(fwmark === undefined ? [] : [`FwMark = 0x${fwmark.value.toString(16)}`]),
  ];
  return ["[Interface]", ...device, ...peers.flatMap(writtenPeer), ""].join("\n");
}

function writtenPeer({ publicKey, presharedKey, allowedIPs, endpoint, persistentKeepalive }: WantedPeer): string[] {
  const host = endpoint === undefined || "address" in endpoint ? undefined : `${endpoint.host}:${endpoint.port}`;
  const where = endpoint !== undefined && "address" in endpoint ? endpointText(endpoint) : host;
  return [
    "[Peer]",
    `PublicKey = ${publicKey}`,
    ...(presharedKey === undefined ? [] : [`PresharedKey = ${encodeKey(presharedKey.reveal())}`]),
    ...(allowedIPs.length === 0 ? [] : [`AllowedIPs = ${allowedIPs.join(", ")}`]),
    ...(where === undefined ? [] : [`Endpoint = ${where}`]),
    `PersistentKeepalive = ${persistentKeepalive}`,
  ];
}

/** Each issue names a line of the file, is short, and shows no key. */
function requireTellable(issues: readonly Issue[], text: string): void {
  const lines = text.split("\n").length;
  for (const { what, remedy } of issues) {
    const line = Number(/^wg0\.conf:(\d+) /.exec(what)?.[1]);
    if (!(line >= 1 && line <= lines)) throw new Error(`no line: ${what}`);
    if (what.length > 300 || remedy === "") throw new Error(`not for people: ${what}; ${remedy}`);
    if (SEEN.some((secret) => `${what}${remedy}`.includes(secret))) throw new Error("a key is shown");
  }
}

beforeAll(() => {
  process.stdout.write(`fuzzing wg-config with FUZZ_SEED=${SEED}\n`);
});

test(`${INPUTS} damaged wg files are read, and written again say the same, or their lines are named, in bounded memory and time`, () => {
  const random = new Random(SEED);
  const memory = new Memory();
  const outcomes = { read: 0, refused: 0 };
  for (let count = 0; count < INPUTS; count += 1) {
    const text = mutate(random);
    try {
      const { config, issues } = parseWgConfig(text, "wg0.conf");
      outcomes[issues.length === 0 ? "read" : "refused"] += 1;
      requireTellable(issues, text);
      if (issues.length === 0) {
        const again = parseWgConfig(written(config), "wg0.conf");
        if (again.issues.length > 0 || written(again.config) !== written(config))
          throw new Error("written, it is another");
      }
    } catch (cause) {
      throw new Error(`seed ${SEED}, input ${JSON.stringify(text)}`, { cause });
    }
    if (count % 1000 === 0) memory.look();
  }
  expect(outcomes.read).toBeGreaterThan(INPUTS / 100);
  expect(outcomes.refused).toBeGreaterThan(INPUTS / 100);
  expect(memory.most).toBeLessThan(MEMORY);
});

test(`${CONFIGURATIONS} configurations with a damaged file are accepted or a Fault that shows no key`, async () => {
  const random = new Random(SEED + 1);
  const outcomes = { accepted: 0, refused: 0 };
  for (let count = 0; count < CONFIGURATIONS; count += 1) {
    const text = mutate(random);
    const attach = random.pick(["node", "pod"]);
    const raw = { wireguard: { attach, configFile: "/wg0.conf" }, ipam: { subnet: "172.17.1.0/24" } };
    const bytes = Buffer.from(text);
    try {
      await parseWireguardConfig(raw, {
        containerID: "4f0c2a",
        ifname: "eth0",
        node: "node1",
        euid: 0,
        readSecretFile: () => ({ uid: 0, mode: 0o100600, bytes }),
      });
      outcomes.accepted += 1;
    } catch (error) {
      const message = `${error instanceof Error ? error.message : error}`;
      if (!(error instanceof Fault) || SEEN.some((secret) => message.includes(secret))) {
        throw new Error(`seed ${SEED}, input ${JSON.stringify(text)}`, { cause: error });
      }
      outcomes.refused += 1;
    }
  }
  expect(outcomes.accepted).toBeGreaterThan(CONFIGURATIONS / 100);
  expect(outcomes.refused).toBeGreaterThan(CONFIGURATIONS / 100);
});

test.each<[string, string]>([
  ["a line without an end", "a".repeat(4_000_000)],
  ["spaces without an end", `[Peer]\nEndpoint =${" ".repeat(4_000_000)}x`],
  ["prefixes without an end", `[Peer]\nPublicKey=${key(1)}\nAllowedIPs=${"10.0.0.0/8,".repeat(300_000)}`],
  ["sections without an end", "[Peer]\n".repeat(300_000)],
  ["wrong lines without an end", `[Interface]\n${"PrivatKey=x\n".repeat(100_000)}`],
  ["a host name without an end", `[Peer]\nEndpoint=${"a-".repeat(1_000_000)}:1`],
  ["brackets without an end", `[Peer]\nEndpoint=${"[".repeat(1_000_000)}:1`],
  ["zeros without an end", `[Peer]\nAllowedIPs=10.0.0.0/${"0".repeat(1_000_000)}x`],
])("the worst is refused: %s", (_name, text) => {
  const { issues } = parseWgConfig(text, "wg0.conf");
  expect(issues.length).toBeGreaterThan(0);
  requireTellable(issues, text);
});
