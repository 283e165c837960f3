import { isObject, type JsonObject } from "../../../src/cni/json.ts";
import { canonical, must } from "./violation.ts";

/** The lists of a result from 0.3.0 on, each entry as it was printed. */
export interface Listed {
  readonly interfaces: readonly JsonObject[];
  readonly ips: readonly JsonObject[];
  readonly routes: readonly JsonObject[];
}

/** @throws Violation when one of the lists is none of objects. An absent list is an empty one. */
export function listed(result: JsonObject): Listed {
  return {
    interfaces: objects(result, "interfaces"),
    ips: objects(result, "ips"),
    routes: objects(result, "routes"),
  };
}

/** What `result` has beyond `before`: what the plugin under test made. */
export function added(before: JsonObject | undefined, result: JsonObject): Listed {
  const now = listed(result);
  if (before === undefined) return now;
  const old = listed(before);
  return {
    interfaces: without(now.interfaces, old.interfaces),
    ips: without(now.ips, old.ips),
    routes: without(now.routes, old.routes),
  };
}

/** The name of the interface that an entry of `ips` is on; undefined when it says none. */
export function interfaceOf(result: JsonObject, ip: JsonObject): JsonObject | undefined {
  return typeof ip.interface === "number" ? listed(result).interfaces[ip.interface] : undefined;
}

/** A field that must be text. @throws Violation. */
export function textOf(item: JsonObject, key: string): string {
  const value = item[key];
  must(typeof value === "string" && value !== "", `${key} should be text in ${canonical(item)}`);
  return value;
}

function objects(result: JsonObject, key: string): readonly JsonObject[] {
  const list = result[key] ?? [];
  must(Array.isArray(list) && list.every(isObject), `${key} should be a list of objects in ${canonical(result)}`);
  return list;
}

function without(items: readonly JsonObject[], others: readonly JsonObject[]): readonly JsonObject[] {
  const known = new Set(others.map(canonical));
  return items.filter((item) => !known.has(canonical(item)));
}
