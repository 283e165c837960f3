import { Code, Fault } from "../fault.ts";
import type { DataPlane } from "../ipsec/strongswan-conf.ts";
import type { Family } from "../net/address.ts";
import { readText } from "../os/file.ts";
import { run } from "../os/process.ts";

/** A kernel setting to be changed: `key` is its path below /proc/sys. */
export interface SysctlChange {
  readonly key: string;
  readonly before: string;
  readonly after: string;
}

const FORWARDING: Readonly<Record<Family, string>> = {
  4: "net/ipv4/ip_forward",
  6: "net/ipv6/conf/all/forwarding",
};

/** Its part of {@link stopRedirects}. */
const REDIRECTS = "net/ipv4/conf/all/send_redirects";

/** What has to change so that a hub works: forwarding, and in user space no redirects. Pure. */
export function hubSysctls(
  families: readonly Family[],
  dataPlane: DataPlane,
  interfaces: readonly string[],
  read: (key: string) => string | undefined,
): SysctlChange[] {
  const redirects = dataPlane === "userspace" && families.includes(4) && read(REDIRECTS) === "1";
  return [
    ...(redirects ? [{ key: REDIRECTS, before: "1", after: "0" }] : []),
    ...forwardingChanges(families, interfaces, read),
  ];
}

/**
 * What has to change so that the kernel forwards packets of these families; nothing where it does already. Pure.
 * An interface that takes its IPv6 address and default route from a router forgets them when it forwards, unless its
 * accept_ra is 2: that is set first, as it must be in force when forwarding begins.
 * rp_filter is left as it is: a reverse lookup finds the tunnel, also in strict mode.
 * @param read A setting's value; undefined when the kernel has none of that name.
 * @param interfaces Names of all interfaces.
 */
export function forwardingChanges(
  families: readonly Family[],
  interfaces: readonly string[],
  read: (key: string) => string | undefined,
): SysctlChange[] {
  return families.flatMap((family): SysctlChange[] => {
    const key = FORWARDING[family];
    const before = read(key);
    if (before === "1") return [];
    const forwarding = { key, before: before ?? "", after: "1" };
    if (family === 4) return [forwarding];
    const hosts = interfaces.map(acceptRa).filter((setting) => read(setting) === "1");
    return [...hosts.map((setting) => ({ key: setting, before: "1", after: "2" })), forwarding];
  });
}

/** The value of a setting in this network namespace, or undefined when there is none. */
export function readSysctl(key: string): string | undefined {
  return readText(`/proc/sys/${key}`)?.trim();
}

/** @throws Fault 102 when the kernel does not take it. */
export async function writeSysctl(key: string, value: string): Promise<void> {
  const path = `/proc/sys/${key}`;
  const { code, stderr } = await run("tee", [path], { input: value, timeout: 5000 });
  if (code === 0) return;
  throw new Fault(
    Code.kernel,
    `${key.replaceAll("/", ".")} cannot be set to ${value}`,
    "run as root with /proc/sys writable, or set it beforehand",
    { details: stderr.toString().trim() },
  );
}

function acceptRa(name: string): string {
  return `net/ipv6/conf/${name}/accept_ra`;
}
