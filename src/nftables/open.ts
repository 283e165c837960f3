import type { Netlink } from "../netlink/netlink.ts";
import { openNetfilter } from "../netlink/open.ts";
import { inNetns, type Netns } from "../os/namespace.ts";

/** A socket to nf_tables in `netns`, or here. @throws NetlinkError, Fault 8. */
export function openNftables(netns: Netns | undefined): Netlink {
  return netns === undefined ? openNetfilter() : inNetns(netns, openNetfilter);
}
