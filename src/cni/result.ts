import { parseAddress } from "../net/address.ts";
import { interfaceAddress } from "../net/prefix.ts";
import { defined, expected, integerAt, type JsonObject, listAt, objectAt, required, textAt } from "./json.ts";
import { atLeast, type CniVersion } from "./version.ts";

/** What an ADD made, in the terms of SPEC 1.1.0, "ADD Success". Every other version's result is read into this. */
export interface Result {
  readonly interfaces: readonly Interface[];
  /** The first address of each family is the one that runtimes show. */
  readonly ips: readonly IPConfig[];
  readonly routes: readonly Route[];
  readonly dns?: DNS;
}

export interface Interface {
  readonly name: string;
  readonly mac?: string;
  /** Bytes. 1.1.0. */
  readonly mtu?: number;
  /** Path of the network namespace; absent for an interface of the node. */
  readonly sandbox?: string;
  /** 1.1.0. */
  readonly socketPath?: string;
  /** 1.1.0. */
  readonly pciID?: string;
}

export interface IPConfig {
  /** With the length of its on-link prefix and its host bits: `10.1.2.3/16`. */
  readonly address: string;
  readonly gateway?: string;
  /** Index into `interfaces`. */
  readonly interface?: number;
}

export interface Route {
  /** Prefix: `0.0.0.0/0`. */
  readonly dst: string;
  readonly gw?: string;
  /** Bytes. This and all below: 1.1.0. */
  readonly mtu?: number;
  /** Bytes. */
  readonly advmss?: number;
  /** The kernel's metric: lower wins. */
  readonly priority?: number;
  readonly table?: number;
  /** rtnetlink's number: 0 global, 253 link, 254 host. */
  readonly scope?: number;
}

export interface DNS {
  readonly nameservers?: readonly string[];
  readonly domain?: string;
  readonly search?: readonly string[];
  readonly options?: readonly string[];
}

/**
 * A result of any version of the specification: up to 0.2.0 `ip4` and `ip6` with their routes, later `ips` and `routes`.
 * Told apart by shape, not by `cniVersion`, which a runtime may have left out. Unknown keys are dropped.
 * @param field Where `json` stands, for the message: `prevResult`.
 * @throws Fault 7 that names the path, the value and what is expected.
 */
export function parseResult(json: unknown, field: string): Result {
  const result = required(objectAt(json, field), field, "a CNI result");
  const interfaces = mapAt(result.interfaces, `${field}.interfaces`, parseInterface);
  const legacy = ["ip4", "ip6"].flatMap((family) => {
    const config = objectAt(result[family], `${field}.${family}`);
    return config === undefined ? [] : [parseLegacyIP(config, `${field}.${family}`)];
  });
  const ips = mapAt(result.ips, `${field}.ips`, (item, at) => parseIP(item, at, interfaces.length));
  const dns = objectAt(result.dns, `${field}.dns`);
  return defined({
    interfaces,
    ips: [...legacy.map(({ ip }) => ip), ...ips],
    routes: [...legacy.flatMap(({ routes }) => routes), ...mapAt(result.routes, `${field}.routes`, parseRoute)],
    dns: dns && parseDNS(dns, `${field}.dns`),
  });
}

/**
 * The result as the specification's `version` has it, ready for JSON. What that version does not know is left out: the
 * fields of 1.1.0, and up to 0.2.0 the interfaces and all but the first address of each family.
 */
export function formatResult(result: Result, version: CniVersion): JsonObject {
  const { interfaces, ips, routes, dns } = result;
  if (!atLeast(version, "0.3.0")) {
    return defined({
      cniVersion: version,
      ip4: formatLegacyIP(result, 4),
      ip6: formatLegacyIP(result, 6),
      dns,
    });
  }
  const newest = atLeast(version, "1.1.0");
  return defined({
    cniVersion: version,
    interfaces: listed(
      newest ? interfaces : interfaces.map(({ name, mac, sandbox }) => defined({ name, mac, sandbox })),
    ),
    ips: listed(atLeast(version, "1.0.0") ? ips : ips.map((ip) => ({ version: String(familyOf(ip.address)), ...ip }))),
    routes: listed(newest ? routes : routes.map(plainRoute)),
    dns,
  });
}

