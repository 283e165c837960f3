import { inspect } from "node:util";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { WireguardConfig } from "../../../src/config/wireguard.ts";
import { peerFields, wireguardFields } from "../../../src/config/wireguard-fields.ts";
import { Fault } from "../../../src/fault.ts";
import { family } from "../../../src/net/address.ts";
import { aggregate } from "../../../src/net/aggregate.ts";
import { files, KEYS, PRIVATE, parse, SHARED } from "./wireguard-support.ts";

/** Values that look right at times, so that the checks behind the schema are reached too. */
const value = fc.oneof(
  fc.jsonValue(),
  fc.constantFrom(
    "node",
    "pod",
    "podvpn0",
    "cni0",
    "eth0",
    "auto",
    "off",
    "0x7",
    0,
    25,
    51_820,
    576,
    1280,
    true,
    false,
  ),
  fc.constantFrom("/k", "/p", "/c", "/{containerID}", "{args.IP}/24", "10.8.0.1/24", "fd00:8::1/64", "192.0.2.1:51820"),
  fc.constantFrom("[2001:db8::1]:1", "node2:1", "10.1.2.0/24", "fd00::/16", "0.0.0.0/0", "10.1.1.7", ...KEYS),
);

const allowedIPs = fc.array(
  fc
    .tuple(fc.constantFrom("10.1.2.0", "10.1.3.7", "10.2.0.0", "fd00:2::"), fc.nat({ max: 32 }))
    .map((parts) => parts.join("/")),
  { maxLength: 3 },
);

const peer = fc.oneof(
  fc.dictionary(fc.constantFrom(...Object.keys(peerFields()), "presharedKey", "__proto__"), value),
  fc.record(
    {
      publicKey: fc.constantFrom(...KEYS),
      endpoint: fc.constantFrom("192.0.2.1:1", "[2001:db8::1]:1", "node2:1", "10.1.2.7:1"),
      allowedIPs,
      presharedKeyFile: fc.constantFrom("/k", "/none"),
    },
    { requiredKeys: ["publicKey"] },
  ),
);

/** As a plugin gets it: out of JSON. */
const configuration = fc
  .record(
    {
      wireguard: fc.oneof(
        fc.jsonValue(),
        fc.dictionary(fc.constantFrom(...Object.keys(wireguardFields()), "vpn", "__proto__"), value),
        fc.record(
          {
            attach: fc.constantFrom("node", "pod"),
            peers: fc.array(peer, { maxLength: 4 }),
            mtu: fc.constantFrom(1000, 1400),
          },
          { requiredKeys: [] },
        ),
      ),
      logFile: value,
      ipam: fc.oneof(fc.jsonValue(), fc.constant({ subnet: "10.1.1.0/24" })),
    },
    { requiredKeys: [] },
  )
  .map((raw): Record<string, unknown> => JSON.parse(JSON.stringify(raw)));

const readSecretFile = files({
  "/k": SHARED,
  "/p": `- publicKey: ${KEYS[0]}\n  allowedIPs: 10.1.9.0/24\n  presharedKeyFile: /k\n`,
  "/c": `[Interface]\nPrivateKey=${PRIVATE}\nListenPort=5\n[Peer]\nPublicKey=${KEYS[1]}\nAllowedIPs=10.1.9.0/24\n`,
});

test("whatever is given, it is a configuration that cannot be wrong, or a Fault that shows no key", async () => {
  let accepted = 0;
  await fc.assert(
    fc.asyncProperty(configuration, async (raw) => {
      const outcome = await parse(raw, { readSecretFile }).catch((error: unknown) => error);
      if (outcome instanceof Error) {
        expect(outcome, inspect(outcome)).toBeInstanceOf(Fault);
        expect(inspect(outcome)).not.toMatch(new RegExp(`${PRIVATE.slice(4, 24)}|${SHARED.slice(4, 24)}`));
        return;
      }
      accepted += 1;
      expectRight(outcome as WireguardConfig);
    }),
    { numRuns: 3000 },
  );
  expect(accepted).toBeGreaterThan(100);
});

/** What the rest of the program relies on. */
function expectRight(config: WireguardConfig): void {
  const { attach, privateKey, privateKeyFile, peers, meshPrefixes, mtu, addresses } = config;
  const keys = [privateKey, privateKeyFile].filter((one) => one !== undefined);
  expect(keys.length).toBeLessThanOrEqual(1);
  if (attach === "node") expect(keys).toHaveLength(1);
  const allowed = peers.flatMap((one) => one.allowedIPs);
  expect(new Set(allowed).size).toBe(allowed.length);
  expect(new Set(peers.map(({ publicKey }) => publicKey)).size).toBe(peers.length);
  expect(meshPrefixes).toEqual(aggregate(allowed));
  if (attach === "node") expect(meshPrefixes).not.toContain("0.0.0.0/0");
  const six = [...allowed, ...addresses.map(({ address }) => address)].some((one) => family(one) === 6);
  if (six && mtu !== undefined) expect(mtu).toBeGreaterThanOrEqual(1280);
  for (const { allowedIPs: own, place } of peers) expect(place.allowedIPs).toHaveLength(own.length);
}
