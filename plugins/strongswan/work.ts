import type { LinkCall } from "../../src/attachment/link.ts";
import type { AttachmentKey, StrongswanAttachment } from "../../src/attachment/record.ts";
import type { AddCall } from "../../src/cni/dispatch.ts";
import type { StrongswanConfig } from "../../src/config/strongswan.ts";
import type { Netlink } from "../../src/netlink/netlink.ts";
import type { Lock } from "../../src/os/lock.ts";
import type { Netns } from "../../src/os/namespace.ts";

/** What all steps of one ADD share. */
export interface Work {
  readonly call: AddCall;
  readonly config: StrongswanConfig;
  readonly directory: string;
  readonly netns: Netns;
  readonly lock: Lock;
  /** rtnetlink of the node. */
  readonly node: Netlink;
  /** rtnetlink of the pod. */
  readonly pod: Netlink;
  readonly undo: Undo;
}

/**
 * What a failure takes back, whatever was made first: the tunnel while the link still carries the word to the hub, then
 * the link, and the guard when there is no link left that could carry plain text; at last, when the record is gone, what
 * pods share.
 */
export interface Undo {
  readonly tunnel: AsyncDisposableStack;
  readonly link: AsyncDisposableStack;
  readonly guard: AsyncDisposableStack;
  readonly released: AsyncDisposableStack;
}

/** How the pod's link is asked for. Pure. */
export function linkCall({ call, lock }: Work, record: Pick<StrongswanAttachment, "args">): LinkCall {
  return { call, ...keyOf(call), args: record.args, lockFd: lock.fd };
}

/** What CNI knows an attachment by. Pure. */
export function keyOf({ containerID, ifname }: AttachmentKey): AttachmentKey {
  return { containerID, ifname };
}
