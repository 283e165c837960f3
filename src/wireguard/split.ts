import type { Prefix } from "../net/prefix.ts";
import type { DeviceChange, PeerChange } from "./device.ts";

/** The most that a message may have. */
export interface Limits {
  readonly peers: number;
  readonly allowedIPs: number;
}

/**
 * The change in parts within the limits, to be applied in this order: what is the device's own in the first, and a peer
 * with too many allowed IPs goes on in the next part, as an alteration. Nothing for an empty change.
 */
export function splitChange({ peers, ...device }: DeviceChange, limits: Limits): DeviceChange[] {
  const parts: PeerChange[][] = [];
  let room = { peers: 0, allowedIPs: 0 };
  for (const piece of peers.flatMap((peer) => pieces(peer, limits.allowedIPs))) {
    const size = "remove" in piece ? 0 : piece.addAllowedIPs.length;
    if (room.peers === 0 || room.allowedIPs < size) {
      parts.push([]);
      room = { ...limits };
    }
    parts.at(-1)?.push(piece);
    room = { peers: room.peers - 1, allowedIPs: room.allowedIPs - size };
  }
  const [first = [], ...others] = parts;
  if (first.length === 0 && Object.keys(device).length === 0) return [];
  return [{ ...device, peers: first }, ...others.map((part) => ({ peers: part }))];
}

/** One peer's change, with at most `most` allowed IPs in each piece. */
function pieces(change: PeerChange, most: number): PeerChange[] {
  if ("remove" in change || change.addAllowedIPs.length <= most) return [change];
  const { publicKey, addAllowedIPs } = change;
  const [first = [], ...others] = chunks(addAllowedIPs, most);
  return [
    { ...change, addAllowedIPs: first },
    ...others.map((chunk) => ({ publicKey, isNew: false, addAllowedIPs: chunk })),
  ];
}

function chunks(prefixes: readonly Prefix[], size: number): Prefix[][] {
  const count = Math.ceil(prefixes.length / size);
  return Array.from({ length: count }, (_, index) => prefixes.slice(index * size, (index + 1) * size));
}
