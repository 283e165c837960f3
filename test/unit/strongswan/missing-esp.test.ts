import { expect, test } from "vitest";
import { type InKernel, missingOf } from "../../../plugins/strongswan/missing-esp.ts";
import { parseAddress } from "../../../src/net/address.ts";
import { parsePrefix } from "../../../src/net/prefix.ts";

const address = (text: string) => parseAddress(text) ?? expect.fail(text);
const prefix = (text: string) => parsePrefix(text) ?? expect.fail(text);

const IPS = [address("10.173.0.1"), address("fd00:173::1")];
const SPIS = [0xc0ffee01, 0x0b0b0b02];
const WHOLE: InKernel = {
  states: SPIS.map((spi) => ({ spi })),
  policies: [
    { direction: "out", src: prefix("10.173.0.1/32"), dst: prefix("10.173.0.0/16"), templates: 1 },
    { direction: "in", src: prefix("10.173.0.0/16"), dst: prefix("10.173.0.1/32"), templates: 1 },
    { direction: "out", src: prefix("fd00:173::1/128"), dst: prefix("fd00:173::/64"), templates: 1 },
    { direction: "in", src: prefix("fd00:173::/64"), dst: prefix("fd00:173::1/128"), templates: 1 },
  ],
};

test("a kernel that has all of a tunnel lacks nothing", () => {
  expect(missingOf(IPS, SPIS, WHOLE)).toEqual([]);
});

test("an SA that the kernel has lost is told by its SPI, as charon and ip(8) write it", () => {
  expect(missingOf(IPS, SPIS, { ...WHOLE, states: [{ spi: 0xc0ffee01 }] })).toEqual(["ESP SA with SPI 0b0b0b02"]);
});

test("a policy that the kernel has lost is told, and another's that blocks is none", () => {
  const [out, ...others] = WHOLE.policies;
  if (out === undefined) throw new TypeError("four policies");
  const lost = ["XFRM policy dir out src 10.173.0.1/32"];
  expect(missingOf(IPS, SPIS, { ...WHOLE, policies: others })).toEqual(lost);
  expect(missingOf(IPS, SPIS, { ...WHOLE, policies: [{ ...out, templates: 0 }, ...others] })).toEqual(lost);
});
