import { family } from "../../net/address.ts";
import { contains, overlaps } from "../../net/prefix.ts";
import { PROTOCOL_PODVPN, type Route, Table } from "../../netlink/routes.ts";
import type { Rule } from "../../netlink/rules.ts";
import { type Observed, ownRules, sameRule } from "../../node/observe.ts";
import { meshRules, PROTOCOL_MESH } from "../../node/plan.ts";
import { type Finding, findingsOf, type Mending } from "../finding.ts";
import type { MeshDevice } from "../gather/devices.ts";
import type { Way } from "../gather/ways.ts";

const { ok, none, bad } = findingsOf("routes");

/** rtm_protocol of the kernel itself. */
const PROTOCOL_KERNEL = 2;

/**
 * Whether packets to the peers' pods take the tunnel's device, all of them. Pure but for the records that tell which rules
 * other devices need. @param mendOf The command that writes a device's own routes and rules anew.
 */
export function checkRoutes(
  devices: readonly MeshDevice[],
  ways: readonly Way[],
  observed: Observed,
  mendOf: (device: MeshDevice) => Mending,
): Finding[] {
  if (devices.length === 0) return [none("this node has no device of podvpn's")];
  return devices.flatMap((device) => {
    const own = ways.filter((way) => way.device === device);
    const findings = [
      ...missingRules(device, observed, mendOf(device)),
      ...distinct(own.flatMap((way) => ofWay(way, observed, mendOf(device)))),
      ...distinct(own.flatMap((way) => inside(way, observed))),
    ];
    const routed = own.length === 1 ? "1 prefix" : `${own.length} prefixes`;
    return findings.length > 0 ? findings : [ok(`${device.name}: the routes of ${routed} lead through it`)];
  });
}

function missingRules(device: MeshDevice, observed: Observed, mending: Mending): Finding[] {
  const existing = ownRules(observed, device.record.interface);
  return meshRules(device.record)
    .filter((rule) => !existing.some((one) => sameRule(one, rule)))
    .map(({ family: version, table }) =>
      bad(`the IPv${version} rule that leads to table ${table} of ${device.name} is gone`, mending),
    );
}

function ofWay({ device, peer, prefix, route }: Way, observed: Observed, mending: Mending): Finding[] {
  if (route !== undefined && isOurs(device, route, observed)) return [];
  const text = `packets for ${prefix} (${peer})`;
  const foreign = route === undefined ? refusing(prefix, observed) : leading(prefix, route, observed);
  if (route === undefined && foreign === undefined) {
    return [bad(`${text} go nowhere: the route through ${device.name} is gone`, mending)];
  }
  const by = nameOf(route?.oif, observed);
  const where = route === undefined ? "are refused" : `leave by ${by} instead of ${device.name}`;
  if (foreign === undefined) return [bad(`${text} ${where}`, mending)];
  // An agent does that by itself.
  const isReplaced = !device.isAgents && mending.command !== undefined && !hasOwn(device, prefix, observed);
  const command = isReplaced ? `${foreign.command} && ${mending.command}` : foreign.command;
  return [bad(`${text} ${where}: ${foreign.what}`, { command })];
}

/** Whether podvpn's own route is still there, though it loses. */
function hasOwn({ name, record }: MeshDevice, prefix: Way["prefix"], { links, routes }: Observed): boolean {
  const own = links.find((link) => link.name === name)?.index;
  return routes.some(({ dst, oif, table }) => dst === prefix && oif === own && table === (record.table ?? Table.main));
}

interface Culprit {
  readonly what: string;
  readonly command: string;
}

/** A rule of somebody's that leads to another table, or the route itself. */
function leading(prefix: Way["prefix"], route: Route, observed: Observed): Culprit | undefined {
  const rule = observed.rules.find(
    (one) => isForeignRule(one) && one.table === route.table && one.family === family(prefix),
  );
  if (route.table !== Table.main && rule !== undefined) return ruleCulprit(rule);
  const [found] = covering(prefix, observed)
    .filter((one) => one.type === "unicast" && one.oif === route.oif && one.table === route.table)
    .filter(({ protocol }) => protocol !== PROTOCOL_KERNEL && protocol !== PROTOCOL_MESH);
  return found && routeCulprit(found, observed);
}

