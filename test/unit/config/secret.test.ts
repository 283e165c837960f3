import { inspect } from "node:util";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Fault } from "../../../src/fault.ts";
import { faultOf, PSK, parse, withVpn } from "./support.ts";

/** Everything of `fault` that could be printed. */
function printed(fault: Fault): string {
  return [fault.message, fault.what, fault.remedy, fault.details, fault.stack, inspect(fault, { depth: 9 })].join("\n");
}

describe("the PSK is never shown", () => {
  test.each<[string, Record<string, unknown>, Record<string, unknown>]>([
    ["beside another error", { mtu: 1 }, {}],
    ["with capitals wrong", { PSK: undefined, psk: PSK }, {}],
    ["under a name that is not known", { PSK: undefined, password: PSK }, {}],
    ["in a list", { PSK: [PSK] }, {}],
    ["in an object", { PSK: { value: PSK } }, {}],
    ["as wrong hexadecimal", { PSK: `0x${PSK}` }, {}],
    ["as wrong base64", { PSK: `0s${PSK}!` }, {}],
    ["in place of its file", { PSK: undefined, pskFile: PSK }, {}],
    ["inside another key's value", { serverIP: { address: "10.9.0.254", PSK }, virtualSubnet: [[PSK]] }, {}],
    ["in place of vpn", {}, { vpn: PSK }],
    ["in a list of vpn", {}, { vpn: [{ PSK }] }],
  ])("%s", (_name, keys, top) => {
    expect(printed(faultOf(withVpn(keys, top)))).not.toContain(PSK);
  });

  test("but that it is wrong is told", () => {
    expect(faultOf(withVpn({ PSK: 5 })).what).toBe("vpn.PSK is [secret]");
    expect(faultOf(withVpn({ PSK: "" })).what).toBe("vpn.PSK is [secret]");
    expect(faultOf(withVpn({ PSK: undefined, pskFile: "psk" })).what).toBe("vpn.pskFile is [secret]");
  });

  test("nor by printing the whole configuration", () => {
    const config = parse(withVpn({}));
    expect(`${inspect(config)}${JSON.stringify(config)}${config.psk}`).not.toContain(PSK);
  });
});

test("exactly one of PSK and pskFile is required", () => {
  expect(faultOf(withVpn({ PSK: undefined })).what).toBe("vpn.PSK is missing");
  expect(faultOf(withVpn({ PSK: null })).what).toBe("vpn.PSK is missing");
  expect(faultOf(withVpn({ pskFile: "/etc/podvpn/psk" })).what).toBe("vpn.PSK and vpn.pskFile are both given");
});

const KEYS = [
  ...["serverIP", "virtualSubnet", "hostSubnet", "PSK", "pskFile", "serverID", "identity", "proposals", "espProposals"],
  ...["timeout", "mtu", "dataplane", "dpd", "psk", "password", "__proto__", "toString"],
];

/** Values that look right at times, so that the checks behind the schema are reached too. */
const value = fc.oneof(
  fc.jsonValue(),
  fc.constantFrom("10.9.0.254", "fd00::1", "10.173.0.0/16", "0.0.0.0/0", "::/0", "10s", "/etc/psk", "{node}", "auto"),
  fc.ipV4(),
  fc.ipV6(),
  fc.array(fc.tuple(fc.ipV4(), fc.nat({ max: 33 })).map(([address, length]) => `${address}/${length}`)),
  fc.integer(),
);

/** As a plugin gets it: out of JSON. */
const configuration = fc
  .record(
    {
      vpn: fc.oneof(fc.jsonValue(), fc.dictionary(fc.constantFrom(...KEYS), value)),
      logFile: value,
      logLevel: value,
      ipam: fc.oneof(
        fc.jsonValue(),
        fc.record({ subnet: value, ranges: fc.array(fc.array(fc.record({ subnet: value }))) }),
      ),
    },
    { requiredKeys: [] },
  )
  .map((raw): Record<string, unknown> => JSON.parse(JSON.stringify(raw)));

/** A long enough PSK to be found nowhere by chance. */
const SEARCHED = "zQ7-never-to-be-seen-9Kx";

function thrownBy(raw: Record<string, unknown>): unknown {
  try {
    parse(raw, { readSecretFile: () => ({ uid: 0, mode: 0o100600, bytes: Buffer.from(SEARCHED) }) });
    return undefined;
  } catch (error) {
    return error;
  }
}

test("whatever is given, nothing but a Fault is thrown", () => {
  fc.assert(
    fc.property(configuration, (raw) => {
      const thrown = thrownBy(raw);
      expect(thrown === undefined || thrown instanceof Fault, inspect(thrown)).toBe(true);
    }),
    { numRuns: 2000 },
  );
});

test("whatever is wrong, and wherever the PSK was put, it is not shown", () => {
  const places = fc.constantFrom("PSK", "psk", "pskFile", "password", "secret", "PSKs", "key");
  const forms = fc.constantFrom<(psk: string) => unknown>(
    (psk) => psk,
    (psk) => `0x${psk}`,
    (psk) => `0s${psk}`,
    (psk) => [psk],
    (psk) => ({ psk }),
    (psk) => [[{ psk: [psk] }]],
  );
  fc.assert(
    fc.property(configuration, places, forms, (raw, place, form) => {
      const vpn = typeof raw.vpn === "object" && raw.vpn !== null && !Array.isArray(raw.vpn) ? raw.vpn : {};
      const thrown = thrownBy({ ...raw, vpn: { ...vpn, [place]: form(SEARCHED) } });
      if (thrown instanceof Fault) expect(printed(thrown)).not.toContain(SEARCHED);
      else expect(thrown).toBeUndefined();
    }),
    { numRuns: 2000 },
  );
});
