import type { Endpoint } from "../../net/endpoint.ts";

/**
 * The devices of the driver. A WireGuard device has one private key, and takes a prefix from one peer alone: so a key
 * can change without a packet lost only by way of another device. At rest there is the first one alone.
 */
export type SlotName = "first" | "second";

/** Longest name of an interface, in bytes (IFNAMSIZ less the zero). */
const LONGEST_NAME = 15;

/** Name of the second device: the next number (`podvpn0`, `podvpn1`), or a number behind a name that has none. Pure. */
export function secondName(first: string): string {
  const [, stem = first, digits = "0"] = /^(.*?)(\d{1,4})$/.exec(first) ?? [];
  const number = String(Number(digits) + 1);
  return `${stem.slice(0, LONGEST_NAME - number.length)}${number}`;
}

/** UDP port of a second device. Pure. @param first Less than 65535. */
export function secondPort(first: number): number {
  return first + 1;
}

/**
 * Where a peer's second device is: at the address of its first one, at the next port. Behind a NAT that is a guess which
 * does no harm: who is behind it speaks first. Pure. @param port Of the peer's first device, as its record has it.
 */
export function secondEndpoint(first: Endpoint | undefined, port: number): Endpoint | undefined {
  return first === undefined ? undefined : { address: first.address, port: secondPort(port) };
}
