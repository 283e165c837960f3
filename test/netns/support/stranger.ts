import type { WantedTunnel } from "../../../src/agent/driver.ts";
import { parseAddress } from "../../../src/net/address.ts";
import { type Prefix, parsePrefix } from "../../../src/net/prefix.ts";
import { randomPublicKey } from "../../../src/wireguard/keys.ts";

/** A tunnel to a node that nobody has ever seen, named `s<index>`. */
export function stranger(index: number, prefixes: readonly string[], publicKey = randomPublicKey()): WantedTunnel {
  const address = parseAddress(`192.0.${2 + (index >> 8)}.${index & 255}`);
  if (address === undefined) throw new TypeError("no address");
  return {
    peer: {
      name: `s${index}`,
      driver: "wireguard",
      candidates: [],
      prefixes: prefixes.map(prefix),
      localPrefixes: [],
      probes: [],
      initiates: true,
      keepalive: 0,
      wireguard: { publicKey, port: 51_820 },
    },
    endpoint: { address, port: 51_820 },
  };
}

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new TypeError(text);
  return parsed;
}