function parseInterface(json: unknown, field: string): Interface {
  const item = required(objectAt(json, field), field, "an interface");
  return defined({
    name: required(textAt(item.name, `${field}.name`), `${field}.name`, "the interface's name"),
    mac: textAt(item.mac, `${field}.mac`),
    mtu: integerAt(item.mtu, `${field}.mtu`),
    sandbox: textAt(item.sandbox, `${field}.sandbox`),
    socketPath: textAt(item.socketPath, `${field}.socketPath`),
    pciID: textAt(item.pciID, `${field}.pciID`),
  });
}

function parseIP(json: unknown, field: string, interfaces: number): IPConfig {
  const item = required(objectAt(json, field), field, "an address");
  const index = integerAt(item.interface, `${field}.interface`);
  if (index !== undefined && (index < 0 || index >= interfaces)) {
    throw expected(index, `${field}.interface`, `an index into the list of ${interfaces} interfaces`);
  }
  return defined({
    address: cidrAt(item.address, `${field}.address`),
    gateway: addressAt(item.gateway, `${field}.gateway`),
    interface: index,
  });
}

function parseLegacyIP(item: JsonObject, field: string): { ip: IPConfig; routes: Route[] } {
  const address = cidrAt(item.ip, `${field}.ip`);
  const gateway = addressAt(item.gateway, `${field}.gateway`);
  return { ip: defined({ address, gateway }), routes: mapAt(item.routes, `${field}.routes`, parseRoute) };
}

function parseRoute(json: unknown, field: string): Route {
  const item = required(objectAt(json, field), field, "a route");
  return defined({
    dst: cidrAt(item.dst, `${field}.dst`),
    gw: addressAt(item.gw, `${field}.gw`),
    mtu: integerAt(item.mtu, `${field}.mtu`),
    advmss: integerAt(item.advmss, `${field}.advmss`),
    priority: integerAt(item.priority, `${field}.priority`),
    table: integerAt(item.table, `${field}.table`),
    scope: integerAt(item.scope, `${field}.scope`),
  });
}

function parseDNS(item: JsonObject, field: string): DNS {
  const texts = (key: string) =>
    item[key] == null
      ? undefined
      : mapAt(item[key], `${field}.${key}`, (text, at) => required(textAt(text, at), at, "a string"));
  return defined({
    nameservers: texts("nameservers"),
    domain: textAt(item.domain, `${field}.domain`),
    search: texts("search"),
    options: texts("options"),
  });
}

function mapAt<T>(json: unknown, field: string, parse: (item: unknown, field: string) => T): T[] {
  return listAt(json, field).map((item, index) => parse(item, `${field}[${index}]`));
}

function cidrAt(value: unknown, field: string): string {
  const what = "an address with a prefix length, such as 10.1.2.3/16";
  const text = required(textAt(value, field), field, what);
  const parsed = interfaceAddress(text);
  if (parsed === undefined) throw expected(text, field, what);
  return `${parsed.address}/${parsed.prefixLength}`;
}

function addressAt(value: unknown, field: string): string | undefined {
  const text = textAt(value, field);
  const address = text === undefined ? undefined : parseAddress(text);
  if (text !== undefined && address === undefined) throw expected(text, field, "an IPv4 or IPv6 address");
  return address;
}

/** Up to 0.2.0 a family has one address, and its routes stand beside it. */
function formatLegacyIP(result: Result, family: 4 | 6): JsonObject | undefined {
  const ip = result.ips.find(({ address }) => familyOf(address) === family);
  if (ip === undefined) return undefined;
  const routes = result.routes.filter(({ dst }) => familyOf(dst) === family).map(plainRoute);
  return defined({ ip: ip.address, gateway: ip.gateway, routes: listed(routes) });
}

function plainRoute({ dst, gw }: Route): Route {
  return defined({ dst, gw });
}

/** An empty list is left out, as the reference plugins do. */
function listed<T>(list: readonly T[]): readonly T[] | undefined {
  return list.length === 0 ? undefined : list;
}

function familyOf(text: string): 4 | 6 {
  return text.includes(":") ? 6 : 4;
}
