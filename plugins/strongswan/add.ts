import { requireFree } from "../../src/attachment/free.ts";
import { requireLink } from "../../src/attachment/link.ts";
import { removeStaleRoutes } from "../../src/attachment/node.ts";
import {
  attachmentDirectory,
  attachmentsOf,
  isStrongswan,
  LOCK_WAIT,
  type StrongswanAttachment,
} from "../../src/attachment/record.ts";
import type { AddCall } from "../../src/cni/dispatch.ts";
import type { Result } from "../../src/cni/result.ts";
import type { StrongswanConfig } from "../../src/config/strongswan.ts";
import { Code, Fault } from "../../src/fault.ts";
import { openRoute } from "../../src/netlink/open.ts";
import { removeTree } from "../../src/os/file.ts";
import { type Lock, lockDirectory } from "../../src/os/lock.ts";
import { inNetns, openNetns } from "../../src/os/namespace.ts";
import { trace } from "../../src/os/trace.ts";
import { removeAttachment } from "./remove.ts";
import { keyOf, type Undo } from "./work.ts";

/**
 * ADD: a pod on the bridge, a tunnel to the hub by a charon of its own or by the node's, a virtual IP from the hub.
 * Returns when the tunnel carries traffic. What fails takes back all that was made, in reverse.
 * @throws Fault; README's troubleshooting has the table.
 */
export async function add(call: AddCall, config: StrongswanConfig): Promise<Result> {
  const directory = attachmentDirectory(call);
  using netns = openNetns(call.netns);
  using lock = await lockDirectory(directory, { create: true, wait: LOCK_WAIT });
  if (lock === undefined) throw new Fault(Code.internal, `${directory} was not made`, "report this");
  trace("namespace open, lock held");
  using node = openRoute();
  using pod = inNetns(netns, openRoute);
  await requireFree(call, directory, isStrongswan, (record) => clear(call, directory, record, lock));
  await using undo = new AsyncDisposableStack();
  const released = undo.use(new AsyncDisposableStack());
  undo.defer(() => removeStaleRoutes(node)); // after the record is gone: it tells which routes are stale
  undo.defer(() => removeTree(directory));
  await requireLink("strongswan", call.ifname, call.config.prevResult !== undefined, pod);
  requireOwnSubnets(call, config);
  trace("ready to add");
  const { attach } = config.attach === "node" ? await import("./attach-node.ts") : await import("./attach-pod.ts");
  const result = await attach({ call, config, directory, netns, lock, node, pod, undo: stages(undo, released) });
  undo.move();
  return result;
}

/** The last comes first. */
function stages(undo: AsyncDisposableStack, released: AsyncDisposableStack): Undo {
  const guard = undo.use(new AsyncDisposableStack());
  const link = undo.use(new AsyncDisposableStack());
  return { released, guard, link, tunnel: undo.use(new AsyncDisposableStack()) };
}

/** Clears away what a killed ADD left, in the same, locked directory. */
function clear(call: AddCall, directory: string, record: StrongswanAttachment, lock: Lock): Promise<void> {
  return removeAttachment({
    call,
    ...keyOf(call),
    directory,
    record,
    bridge: undefined,
    masquerade: false,
    netns: call.netns,
    args: undefined,
    lockFd: lock.fd,
    keepDirectory: true,
  });
}

/**
 * Two tunnels for one prefix would take its route and its guard from each other. Of two that overlap the longer one
 * wins, as among all routes. @throws Fault 7.
 */
function requireOwnSubnets({ containerID, ifname }: AddCall, { virtualSubnets }: StrongswanConfig): void {
  for (const other of attachmentsOf(containerID)) {
    const tunnelled = isStrongswan(other) ? other.virtualSubnets : other.meshPrefixes;
    const shared = virtualSubnets.find((subnet) => tunnelled.includes(subnet));
    if (shared === undefined || other.ifname === ifname) continue;
    throw new Fault(
      Code.invalidConfig,
      `vpn.virtualSubnet is "${shared}", and so is that of the container's ${other.ifname} (network ${other.network})`,
      "give each network of a container a virtual subnet of its own",
    );
  }
}
