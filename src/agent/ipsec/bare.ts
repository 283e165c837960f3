import { type HeldPeer, type HeldSa, isCarrying } from "../../ipsec/mesh-held.ts";
import { family } from "../../net/address.ts";
import { type Prefix, parsePrefix } from "../../net/prefix.ts";
import type { Policy, XfrmSelector } from "../../netlink/xfrm.ts";

/** A tunnel that charon has, and to which the kernel leads nothing. */
export interface BareTunnel {
  /** The label of the peer. */
  readonly peer: string;
  readonly uniqueid: number;
}

/**
 * Tunnels some of whose policies somebody has taken away. Nobody tells charon, which goes on to believe in them, and so does
 * the peer. For ESP in the kernel alone: libipsec has its policies to itself. Pure.
 * @param ifId The XFRM interface of the mesh.
 */
export function bareTunnels(
  held: ReadonlyMap<string, HeldPeer>,
  policies: readonly Policy[],
  ifId: number,
): BareTunnel[] {
  const there = new Set(policies.filter((one) => one.ifId === ifId && one.templates > 0).map(key));
  return [...held].flatMap(([peer, { sas }]) => {
    const bare = sas.filter((sa) => isCarrying(sa) && policiesOf(sa).some((one) => !there.has(key(one))));
    return bare.map(({ uniqueid }) => ({ peer, uniqueid }));
  });
}

/** Those that charon installs: one of each direction for each pair of prefixes. One that is being replaced may lack some. */
function policiesOf({ childSas }: HeldSa): Omit<XfrmSelector, "ifId">[] {
  return childSas
    .filter(({ state }) => state === "INSTALLED")
    .flatMap(({ localTs, remoteTs }) => {
      const remote = prefixes(remoteTs);
      return prefixes(localTs).flatMap((here) =>
        remote
          .filter((there) => family(there) === family(here))
          .flatMap((there) => [
            { direction: "out", src: here, dst: there } as const,
            { direction: "in", src: there, dst: here } as const,
            { direction: "fwd", src: there, dst: here } as const,
          ]),
      );
    });
}

function prefixes(selectors: readonly string[]): Prefix[] {
  return selectors.flatMap((text) => parsePrefix(text) ?? []);
}

function key({ direction, src, dst }: Omit<XfrmSelector, "ifId">): string {
  return `${direction} ${src} ${dst}`;
}
