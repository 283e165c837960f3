import { expect, test } from "vitest";
import { outerOverhead, tunnelMtu } from "../../../src/net/mtu.ts";

// Measured with strongSwan 5.9.8 and AES-GCM on Linux 6.1 over an underlay of 1500 bytes, and what WireGuard documents.
test.each([
  ["esp", 4, 1446],
  ["esp-in-udp", 4, 1438],
  ["esp", 6, 1426],
  ["wireguard", 4, 1440],
  ["wireguard", 6, 1420],
] as const)("%s over IPv%d leaves %d of 1500 bytes", (encapsulation, outer, mtu) => {
  expect(tunnelMtu(encapsulation, outer, 1500)).toBe(mtu);
});

test("an ESP packet of the tunnel's MTU fits the underlay, one byte more does not", () => {
  for (let underlay = 576; underlay < 600; underlay += 1) {
    const mtu = tunnelMtu("esp", 4, underlay);
    expect(wrapped(mtu)).toBeLessThanOrEqual(underlay);
    expect(wrapped(mtu + 1)).toBeGreaterThan(underlay);
  }
});

/** RFC 4303 and 4106: IPv4 header, SPI, sequence number, IV, packet and trailer padded to 4, tag. */
function wrapped(inner: number): number {
  return 20 + 8 + 8 + Math.ceil((inner + 2) / 4) * 4 + 16;
}

test("the overhead is what is added to a packet that needs no padding", () => {
  expect(outerOverhead("esp", 4)).toBe(wrapped(1446) - 1446);
  expect(outerOverhead("esp-in-udp", 6)).toBe(82);
  expect(outerOverhead("wireguard", 6)).toBe(80);
});
