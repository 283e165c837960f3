import fc from "fast-check";
import { expect, test } from "vitest";
import { hubSubnet } from "../../../src/config/hub-pool.ts";
import { type Address, addressBytes, family } from "../../../src/net/address.ts";
import { contains, type Prefix, parsePrefix } from "../../../src/net/prefix.ts";
import { lastAddress } from "../../../src/net/range.ts";

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new TypeError(text);
  return parsed;
}

test.each([
  ["10.173.0.0/16", undefined, "10.173.255.254", "10.173.0.1", "10.173.255.253"],
  ["10.173.0.0/16", "10.173.0.0/20", "10.173.255.254", "10.173.0.1", "10.173.15.255"],
  ["10.173.0.0/16", "10.173.240.0/20", "10.173.255.254", "10.173.240.0", "10.173.255.253"],
  ["10.173.0.0/30", undefined, "10.173.0.2", "10.173.0.1", "10.173.0.1"],
  ["10.173.0.0/16", "10.173.7.7/32", "10.173.255.254", "10.173.7.7", "10.173.7.7"],
  ["fd00:173::/48", undefined, "fd00:173:0:ffff:ffff:ffff:ffff:ffff", "fd00:173::1", "fd00:173::ffff"],
  ["fd00:173::/120", undefined, "fd00:173::ff", "fd00:173::1", "fd00:173::fe"],
  ["fd00:173::/64", "fd00:173::1:0/112", "fd00:173::ffff:ffff:ffff:ffff", "fd00:173::1:0", "fd00:173::1:ffff"],
])("%s with pool %s: the hub is %s, pods are %s to %s", (subnet, part, own, first, last) => {
  const served = hubSubnet(prefix(subnet), part === undefined ? undefined : prefix(part));
  expect(served).toEqual({ subnet, own, pool: { first, last } });
});

test.each([
  ["10.173.0.0/31", undefined],
  ["10.173.0.0/32", undefined],
  ["fd00:173::/127", undefined],
  ["10.173.0.0/24", "10.173.0.254/32"],
  ["10.173.0.0/24", "10.173.0.255/32"],
  ["10.173.0.0/24", "10.173.0.0/32"],
  ["fd00:173::/64", "fd00:173::ffff:ffff:ffff:ffff/128"],
])("%s has no address left for pods in %s", (subnet, part) => {
  expect(hubSubnet(prefix(subnet), part === undefined ? undefined : prefix(part))).toBeUndefined();
});

test("a pool is inside its subnet and has neither network, broadcast nor the hub's own address", () => {
  const number = (address: Address) => addressBytes(address).reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
  const v4 = fc.tuple(fc.ipV4(), fc.integer({ min: 8, max: 30 }), fc.integer({ min: 8, max: 32 }));
  const v6 = fc.tuple(fc.ipV6(), fc.integer({ min: 16, max: 126 }), fc.integer({ min: 112, max: 128 }));
  fc.assert(
    fc.property(fc.oneof(v4, v6), ([address, bits, poolBits]) => {
      const subnet = parsePrefix(`${address}/${bits}`);
      const part = parsePrefix(`${address}/${Math.max(bits, poolBits)}`);
      fc.pre(subnet !== undefined && part !== undefined && !subnet.startsWith("::ffff:"));
      for (const served of [hubSubnet(subnet, part), hubSubnet(subnet)]) {
        if (served === undefined) continue;
        const { own, pool } = served;
        const [first, last] = [number(pool.first), number(pool.last)];
        expect(contains(subnet, pool.first) && contains(subnet, pool.last)).toBe(true);
        expect(first <= last).toBe(true);
        expect(number(own) < first || number(own) > last).toBe(true);
        expect(subnet.startsWith(`${pool.first}/`)).toBe(false);
        if (family(subnet) === 4) expect(pool.last).not.toBe(lastAddress(subnet));
      }
    }),
  );
});
