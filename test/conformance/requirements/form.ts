import { isIP } from "node:net";
import { isObject, type JsonObject } from "../../../src/cni/json.ts";
import { listed, textOf } from "../support/result.ts";
import { atLeast, type Version } from "../support/versions.ts";
import { canonical, must } from "../support/violation.ts";

/** What a field may be. */
type Check = (value: unknown) => boolean;

const text: Check = (value) => typeof value === "string";
const uint: Check = (value) => typeof value === "number" && Number.isInteger(value) && value >= 0;
const texts: Check = (value) => Array.isArray(value) && value.every(text);
const address: Check = (value) => typeof value === "string" && isIP(value) !== 0;
const prefix: Check = (value) => typeof value === "string" && isPrefix(value);
const mac: Check = (value) => typeof value === "string" && /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(value);

type Fields = Readonly<Record<string, Check>>;

const INTERFACE: Fields = { name: text, mac, sandbox: text };
const INTERFACE_110: Fields = { ...INTERFACE, mtu: uint, socketPath: text, pciID: text };
const IP: Fields = { address: prefix, gateway: address, interface: uint };
const IP_BEFORE_100: Fields = { ...IP, version: (value) => value === "4" || value === "6" };
const ROUTE: Fields = { dst: prefix, gw: address };
const ROUTE_110: Fields = { ...ROUTE, mtu: uint, advmss: uint, priority: uint, table: uint, scope: uint };
const DNS: Fields = { nameservers: texts, domain: text, search: texts, options: texts };
const LEGACY_IP: Fields = { ip: prefix, gateway: address, routes: (value) => Array.isArray(value) };

/**
 * The structure of ADD's result as `version` has it (section 5 of 1.0.0 and 1.1.0, "Result" before).
 * @throws Violation that names the field: one that is missing, unknown to the version, or of another type.
 */
export function requireForm(result: JsonObject, version: Version): void {
  requireFields(result.dns ?? {}, DNS, [], "dns");
  must(result.cniVersion === version, `cniVersion should be ${version} in ${canonical(result)}`);
  if (!atLeast(version, "0.3.0")) {
    requireLegacyForm(result);
    return;
  }
  const newest = atLeast(version, "1.1.0");
  const versioned = !atLeast(version, "1.0.0");
  const keys = ["cniVersion", "interfaces", "ips", "routes", "dns"];
  for (const key of Object.keys(result)) must(keys.includes(key), `${version} has no ${key} in a result`);
  const { interfaces, ips, routes } = listed(result);
  for (const item of interfaces) requireFields(item, newest ? INTERFACE_110 : INTERFACE, ["name"], "interfaces");
  for (const ip of ips) {
    requireFields(ip, versioned ? IP_BEFORE_100 : IP, versioned ? ["address", "version"] : ["address"], "ips");
    const family = textOf(ip, "address").includes(":") ? "6" : "4";
    must(ip.version === undefined || ip.version === family, `version should be ${family} in ${canonical(ip)}`);
    const inRange = ip.interface === undefined || Number(ip.interface) < interfaces.length;
    must(inRange, `interface should be an index into the ${interfaces.length} interfaces in ${canonical(ip)}`);
  }
  for (const route of routes) requireFields(route, newest ? ROUTE_110 : ROUTE, ["dst"], "routes");
}

/** Up to 0.2.0 a result has one address of each family, and its routes with it. */
function requireLegacyForm(result: JsonObject): void {
  const keys = ["cniVersion", "ip4", "ip6", "dns"];
  for (const key of Object.keys(result)) must(keys.includes(key), `there is no ${key} in a result before 0.3.0`);
  must(result.ip4 !== undefined || result.ip6 !== undefined, `there should be ip4 or ip6 in ${canonical(result)}`);
  for (const key of ["ip4", "ip6"]) {
    const item = result[key];
    if (item === undefined) continue;
    requireFields(item, LEGACY_IP, ["ip"], key);
    for (const route of listed(isObject(item) ? item : {}).routes)
      requireFields(route, ROUTE, ["dst"], `${key}.routes`);
  }
}

function requireFields(item: unknown, fields: Fields, needed: readonly string[], where: string): void {
  must(isObject(item), `${where} should be an object, and is ${canonical(item)}`);
  for (const key of needed) must(item[key] !== undefined, `${where} should have ${key}: ${canonical(item)}`);
  for (const [key, value] of Object.entries(item)) {
    const check = fields[key];
    must(check !== undefined, `${where} has no field ${key}: ${canonical(item)}`);
    must(check(value), `${where}: ${key} has the wrong form: ${canonical(item)}`);
  }
}

function isPrefix(text: string): boolean {
  const [ip = "", length = "", ...rest] = text.split("/");
  const bits = isIP(ip) === 6 ? 128 : 32;
  return isIP(ip) !== 0 && rest.length === 0 && /^\d{1,3}$/.test(length) && Number(length) <= bits;
}
