import IPCIDR from "ip-cidr";
import { type Address, parseAddress } from "./address.ts";
import { networkAddress, type Prefix } from "./prefix.ts";

// For pools of addresses only (hub, CLI): ip-cidr costs 4 ms to load, which a plugin's start must not pay.

/** How many addresses the prefix has, network and broadcast address included. */
export function size(prefix: Prefix): bigint {
  return cidr(prefix).size.valueOf();
}

/** The last address of the prefix: host bits one (IPv4's broadcast address). */
export function lastAddress(prefix: Prefix): Address {
  return parsed(cidr(prefix).end<string>());
}

/** The address `index` after the first; `nth(prefix, 0n)` is the network address. @throws RangeError outside the prefix. */
export function nth(prefix: Prefix, index: bigint): Address {
  if (index < 0n || index >= size(prefix)) throw new RangeError(`${prefix} has no address number ${index}`);
  const [text] = cidr(prefix).toArray({ from: index, limit: 1n });
  return parsed(text ?? "");
}

function cidr(prefix: Prefix): IPCIDR {
  // ip-cidr takes IPv4-mapped IPv6 for IPv4 and then reads its length against 32 bits.
  if (networkAddress(prefix).startsWith("::ffff:")) throw new RangeError(`${prefix} is IPv4-mapped: no pool`);
  return new IPCIDR(prefix);
}

/** ip-cidr writes IPv6 in full, with leading zeros. */
function parsed(text: string): Address {
  const address = parseAddress(text);
  if (address === undefined) throw new TypeError(`ip-cidr gave "${text}"`);
  return address;
}
