import type { Family } from "../net/address.ts";
import type { Netns } from "../os/namespace.ts";
import { readSysctl, writeSysctl } from "../os/sysctl.ts";

/** A kernel setting to be changed: `key` is its path below /proc/sys. */
export interface SysctlChange {
  readonly key: string;
  readonly before: string;
  readonly after: string;
}

/** The value of a setting; undefined when the kernel has none of that name. */
export type ReadSysctl = (key: string) => string | undefined;

/** What a WireGuard device of the node needs of the kernel. */
export interface MeshSysctlRequest {
  readonly device: string;
  /** Where the pods' packets come from: their bridge, or the node's end of the pod's veth. */
  readonly podInterface?: string;
  /** Of what is forwarded. */
  readonly families: readonly Family[];
  /** Names of all interfaces. */
  readonly interfaces: readonly string[];
  readonly read: ReadSysctl;
}

/**
 * What has to change so that the kernel forwards between pods and a WireGuard device; nothing where all is so already.
 * Pure. IPv4 is turned on for these interfaces alone, IPv6 knows only on and off for all of them. rp_filter becomes
 * "loose": the kernel takes the larger of the device's and that of `all`, and the strict one drops what comes from a
 * peer whose route only a rule (fwmark) leads to.
 */
export function meshSysctls(request: MeshSysctlRequest): SysctlChange[] {
  const { device, podInterface, families, interfaces, read } = request;
  const forwarding = podInterface === undefined ? [device] : [device, podInterface];
  return [
    ...(families.includes(4)
      ? [
          ...changes(`net/ipv4/conf/${device}/rp_filter`, LOOSE, read),
          ...forwarding.flatMap((name) => changes(`net/ipv4/conf/${name}/forwarding`, "1", read)),
        ]
      : []),
    ...(families.includes(6) ? forwardingChanges([6], interfaces, read) : []),
  ];
}

/** rp_filter: the source needs a route, but not by the interface by which the packet came. */
const LOOSE = "2";

const FORWARDING: Readonly<Record<Family, string>> = {
  4: "net/ipv4/ip_forward",
  6: "net/ipv6/conf/all/forwarding",
};

/**
 * What has to change so that the kernel forwards packets of these families; nothing where it does already. Pure.
 * An interface that takes its IPv6 address and default route from a router forgets them when it forwards, unless its
 * accept_ra is 2: that is set first, as it must be in force when forwarding begins.
 * rp_filter is left as it is: a reverse lookup finds the tunnel, also in strict mode.
 * @param interfaces Names of all interfaces.
 */
export function forwardingChanges(
  families: readonly Family[],
  interfaces: readonly string[],
  read: ReadSysctl,
): SysctlChange[] {
  return families.flatMap((family): SysctlChange[] => {
    const forwarding = changes(FORWARDING[family], "1", read);
    if (family === 4 || forwarding.length === 0) return forwarding;
    const hosts = interfaces.map(acceptRa).filter((setting) => read(setting) === "1");
    return [...hosts.flatMap((setting) => changes(setting, "2", read)), ...forwarding];
  });
}

/**
 * The changes of a later call added to those of an earlier one: what was before the first of them counts. Pure.
 */
export function mergedSysctls(earlier: readonly SysctlChange[], later: readonly SysctlChange[]): SysctlChange[] {
  const fresh = later.filter(({ key }) => !earlier.some((change) => change.key === key));
  return [...earlier, ...fresh];
}

/** Makes the changes, in their order. @throws Fault 102. */
export function applySysctls(changes: readonly SysctlChange[], netns?: Netns): void {
  for (const { key, after } of changes) writeSysctl(key, after, netns);
}

/**
 * Puts back what was before, in reverse. A setting that somebody else has changed in the meantime, or whose interface
 * is gone, is not ours any more. @throws Fault 102.
 */
export function restoreSysctls(changes: readonly SysctlChange[], netns?: Netns): void {
  for (const { key, before, after } of [...changes].reverse()) {
    if (readSysctl(key, netns) === after) writeSysctl(key, before, netns);
  }
}

function changes(key: string, after: string, read: ReadSysctl): SysctlChange[] {
  const before = read(key);
  return before === after ? [] : [{ key, before: before ?? "", after }];
}

function acceptRa(name: string): string {
  return `net/ipv6/conf/${name}/accept_ra`;
}
