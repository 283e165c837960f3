import { readdir } from "node:fs/promises";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parseWgConfig } from "../../src/config/wg-config.ts";
import { parseEndpoint } from "../../src/net/endpoint.ts";
import { parsePrefix } from "../../src/net/prefix.ts";
import type { Secret } from "../../src/secret.ts";
import type { Node } from "../../src/testbed/node.ts";
import type { Program } from "../../src/testbed/program.ts";
import { Testbed } from "../../src/testbed/testbed.ts";
import { encodeKey } from "../../src/wireguard/key.ts";
import { publicKeyOf } from "../../src/wireguard/keys.ts";
import { eventually } from "./support/eventually.ts";
import { shownDevice } from "./support/wg.ts";

// wg(8) and wireguard-go are the judges of what a file means: they share no code with us.

const DEVICE = "wg0";

let testbed: Testbed;
let node: Node;
let daemon: Program;

beforeAll(async () => {
  testbed = await Testbed.create();
  node = await testbed.node("n1", { addresses: ["10.9.0.1/24"] });
  daemon = node.spawn(["wireguard-go", "-f", DEVICE]);
  await eventually("wireguard-go answers", 10_000, async () => {
    return (await node.exec(["wg", "show", DEVICE], { check: false })).code === 0;
  });
});
afterAll(async () => {
  await daemon.stop();
  await testbed[Symbol.asyncDispose]();
});

/** `wg setconf`; by `cat`, as our end of a program's input is no file that can be opened. */
function setconf(text: string) {
  return node.exec(["sh", "-c", `cat | wg setconf ${DEVICE} /dev/stdin`], { input: text, check: false });
}

const keyText = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => encodeKey(bytes.with(5, 1)));
const number = (max: number) =>
  fc.tuple(fc.constantFrom("", "0", "00"), fc.nat({ max })).map((parts) => parts.join(""));
const ip = fc.oneof(fc.ipV4(), fc.ipV6());
const allowed = fc
  .tuple(ip, fc.option(fc.nat({ max: 128 })))
  .map(([address, length]) =>
    length === null ? address : `${address}/${address.includes(":") ? length : length >> 2}`,
  );
const endpoint = fc
  .tuple(
    fc.oneof(
      fc.tuple(fc.nat({ max: 255 }), fc.nat({ max: 255 })).map(([c, d]) => `192.0.${c}.${d}`),
      fc.ipV6(),
    ),
    fc.integer({ min: 1, max: 65_535 }),
    fc.boolean(),
  )
  .filter(([host]) => !/^[:0]*$|^(?:0*:)*:?(?:ffff:)?\d+\.|^f[ef]/i.test(host)) // of those that can be sent to
  .map(([host, port, brackets]) => (brackets || host.includes("::") ? `[${host}]:${port}` : `${host}:${port}`));

/** A line of a section: capitals, white space and comments anywhere. */
const line = (key: string, value: fc.Arbitrary<string>) => {
  const space = fc.constantFrom("", " ", "\t ");
  const written = fc.constantFrom(key, key.toLowerCase(), key.toUpperCase());
  const comment = fc.constantFrom("", " # comment", "#=#[Peer]", "\r");
  return fc
    .tuple(space, written, space, value, space, comment)
    .map(([before, name, around, text, after, end]) => `${before}${name}${around}=${after}${text}${end}`);
};

const device = fc
  .array(
    fc.oneof(
      line("PrivateKey", keyText),
      line("ListenPort", number(65_535)),
      line("FwMark", fc.oneof(number(0xffff_ffff), fc.constantFrom("off", "OFF", "0xff", "0xFFFFFFFF", "0x0"))),
    ),
    { maxLength: 4 },
  )
  .map((lines) => ["[Interface]", ...lines]);

const peerLine = fc.oneof(
  line("PresharedKey", fc.oneof(keyText, fc.constant(`${"A".repeat(43)}=`))),
  line(
    "AllowedIPs",
    fc.array(allowed, { minLength: 1, maxLength: 4 }).map((list) => list.join(" ,")),
  ),
  line("Endpoint", endpoint),
  line("PersistentKeepalive", fc.oneof(number(65_535), fc.constantFrom("off", "Off"))),
);

const peer = fc
  .tuple(line("PublicKey", keyText), fc.array(peerLine, { maxLength: 5 }), fc.nat({ max: 5 }))
  .map(([key, lines, at]) => ["[peer]", ...lines.toSpliced(at, 0, key)]);

