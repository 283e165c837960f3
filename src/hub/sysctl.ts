import { forwardingChanges, type ReadSysctl, type SysctlChange } from "../forwarding/sysctl.ts";
import type { DataPlane } from "../ipsec/strongswan-conf.ts";
import type { Family } from "../net/address.ts";

/** Its part of `stopRedirects`. */
const REDIRECTS = "net/ipv4/conf/all/send_redirects";

/** What has to change so that a hub works: forwarding, and in user space no redirects. Pure. */
export function hubSysctls(
  families: readonly Family[],
  dataPlane: DataPlane,
  interfaces: readonly string[],
  read: ReadSysctl,
): SysctlChange[] {
  const redirects = dataPlane === "userspace" && families.includes(4) && read(REDIRECTS) === "1";
  return [
    ...(redirects ? [{ key: REDIRECTS, before: "1", after: "0" }] : []),
    ...forwardingChanges(families, interfaces, read),
  ];
}
