import { type Guard, planGuard } from "../guard/plan.ts";
import { type Attachment, isStrongswan, type StrongswanAttachment, type WireguardAttachment } from "./record.ts";

/** The guard of a pod with a tunnel to a hub, from what its record says. Pure. */
export function podGuard(
  record: Pick<StrongswanAttachment, "ifname" | "virtualSubnets" | "excluded" | "dataPlane" | "shared">,
): Guard {
  const { ifname: name, virtualSubnets, excluded, dataPlane, shared } = record;
  const subnets = { name, virtualSubnets, excluded, refuse: "blackhole" } as const;
  if (shared === undefined) return planGuard({ ...subnets, dataPlane });
  // By device, as in user space: XFRM has no policies in the namespace of an XFRM interface that was moved there.
  return planGuard({ ...subnets, dataPlane: "userspace", device: shared.device });
}

/** The guard of a pod with a WireGuard device of its own: nothing of the mesh but through the device. Pure. */
export function ownGuard(
  record: Pick<WireguardAttachment, "ifname" | "interface" | "meshPrefixes">,
  { excluded }: Pick<NonNullable<WireguardAttachment["own"]>, "excluded">,
): Guard {
  const { ifname: name, interface: device, meshPrefixes: virtualSubnets } = record;
  // By device, in the kernel as well: decrypted packets come by one of their own.
  return planGuard({ name, virtualSubnets, excluded, dataPlane: "userspace", device, refuse: "blackhole" });
}

/** The guard in the pod of an attachment; none where the node guards it. Pure. */
export function guardOf(record: Attachment): Guard | undefined {
  if (isStrongswan(record)) return podGuard(record);
  return record.own && ownGuard(record, record.own);
}
