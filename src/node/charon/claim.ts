import type { AttachmentKey } from "../../attachment/record.ts";
import { Code, Fault } from "../../fault.ts";
import { NetlinkError } from "../../netlink/error.ts";
import { addLink, deleteLink, getLink, listLinks } from "../../netlink/links.ts";
import type { Netlink } from "../../netlink/netlink.ts";
import { lockNodeCharon, type SharedAttachment, sharedAttachments } from "./directory.ts";
import { freeIfId, nameOnNode } from "./if-id.ts";

/** What a pod wants to have for itself. */
export interface Claim extends AttachmentKey {
  readonly identity: string;
}

/** Attempts, each with another number: a link that was moved away keeps its own, and is found by no list. */
const ATTEMPTS = 16;

/**
 * Makes a pod's XFRM interface on the node, with a number that no other has, down, to be moved. That is the real attempt
 * as well, whether this kernel has such interfaces.
 * @param note Writes the number into the attachment's record, before the interface is made.
 * @throws Fault 7 for an identity that another pod has, Fault 101 for a kernel without XFRM interfaces, NetlinkError.
 */
export async function claimInterface(nl: Netlink, claim: Claim, note: (ifId: number) => void): Promise<number> {
  using _lock = await lockNodeCharon();
  const others = sharedAttachments()
    .map(({ record }) => record)
    .filter(({ containerID, ifname }) => containerID !== claim.containerID || ifname !== claim.ifname);
  const namesake = others.find(({ identity }) => sameIdentity(identity, claim.identity));
  if (namesake !== undefined) throw takenIdentity(claim, namesake);
  const links = (await listLinks(nl)).flatMap(({ ifId }) => (ifId === undefined ? [] : [ifId]));
  const taken = new Set([...others.map(({ shared }) => shared.ifId), ...links]);
  for (let attempt = 1; ; attempt += 1) {
    const ifId = freeIfId(taken, Math.random());
    note(ifId);
    try {
      await addLink(nl, { kind: "xfrm", name: nameOnNode(ifId), ifId });
      return ifId;
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error;
      if (error.errno === "ENOTSUP") throw noXfrmInterfaces(error);
      if (error.errno !== "EEXIST" || attempt === ATTEMPTS) throw error;
      taken.add(ifId);
    }
  }
}

/** Removes the interface where it was made: one that was moved is the pod's. None there is fine. @throws NetlinkError. */
export async function removeUnmoved(nl: Netlink, ifId: number): Promise<void> {
  const link = await getLink(nl, nameOnNode(ifId));
  if (link?.ifId === ifId) await deleteLink(nl, link.index);
}

/**
 * Whether this kernel has XFRM interfaces: a real attempt, which is removed at once.
 * @throws Fault 101 when it has none, NetlinkError for what says nothing about that (EPERM).
 */
export async function requireXfrmInterfaces(nl: Netlink): Promise<void> {
  const ifId = freeIfId(new Set(), Math.random());
  try {
    await addLink(nl, { kind: "xfrm", name: nameOnNode(ifId), ifId });
  } catch (error) {
    if (!(error instanceof NetlinkError) || error.errno === "EPERM") throw error;
    if (error.errno === "EEXIST") return;
    throw noXfrmInterfaces(error);
  }
  await removeUnmoved(nl, ifId);
}

function noXfrmInterfaces(cause: NetlinkError): Fault {
  return new Fault(
    Code.missingPart,
    `vpn.attach is "node", but the kernel makes no XFRM interface (${cause.errno})`,
    "load the kernel module xfrm_interface, or set vpn.attach to pod",
    { cause },
  );
}

/** charon compares names without regard to case (RFC 7296 section 3.5 leaves it to the type, FQDN has none). */
function sameIdentity(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase();
}

function takenIdentity({ identity }: Claim, { containerID, ifname }: SharedAttachment): Fault {
  return new Fault(
    Code.invalidConfig,
    `vpn.identity becomes "${identity}", which ${ifname} of container ${containerID} has already`,
    "make vpn.identity differ from pod to pod, as its default does, or set vpn.attach to pod",
  );
}
