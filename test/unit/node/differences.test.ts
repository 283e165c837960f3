import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Prefix, parsePrefix } from "../../../src/net/prefix.ts";
import { isRoute, type Route } from "../../../src/netlink/routes.ts";
import { routeDifference, routeMoves } from "../../../src/node/differences.ts";

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

describe("the moves of routes", () => {
  test("replace a route that leads to another device, and add and remove the others", () => {
    const [here, there] = [made({ host: 1, oif: 2, table: 254 }), made({ host: 1, oif: 3, table: 254 })];
    const [fresh, gone] = [made({ host: 2, oif: 2, table: 254 }), made({ host: 3, oif: 2, table: 254 })];
    const elsewhere = made({ host: 3, oif: 2, table: 99 });
    const moves = routeMoves(routeDifference([there, fresh, elsewhere], [here, gone]));
    expect(moves).toEqual({ add: [fresh, elsewhere], replace: [there], remove: [gone] });
  });

  test("know that an IPv6 route without a metric is the one that has the kernel's", () => {
    const six = (oif: number, metric?: number): Route => {
      const base = made({ host: 1, oif, table: 254 });
      return { ...base, dst: parsed("fd00::/64"), scope: "universe", ...(metric === undefined ? {} : { metric }) };
    };
    const { add, replace, remove } = routeMoves(routeDifference([six(3)], [six(2, 1024)]));
    expect([add.length, replace.length, remove.length]).toEqual([0, 1, 0]);
  });
});

function parsed(text: string): Prefix {
  const found = parsePrefix(text);
  if (found === undefined) throw new TypeError(text);
  return found;
}

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
