import { addressBytes, addressFromBytes } from "./address.ts";
import { networkAddress, type Prefix, prefixLength, prefixOf } from "./prefix.ts";

/** The two prefixes of one bit more, in their order. @throws RangeError for one address: it has no halves. */
export function halves(prefix: Prefix): readonly [Prefix, Prefix] {
  const length = prefixLength(prefix);
  const bytes = addressBytes(networkAddress(prefix)); // a new array
  const byte = length >> 3;
  bytes[byte] = (bytes[byte] ?? 0) | (0x80 >> (length & 7));
  const lower = prefixOf(networkAddress(prefix), length + 1);
  return [lower, prefixOf(addressFromBytes(bytes), length + 1)];
}
