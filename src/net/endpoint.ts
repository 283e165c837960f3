import { type Address, parseAddress } from "./address.ts";

/** A UDP address, as WireGuard reads and shows it: `192.0.2.1:51820`, `[2001:db8::1]:51820`. */
export interface Endpoint {
  readonly address: Address;
  readonly port: number;
}

/** A UDP address whose host may still be a name. */
export interface NamedEndpoint {
  readonly host: string;
  readonly port: number;
}

/** `[::1]:51820` or `192.0.2.1:51820`. */
export function endpointText({ address, port }: Endpoint): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Whether both are the same address and port. */
export function sameEndpoint(one: Endpoint, other: Endpoint): boolean {
  return one.address === other.address && one.port === other.port;
}

/**
 * `host:port`, with an IPv6 address in brackets, as wg(8) writes endpoints; undefined for what is none: no port, a port
 * that is not 1 to 65535, a host that is neither an address nor a host name (RFC 1123 section 2.1).
 */
export function parseEndpoint(text: string): Endpoint | NamedEndpoint | undefined {
  const [, bracketed, plain, digits = ""] = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  if (digits === "" || port < 1 || port > 65_535) return undefined;
  const address = parseAddress(bracketed ?? plain ?? "");
  if (address !== undefined) return address.includes(":") === (bracketed !== undefined) ? { address, port } : undefined;
  return plain !== undefined && HOST_NAME.test(plain) && !/^[\d.]+$/.test(plain) ? { host: plain, port } : undefined;
}

const HOST_NAME = /^(?=.{1,253}$)(?:[a-z\d](?:[a-z\d-]{0,61}[a-z\d])?\.)*[a-z\d](?:[a-z\d-]{0,61}[a-z\d])?\.?$/i;
