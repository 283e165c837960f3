import type { Address } from "../net/address.ts";
import { type LinkAddress, listAddresses } from "./addresses.ts";
import { NetlinkError } from "./error.ts";
import { getLink, type Link } from "./links.ts";
import type { Netlink } from "./netlink.ts";

/** Multicast groups of rtnetlink (linux/rtnetlink.h). */
export const Group = { link: 1, ipv4Address: 5, ipv4Route: 7, ipv6Address: 9, ipv6Route: 11 } as const;

export interface WaitOptions {
  /** In milliseconds. */
  readonly timeout: number;
  /** Ends the wait with its own reason. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Waits for an address that can be used: on the link `ifname`, or on any. An IPv6 address still in duplicate address
 * detection ("tentative") is waited for. The link need not exist yet.
 * @throws NetlinkError ETIMEDOUT, or EADDRINUSE as soon as duplicate address detection has found another host.
 */
export function waitForAddress(
  nl: Netlink,
  wanted: { readonly address: Address; readonly ifname?: string },
  options: WaitOptions,
): Promise<LinkAddress> {
  const operation = `find the address ${wanted.address} on ${wanted.ifname ?? "any link"}`;
  const read = async (): Promise<LinkAddress | undefined> => {
    const index = wanted.ifname === undefined ? undefined : (await getLink(nl, wanted.ifname))?.index;
    if (wanted.ifname !== undefined && index === undefined) return undefined;
    const found = (await listAddresses(nl, index)).find(({ address }) => address === wanted.address);
    if (found?.flags.includes("dadfailed")) {
      throw new NetlinkError("EADDRINUSE", operation, { message: "another host on the link has it" });
    }
    return found?.flags.includes("tentative") ? undefined : found;
  };
  return waitFor(nl, [Group.ipv4Address, Group.ipv6Address, Group.link], read, operation, options);
}

/** Waits for the link to exist and to be up (IFF_UP). @throws NetlinkError ETIMEDOUT */
export function waitForLink(nl: Netlink, ifname: string, options: WaitOptions): Promise<Link> {
  const read = async (): Promise<Link | undefined> => {
    const link = await getLink(nl, ifname);
    return link?.up ? link : undefined;
  };
  return waitFor(nl, [Group.link], read, `find the link ${ifname} up`, options);
}

/**
 * Calls `read` until it finds something: once after subscribing to `groups`, so that nothing falls between, and again
 * after each change in them.
 * @param operation What is waited for, in words, for the error.
 * @throws NetlinkError ETIMEDOUT; whatever `read` or the signal throws.
 */
export async function waitFor<T>(
  nl: Netlink,
  groups: readonly number[],
  read: () => Promise<T | undefined>,
  operation: string,
  { timeout, signal }: WaitOptions,
): Promise<T> {
  signal?.throwIfAborted();
  const stop = Promise.withResolvers<never>();
  let notification = Promise.withResolvers<void>();
  using _subscription = nl.subscribe(groups, () => notification.resolve());
  const abort = (): void => stop.reject(signal?.reason);
  signal?.addEventListener("abort", abort, { once: true });
  const timer = setTimeout(() => {
    stop.reject(new NetlinkError("ETIMEDOUT", operation, { message: `not there within ${timeout} ms` }));
  }, timeout);
  try {
    for (;;) {
      const found = await Promise.race([read(), stop.promise]);
      if (found !== undefined) return found;
      await Promise.race([notification.promise, stop.promise]);
      notification = Promise.withResolvers(); // before the next reading: what comes during it counts
    }
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  }
}
