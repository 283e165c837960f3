import { expect, test } from "vitest";
import { nearest } from "../../../src/config/nearest.ts";

const keys = ["serverIP", "virtualSubnet", "PSK", "pskFile", "mtu", "dpd"];

test.each([
  ["serverip", "serverIP"],
  ["psk", "PSK"],
  ["virtualSubnets", "virtualSubnet"],
  ["virtalSubnet", "virtualSubnet"],
  ["mut", undefined],
  ["MTU", "mtu"],
  ["password", undefined],
  ["", undefined],
  ["v".repeat(1_000_000), undefined],
])("of %s", (word, expected) => {
  expect(nearest(word, keys)).toBe(expected);
});
