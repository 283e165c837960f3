import { TUNNEL_TABLE } from "../ipsec/strongswan-conf.ts";
import { type Address, family } from "../net/address.ts";
import type { Prefix } from "../net/prefix.ts";
import { PROTOCOL_PODVPN, type Route } from "../netlink/routes.ts";

/**
 * A route through a tunnel's device, in the table of tunnels, as charon makes its own. Pure.
 * @param oif The device's index. @param src What the pod is towards `dst`; without it the kernel chooses.
 */
export function tunnelRoute(dst: Prefix, oif: number, src: Address | undefined): Route {
  return {
    dst,
    type: "unicast",
    table: TUNNEL_TABLE,
    scope: family(dst) === 4 ? "link" : "universe",
    oif,
    protocol: PROTOCOL_PODVPN,
    ...(src === undefined ? {} : { src }),
  };
}