function refusing(prefix: Way["prefix"], observed: Observed): Culprit | undefined {
  const rule = observed.rules.find(
    (one) =>
      isForeignRule(one) &&
      one.action !== "lookup" &&
      one.family === family(prefix) &&
      (one.dst === undefined || contains(one.dst, prefix)),
  );
  if (rule !== undefined) return ruleCulprit(rule);
  const [found] = covering(prefix, observed)
    .filter(({ type }) => type === "unreachable" || type === "blackhole" || type === "prohibit")
    .filter(
      ({ protocol }) => protocol !== PROTOCOL_MESH && protocol !== PROTOCOL_PODVPN && protocol !== PROTOCOL_KERNEL,
    );
  return found && routeCulprit(found, observed);
}

/** The longest first. */
function covering(prefix: Way["prefix"], { routes }: Observed): Route[] {
  const length = ({ dst }: Route) => Number(dst.slice(dst.indexOf("/") + 1));
  return routes
    .filter(({ dst }) => overlaps(dst, prefix) && family(dst) === family(prefix))
    .toSorted((one, other) => length(other) - length(one) || (one.metric ?? 0) - (other.metric ?? 0));
}

/** Routes for a part of a peer's prefix, which win for it; those of subnets on links are told as overlaps. */
function inside({ device, peer, prefix }: Way, observed: Observed): Finding[] {
  const table = device.record.table ?? Table.main;
  return observed.routes
    .filter((route) => route.table === table && route.dst !== prefix && contains(prefix, route.dst))
    .filter(
      ({ protocol }) => protocol !== PROTOCOL_MESH && protocol !== PROTOCOL_PODVPN && protocol !== PROTOCOL_KERNEL,
    )
    .map((route) => {
      const { what, command } = routeCulprit(route, observed);
      return bad(`packets for a part of ${prefix} (${peer}) do not take ${device.name}: ${what}`, { command });
    });
}

function isOurs({ name, record }: MeshDevice, route: Route, { links }: Observed): boolean {
  const own = [name, ...(record.otherDevices ?? [])];
  return links.some((link) => own.includes(link.name) && link.index === route.oif);
}

function isForeignRule({ protocol, priority, table }: Rule): boolean {
  const isKernels = priority === 0 || priority >= 32766 || protocol === PROTOCOL_KERNEL;
  return !isKernels && protocol !== PROTOCOL_MESH && protocol !== PROTOCOL_PODVPN && table !== Table.main;
}

function ruleCulprit(rule: Rule): Culprit {
  const { priority, family: version, table, action, dst, src } = rule;
  const selector = [src === undefined ? "" : ` from ${src}`, dst === undefined ? "" : ` to ${dst}`].join("");
  const target = action === "lookup" ? `leads to table ${table}` : `is ${action}`;
  return {
    what: `the rule ${priority}${selector} ${target}`,
    command: `ip -${version} rule del pref ${priority}${selector}`,
  };
}

function routeCulprit(route: Route, observed: Observed): Culprit {
  const { dst, type, gateway, oif, table, metric } = route;
  const kind = type === "unicast" ? "" : `${type} `;
  const via = gateway === undefined ? "" : ` via ${gateway}`;
  const isDevice = type === "unicast" && oif !== undefined;
  const dev = isDevice ? ` dev ${nameOf(oif, observed)}` : "";
  const more = `${table === Table.main ? "" : ` table ${table}`}${metric === undefined ? "" : ` metric ${metric}`}`;
  const text = `${kind}${dst}${via}${dev}${more}`;
  return { what: `the route ${text} is not podvpn's`, command: `ip -${family(dst)} route del ${text}` };
}

function nameOf(index: number | undefined, { links }: Observed): string {
  return links.find((link) => link.index === index)?.name ?? "none";
}

/** One route that hides several prefixes is one fault for each, and mended once. */
function distinct(findings: readonly Finding[]): Finding[] {
  return [...new Map(findings.map((finding) => [finding.command ?? finding.what, finding])).values()];
}
