import { expect, test } from "vitest";
import { missingLinkAddresses } from "../../../src/attachment/link-addresses.ts";
import type { Result } from "../../../src/cni/result.ts";

const result = (...addresses: string[]): Result => ({
  interfaces: [],
  ips: addresses.map((address) => ({ address })),
  routes: [],
});
const record = { delegate: { type: "bridge" }, linkResult: result("10.1.1.2/24", "fd00:1:1::2/64") };

test("each address that the bridge gave is to be in prevResult, whatever else is in it", () => {
  expect(missingLinkAddresses(record, result("10.173.0.1/32", "fd00:1:1::2/64", "10.1.1.2/24"))).toEqual([]);
  expect(missingLinkAddresses(record, result("10.1.1.3/24", "fd00:1:1::2/64"))).toEqual(["10.1.1.2/24 in prevResult"]);
});

test("in a chain the addresses are another plugin's to check", () => {
  expect(missingLinkAddresses({ linkResult: record.linkResult }, result())).toEqual([]);
});
