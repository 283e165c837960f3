import { podAddresses } from "../../src/attachment/addresses.ts";
import type { LinkCall } from "../../src/attachment/link.ts";
import type { WireguardAttachment } from "../../src/attachment/record.ts";
import type { AddCall } from "../../src/cni/dispatch.ts";
import { ipamSubnets } from "../../src/config/consistency.ts";
import type { WireguardConfig } from "../../src/config/wireguard.ts";
import type { Prefix } from "../../src/net/prefix.ts";
import type { Netlink } from "../../src/netlink/netlink.ts";
import type { Lock } from "../../src/os/lock.ts";
import type { Log } from "../../src/os/log.ts";
import type { Netns } from "../../src/os/namespace.ts";

/** What all steps of one ADD share. */
export interface Work {
  readonly call: AddCall;
  readonly config: WireguardConfig;
  readonly directory: string;
  readonly netns: Netns;
  readonly lock: Lock;
  /** rtnetlink of the node. */
  readonly node: Netlink;
  /** rtnetlink of the pod. */
  readonly pod: Netlink;
  /** What a failure takes back, the last first. */
  readonly undo: AsyncDisposableStack;
  /** What a failure takes back in the end, when the record is gone: what pods share. */
  readonly released: AsyncDisposableStack;
  /** As it is before anything is made. */
  readonly record: WireguardAttachment;
  readonly log: Log;
}

/**
 * The subnets of the network's pods on this node: those of its IPAM, as far as the configuration has them; in a chain
 * those of the link that is there. Pure. @throws Fault 100 for a result that cannot be read.
 */
export function podSubnets({ config, ifname }: Pick<AddCall, "config" | "ifname">): Prefix[] {
  const { prevResult, raw } = config;
  if (raw.ipam !== undefined || prevResult === undefined) return ipamSubnets(raw.ipam).map(({ prefix }) => prefix);
  return podAddresses(prevResult, ifname).map(({ subnet }) => subnet);
}

/** How the link of the pod is asked for. */
export function linkCall({ call, record, lock }: Work): LinkCall {
  return { call, containerID: call.containerID, ifname: call.ifname, args: record.args, lockFd: lock.fd };
}
