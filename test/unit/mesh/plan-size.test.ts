import { expect, test } from "vitest";
import { diffPlans } from "../../../src/mesh/diff.ts";
import type { Topology } from "../../../src/mesh/mesh-plan.ts";
import { plan } from "../../../src/mesh/plan.ts";
import { aggregate } from "../../../src/net/aggregate.ts";
import { prefix, record } from "./support/records.ts";

/** Ten sites with two gateways each; prefixes of both families, which no aggregation makes fewer. */
function records(count: number) {
  return Array.from({ length: count }, (_, index) => {
    const number = index + 1;
    const four = `10.${100 + (number >> 7)}.${(number & 127) * 2}.0/24`;
    return record(number, {
      podPrefixes: [prefix(four), prefix(`fd00:101:0:${(2 * number).toString(16)}::/64`)],
      site: `s${index % 10}`,
      gateway: index < 20,
    });
  });
}

/** The shortest time, in milliseconds, that `work` took: what else the machine does only makes it longer. */
function shortest(times: number, work: () => unknown): number {
  const spans = Array.from({ length: times }, () => {
    const start = performance.now();
    work();
    return performance.now() - start;
  });
  return Math.min(...spans);
}

test.each<[Topology, string]>([
  ["full", "n1"],
  ["site", "n1"],
  ["site", "n99"],
])("ten times the nodes take about ten times as long, and not a hundred times: %s, on %s", (topology, me) => {
  const options = { topology, down: new Set<string>() };
  const [few, many] = [records(100), records(1000)];
  const planOf = (nodes: typeof few) => () => plan(nodes, me, options);
  const planned = [planOf(few)(), planOf(many)()];
  shortest(20, planOf(few)); // until it is compiled
  expect(shortest(20, planOf(many)) / shortest(40, planOf(few))).toBeLessThan(40);
  const difference = (of: (typeof planned)[number] | undefined) => () => of && diffPlans(structuredClone(of), of);
  shortest(20, difference(planned[0]));
  expect(shortest(20, difference(planned[1])) / shortest(40, difference(planned[0]))).toBeLessThan(40);
});

test("a thousand nodes: all are reached and guarded, also by a gateway", () => {
  const nodes = records(1000);
  const foreign = aggregate(nodes.filter(({ name }) => name !== "n1").flatMap(({ podPrefixes }) => podPrefixes));
  for (const topology of ["full", "site"] as const) {
    const { peers, guarded, unreachable } = plan(nodes, "n1", { topology, down: new Set() });
    expect(unreachable).toEqual([]);
    expect(aggregate(peers.flatMap(({ prefixes }) => prefixes))).toEqual(foreign);
    expect(guarded).toEqual(foreign);
    expect(peers).toHaveLength(topology === "full" ? 999 : 99 + 18);
  }
});
