import { Code, Fault } from "../fault.ts";
import { findCharon } from "../ipsec/charon.ts";
import type { Address } from "../net/address.ts";
import { contains, type Prefix } from "../net/prefix.ts";
import type { LinkAddress } from "../netlink/addresses.ts";
import type { Link } from "../netlink/links.ts";
import type { Rule } from "../netlink/rules.ts";
import { readLink, readText } from "../os/file.ts";
import { ownNetns } from "./record.ts";

/** The fixed UDP ports of IKE and of ESP in UDP: what pods look for. */
const PORTS = [500, 4500] as const;

/** What the network namespace has, as far as it matters. */
export interface Surroundings {
  readonly links: readonly Link[];
  readonly addresses: readonly LinkAddress[];
  readonly rules: readonly Rule[];
}

/** Why a hub cannot work here, before anything is changed; undefined when it can. Pure. */
export function misfit(
  { links, addresses }: Pick<Surroundings, "links" | "addresses">,
  listen: readonly Address[],
  subnets: readonly Prefix[],
): Fault | undefined {
  const lo = links.find(({ name }) => name === "lo");
  if (lo?.up !== true) return new Fault(Code.kernel, "the loopback interface is down", "run `ip link set lo up`");
  const absent = listen.find((wanted) => !addresses.some(({ address }) => address === wanted));
  if (absent !== undefined) {
    return new Fault(Code.invalidConfig, `listen has ${absent}, which no interface has`, "give an address of this hub");
  }
  for (const { address, index } of addresses) {
    const name = links.find((link) => link.index === index)?.name ?? `link ${index}`;
    const subnet = subnets.find((prefix) => contains(prefix, address));
    // On `lo` it is our own, or an operator's; on ipsec0 it is charon's.
    if (subnet === undefined || name === "lo" || name.startsWith("ipsec")) continue;
    return new Fault(
      Code.invalidConfig,
      `${name} has the address ${address}, which is in the virtual subnet ${subnet}: the hub would cut it off`,
      "give virtualSubnets that nobody outside of the tunnels uses",
    );
  }
  return undefined;
}

/** @throws Fault 103 when another program has a port that the hub needs. */
export function requireFreePorts(): void {
  const taken = PORTS.find((port) => boundPorts().has(port));
  if (taken === undefined) return;
  throw new Fault(
    Code.charon,
    `UDP port ${taken} is in use in this network namespace`,
    `stop the other IKE daemon (\`ss -lunp sport = :${taken}\` shows it)`,
  );
}

/** @throws Fault 103 when charon runs and does not listen: it goes on then, and no pod ever reaches it. */
export function requireBoundPorts(): void {
  const missing = PORTS.find((port) => !boundPorts().has(port));
  if (missing === undefined) return;
  throw new Fault(
    Code.charon,
    `charon does not listen on UDP port ${missing}`,
    "see charon.log in the hub's directory",
  );
}

/** @throws Fault 103 when the hub of `directory` runs in another network namespace. */
export function requireSameNamespace(directory: string): void {
  using charon = findCharon(directory);
  if (charon === undefined) return;
  const theirs = readLink(`/proc/${charon.pid}/ns/net`);
  if (theirs === undefined || theirs === ownNetns()) return;
  throw new Fault(
    Code.charon,
    `the charon of ${directory} runs in another network namespace`,
    "give each hub a `directory` of its own",
  );
}

function boundPorts(): Set<number> {
  return new Set(["udp", "udp6"].flatMap((table) => localPorts(readText(`/proc/self/net/${table}`) ?? "")));
}

/** Local ports in a table of /proc/net (proc(5)): `sl local_address …`, the port in hexadecimal after the colon. Pure. */
export function localPorts(table: string): number[] {
  return [...table.matchAll(/^\s*\d+: [\dA-F]+:([\dA-F]{4}) /gm)].map(([, port]) => Number.parseInt(port ?? "", 16));
}