const file = fc
  .array(fc.oneof(device, { arbitrary: peer, weight: 3 }), { maxLength: 6 })
  .map((sections) => `${sections.flat().join("\n")}\n`);

test("what a file says is for us what it is for wg", async () => {
  await fc.assert(
    fc.asyncProperty(file, async (text) => {
      const { config, issues } = parseWgConfig(text, "wg0.conf");
      expect(issues).toEqual([]);
      expect(await setconf(text)).toMatchObject({ code: 0 });
      const shown = await shownDevice(node, DEVICE);
      const { privateKey, listenPort, fwmark, peers } = config;
      const ownKey = privateKey === undefined ? "(none)" : await publicKeyOf(privateKey.value);
      expect(shown.publicKey).toBe(ownKey);
      if (listenPort !== undefined && listenPort.value !== 0) expect(shown.listenPort).toBe(listenPort.value);
      expect(shown.fwmark).toBe(fwmark === undefined || fwmark.value === 0 ? "off" : `0x${fwmark.value.toString(16)}`);
      const others = peers.filter(({ publicKey }) => publicKey !== ownKey); // a device is no peer of itself
      expect([...shown.peers.keys()].sort()).toEqual(others.map(({ publicKey }) => publicKey as string).sort());
      // Of a prefix that two peers have, the last one keeps it: that is an error further up.
      const owners = new Map(others.flatMap(({ publicKey, allowedIPs }) => allowedIPs.map((one) => [one, publicKey])));
      for (const { publicKey, presharedKey, endpoint: where, allowedIPs, persistentKeepalive } of others) {
        const peer = shown.peers.get(publicKey);
        // Not as text: glibc writes ::0.1.0.0 for ::1:0.
        expect(parseEndpoint(peer?.endpoint ?? "")).toEqual(where);
        expect(peer?.allowedIPs.map(parsePrefix).sort()).toEqual(
          allowedIPs.filter((prefix) => owners.get(prefix) === publicKey).sort(),
        );
        expect(peer).toMatchObject({
          presharedKey: secretText(presharedKey),
          keepalive: persistentKeepalive === 0 ? "off" : `${persistentKeepalive}`,
        });
      }
    }),
    { numRuns: 60 },
  );
});

/** Without endpoints, which wg asks a name server for when they are no addresses. */
const damaged = fc
  .tuple(
    file.map((text) => text.replaceAll(/^[^\n]*endpoint[^\n]*\n/gim, "")),
    fc.nat(),
    fc.constantFrom(..."#=[]/.:,-+ \n0179afgzAZé"),
    fc.constantFrom(0, 1, 2),
  )
  .map(([text, place, inserted, removed]) => {
    const at = place % (text.length + 1);
    return `${text.slice(0, at)}${inserted}${text.slice(at + removed)}`;
  });

test("what is no file for wg is none for us, and the other way round", async () => {
  const seed = Date.now() % 0x7fffffff;
  const texts = fc.sample(damaged, { seed, numRuns: 500 });
  await Promise.all(texts.map((text, index) => node.writeFile(`/run/wg/${index}.conf`, text)));
  const script = `for file in /run/wg/*.conf; do wg setconf ${DEVICE} "$file" 2>"$file.err" || touch "$file.refused"; done`;
  await node.exec(["sh", "-c", script], { timeout: 60_000 });
  const refused = new Set(await readdir(node.path("/run/wg")));
  const outcomes = { accepted: 0, refused: 0 };
  for (const [index, text] of texts.entries()) {
    const whats = parseWgConfig(text, "wg0.conf").issues.map(({ what }) => what);
    const message = `seed ${seed}, number ${index}: ${JSON.stringify(text)}`;
    if (refused.has(`${index}.conf.refused`)) {
      outcomes.refused += 1;
      if (whats.length > 0) continue;
      // What differs on purpose: an empty list is none.
      expect(await node.readFile(`/run/wg/${index}.conf.err`), message).toMatch(/^Line unrecognized: `allowedips='\n/i);
    } else {
      outcomes.accepted += 1;
      // And getaddrinfo(3) takes any number for a port, also with a sign.
      if (whats.length > 0) expect(whats, message).toEqual([expect.stringMatching(/ ListenPort is "[+-]?\d+"$/)]);
    }
  }
  expect(outcomes.accepted).toBeGreaterThan(50);
  expect(outcomes.refused).toBeGreaterThan(50);
});

function secretText(secret: Secret | undefined): string {
  return secret === undefined ? "(none)" : encodeKey(secret.reveal());
}
