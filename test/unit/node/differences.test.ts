import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Prefix, parsePrefix } from "../../../src/net/prefix.ts";
import { isRoute, type Route } from "../../../src/netlink/routes.ts";
import { routeDifference } from "../../../src/node/differences.ts";

describe("the difference between routes", () => {
  test("turns what is there into what is wanted, and names nothing that is right already", () => {
    fc.assert(
      fc.property(routes(), routes(), (wanted, existing) => {
        const { add, remove } = routeDifference(wanted, existing);
        const after = [...existing.filter((route) => !remove.includes(route)), ...add];
        expect(texts(after)).toEqual(texts(wanted));
        for (const route of add) expect(existing.some((one) => isRoute(one, route))).toBe(false);
        for (const route of remove) expect(wanted.some((one) => isRoute(route, one))).toBe(false);
      }),
    );
  });

  test("is empty between a list and itself in another order", () => {
    fc.assert(
      fc.property(routes(), (wanted) => {
        expect(routeDifference(wanted, [...wanted].reverse())).toEqual({ add: [], remove: [] });
      }),
    );
  });
});

function routes() {
  const one = fc.record({ host: fc.nat(20), oif: fc.constantFrom(2, 3), table: fc.constantFrom(254, 99) }).map(made);
  return fc.uniqueArray(one, { selector: text });
}

function made({ host, oif, table }: { host: number; oif: number; table: number }): Route {
  const dst = parsePrefix(`10.1.${host}.0/24`) as Prefix;
  return { dst, type: "unicast", oif, table, scope: "link", protocol: 174 };
}

function texts(list: readonly Route[]): string[] {
  return list.map(text).sort();
}

function text({ dst, oif, table }: Route): string {
  return `${dst} ${oif} ${table}`;
}
