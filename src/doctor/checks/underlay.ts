import { endpointText } from "../../net/endpoint.ts";
import { contains } from "../../net/prefix.ts";
import type { Observed } from "../../node/observe.ts";
import { type Finding, findingsOf, type Mending } from "../finding.ts";
import type { FirewallFacts } from "../gather/firewalls.ts";
import type { Closed } from "../gather/local-chains.ts";
import type { PathFacts } from "../gather/paths.ts";
import { trafficOf, verdictOf } from "../verdict.ts";

const { ok, none, bad, warning } = findingsOf("underlay");

/** What of the node the ways to its peers depend on. */
export interface UnderlayContext {
  readonly observed: Observed;
  readonly firewalls: readonly FirewallFacts[];
  /** In milliseconds since 1970. */
  readonly now: number;
}

/** Whether each peer's address is reached, and its UDP port is open in both directions. Pure. */
export function checkUnderlay(paths: readonly PathFacts[], context: UnderlayContext): Finding[] {
  if (paths.length === 0) return [none("this node has no peers")];
  return paths.flatMap((path) => ofPath(path, context));
}

function ofPath(path: PathFacts, context: UnderlayContext): Finding[] {
  const { peer, device, underlay } = path;
  const { endpoint } = peer;
  if (underlay === undefined || endpoint === undefined) {
    return [none(`${peer.name}: nobody knows where it is; it has to come to us`)];
  }
  const at = `${peer.name} at ${endpointText(endpoint)}`;
  const { route, knock } = underlay;
  if (route === undefined) return [bad(`${at}: there is no route to it`, wayBack(path, context))];
  const loop = context.observed.links.find(({ index }) => index === route.oif)?.name;
  if (loop === device.name) {
    const command = `ip route del ${endpoint.address}`;
    return [bad(`${at}: its route leads into ${device.name}, the tunnel itself`, { command, remedy: "see `ip rule`" })];
  }
  if (knock === "EPERM") {
    const what = `${at}: a firewall of this node does not let packets out to it (EPERM)`;
    const closed = opened(context.firewalls.find((facts) => facts.device === device)?.output);
    if (closed !== undefined) return [bad(`${what}; ${closed.what}`, { command: closed.command })];
    return [bad(what, { remedy: "find the rule that drops it: `nft list ruleset`, chains at hook output" })];
  }
  if (knock === "ECONNREFUSED") {
    return [
      bad(`${at}: nothing listens there (ICMP port unreachable)`, { remedy: `run on ${peer.name}: podvpn doctor` }),
    ];
  }
  if (knock !== "silent") return [bad(`${at}: packets to it are refused (${knock})`, wayBack(path, context))];
  return [heard(path, at, context)];
}

/** Whether anything came back, and if not, who may be in the way. */
function heard(path: PathFacts, at: string, { firewalls, now }: UnderlayContext): Finding {
  const { peer, device, after, pings } = path;
  const { sent, received } = trafficOf(path);
  const verdict = verdictOf(path, now);
  const isIpsec = device.kind === "ipsec";
  const ports = isIpsec ? "ports 500 and 4500" : `port ${peer.endpoint?.port}`;
  const remedy = `run \`podvpn doctor\` on ${peer.name} too; let UDP ${ports} through on the way`;
  if (verdict === "untried") return none(`${at}: nothing was sent to it, so nothing is known`);
  // WireGuard's handshake passes in both directions, or nothing does; with IPsec each direction has keys of its own.
  if (verdict === "alive" && isIpsec && peer.isSure && pings.length > 0) {
    const what = `${at}: ${received} bytes came from it, and it answers nothing of ${sent} that went out`;
    return bad(`${what}: they may not arrive there`, { remedy });
  }
  if (verdict !== "silent") return ok(`${at}: UDP passes in both directions (${sent} bytes out, ${received} in)`);
  const isWithout = isIpsec && after === undefined;
  const what = isWithout ? `${at}: there is no tunnel to it` : `${at}: ${sent} bytes went out, and nothing came back`;
  const closed = opened(firewalls.find((facts) => facts.device === device)?.input);
  if (closed !== undefined) return bad(`${what}; ${closed.what}`, { command: closed.command });
  if (sent === 0 && !isWithout) return warning(`${at}: nothing went out to it; see the routes above`, {});
  return bad(what, { remedy });
}

/** Chains that refuse are opened all at once. Undefined where there are none. Pure. */
export function opened(closed: readonly Closed[] | undefined): Closed | undefined {
  if (closed === undefined || closed.length === 0) return undefined;
  return {
    what: closed.map(({ what }) => what).join("; "),
    command: closed.map(({ command }) => command).join(" && "),
  };
}

/** What may bring back the way to a peer: a link that is down, or a route that refuses. */
function wayBack({ peer }: PathFacts, { observed }: UnderlayContext): Mending {
  const address = peer.endpoint?.address;
  if (address === undefined) return { remedy: "give the peer an endpoint" };
  const refusing = observed.routes.find(
    ({ dst, type, protocol }) =>
      contains(dst, address) && ["blackhole", "unreachable", "prohibit"].includes(type) && protocol !== KERNEL,
  );
  const down = observed.links.find(
    ({ name, up }) => !up && observed.subnets.some(({ dev, prefix }) => dev === name && contains(prefix, address)),
  );
  if (down !== undefined) return { command: `ip link set ${down.name} up` };
  if (refusing !== undefined) return { command: `ip route del ${refusing.type} ${refusing.dst}` };
  return { remedy: `give this node a route to ${address}: \`ip route get ${address}\` tells what there is` };
}

/** rtm_protocol of the kernel's own. */
const KERNEL = 2;
