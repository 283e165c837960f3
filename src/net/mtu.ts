import type { Family } from "./address.ts";

/** How a packet of the tunnel is wrapped. */
export type Encapsulation =
  /** ESP as IP protocol 50, AES-GCM with a 16-byte tag. */
  | "esp"
  /** The same ESP in UDP 4500 (RFC 3948): behind a NAT, or with `encap = yes`. */
  | "esp-in-udp"
  /** WireGuard's data message in UDP. */
  | "wireguard";

/** MTU of kernel-libipsec's TUN device, in bytes: fixed in strongSwan (5.9.8), whatever the underlay has. */
export const LIBIPSEC_MTU = 1400;

/**
 * Bytes that a tunnel adds to a packet at most, over an underlay of `outer` family.
 * ESP pads to 4 bytes, so its room is not simply the MTU less this: see {@link tunnelMtu}.
 */
export function outerOverhead(encapsulation: Encapsulation, outer: Family): number {
  const header = outer === 4 ? 20 : 40;
  if (encapsulation === "wireguard") return header + UDP + WIREGUARD;
  return header + (encapsulation === "esp" ? 0 : UDP) + ESP_HEADER + ESP_TRAILER + ESP_TAG;
}

/**
 * The largest inner packet, in bytes, that fits one outer packet. At 1500: esp 1446 over IPv4, esp-in-udp 1438,
 * esp 1426 over IPv6, wireguard 1440 and 1420.
 */
export function tunnelMtu(encapsulation: Encapsulation, outer: Family, underlayMtu: number): number {
  if (encapsulation === "wireguard") return underlayMtu - outerOverhead(encapsulation, outer);
  // Linux esp_mtu: what lies between ESP's header and its tag (inner packet and trailer) is a multiple of 4 bytes.
  const sealed = underlayMtu - outerOverhead(encapsulation, outer) + ESP_TRAILER;
  return sealed - (sealed % ESP_ALIGNMENT) - ESP_TRAILER;
}

const UDP = 8;
/** Type, receiver, counter (16 bytes) and the Poly1305 tag (16). */
const WIREGUARD = 32;
/** SPI, sequence number and the 8-byte IV of AES-GCM (RFC 4106). */
const ESP_HEADER = 16;
/** Pad length and next header. */
const ESP_TRAILER = 2;
const ESP_TAG = 16;
const ESP_ALIGNMENT = 4;
