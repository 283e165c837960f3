import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Endpoint, endpointText, parseEndpoint, sameEndpoint } from "../../../src/net/endpoint.ts";

describe("parseEndpoint", () => {
  test.each([
    ["192.0.2.1:51820", { address: "192.0.2.1", port: 51_820 }],
    ["[2001:DB8::1]:1", { address: "2001:db8::1", port: 1 }],
    ["[::ffff:192.0.2.1]:65535", { address: "::ffff:192.0.2.1", port: 65_535 }],
    ["node-2.example:51820", { host: "node-2.example", port: 51_820 }],
    ["node2.:00080", { host: "node2.", port: 80 }],
    ["7eleven:51820", { host: "7eleven", port: 51_820 }],
  ])("reads %s", (text, endpoint) => {
    expect(parseEndpoint(text)).toEqual(endpoint);
  });

  test.each([
    "",
    "192.0.2.1",
    "192.0.2.1:",
    "192.0.2.1:0",
    "192.0.2.1:65536",
    "192.0.2.1:+1",
    "192.0.2.1: 1",
    "192.0.2.1:https",
    "192.0.2.256:1",
    "192.0.2:1",
    "2001:db8::1:51820",
    "[2001:db8::1]",
    "[2001:db8::1]51820",
    "[fe80::1%eth0]:1",
    "[192.0.2.1]:1",
    "[node2]:1",
    ":51820",
    "-node:1",
    "node-:1",
    "a..b:1",
    "node_2:1",
    "no de:1",
    `${"a".repeat(64)}:1`,
    `${"a.".repeat(127)}aa:1`,
  ])("refuses %j", (text) => {
    expect(parseEndpoint(text)).toBeUndefined();
  });

  test("refuses text that is made to be slow", () => {
    for (const text of [`${"a-".repeat(100_000)}:1`, `${"a.".repeat(100_000)}!:1`, "[".repeat(100_000)]) {
      expect(parseEndpoint(text)).toBeUndefined();
    }
  });
});

const endpoint = fc
  .tuple(fc.oneof(fc.ipV4(), fc.ipV6()), fc.integer({ min: 1, max: 65_535 }))
  .map(([address, port]) => parseEndpoint(address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`))
  .filter((parsed): parsed is Endpoint => parsed !== undefined && "address" in parsed);

test("endpointText writes what parseEndpoint reads", () => {
  fc.assert(
    fc.property(endpoint, (one) => {
      expect(parseEndpoint(endpointText(one))).toEqual(one);
    }),
  );
  expect(endpointText({ ...hub(), port: 5 })).toBe("[2001:db8::1]:5");
});

test("sameEndpoint compares address and port", () => {
  expect(sameEndpoint(hub(), { ...hub() })).toBe(true);
  expect(sameEndpoint(hub(), { ...hub(), port: 1 })).toBe(false);
  fc.assert(
    fc.property(endpoint, endpoint, (one, other) => {
      expect(sameEndpoint(one, other)).toBe(endpointText(one) === endpointText(other));
    }),
  );
});

function hub(): Endpoint {
  const parsed = parseEndpoint("[2001:db8::1]:51820");
  if (parsed === undefined || !("address" in parsed)) throw new Error("not an address");
  return parsed;
}
