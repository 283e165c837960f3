import { Code, Fault } from "../../fault.ts";
import { readText } from "../../os/file.ts";

/** IKE's (RFC 7296, section 2), and the one that it goes on by through a NAT. */
const PORTS = [500, 4500];

/**
 * charon starts all the same when somebody has its ports, and hears nobody.
 * @throws Fault 103 when a program has one of them, in the network namespace of this thread.
 */
export function requireFreePorts(): void {
  const tables = ["udp", "udp6"].map((name) => readText(`/proc/thread-self/net/${name}`) ?? "");
  const taken = PORTS.filter((port) => tables.some((table) => localPorts(table).includes(port)));
  const [port] = taken;
  if (port === undefined) return;
  throw new Fault(
    Code.charon,
    `another program has UDP port ${taken.join(" and ")}, which the IPsec between nodes needs`,
    `stop it: \`ss -ulpn sport = :${port}\` names it (a strongSwan of its own: \`systemctl disable --now strongswan\`)`,
  );
}

/** The local ports in the text of /proc/net/udp. Pure. */
export function localPorts(table: string): number[] {
  return [...table.matchAll(/^\s*\d+: [\dA-F]+:([\dA-F]{4}) /gm)].map(([, port = ""]) => Number.parseInt(port, 16));
}
