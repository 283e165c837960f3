import { expect, test } from "vitest";
import { parseAddress } from "../../../src/net/address.ts";
import { isAttempt } from "../../../src/netlink/esp.ts";

const state = (dst: string, spi: number) => {
  const address = parseAddress(dst);
  if (address === undefined) throw new TypeError(dst);
  return { dst: address, spi };
};

test("what an attempt at ESP makes is known, and nothing else taken for it", () => {
  expect(isAttempt(state("127.0.0.1", 0x706f6401))).toBe(true);
  expect(isAttempt(state("10.9.0.1", 0x706f6401))).toBe(false);
  expect(isAttempt(state("127.0.0.1", 0x706f6402))).toBe(false);
});
