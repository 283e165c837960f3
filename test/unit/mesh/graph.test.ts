import { describe, expect, test } from "vitest";
import { type GraphLink, type Measure, type MeshGraph, meshGraph } from "../../../src/mesh/graph.ts";
import { graphDot } from "../../../src/mesh/graph-dot.ts";
import { graphText } from "../../../src/mesh/graph-text.ts";
import { latencyText, lossText, measuredText } from "../../../src/mesh/graph-words.ts";
import type { PlanOptions } from "../../../src/mesh/mesh-plan.ts";
import { plan } from "../../../src/mesh/plan.ts";
import { gateway, record, sited } from "./support/records.ts";

const FULL: PlanOptions = { topology: "full", down: new Set() };
const BY_SITE: PlanOptions = { topology: "site", down: new Set() };

const sites = [
  ...[gateway(2, "b"), sited(10, "b"), gateway(9, "b", { drivers: ["ipsec", "wireguard"] })],
  ...[sited(1, "a"), gateway(3, "a", { drivers: ["ipsec", "wireguard"] }), sited(4, "c")],
];

const full = (count: number): MeshGraph =>
  meshGraph(
    Array.from({ length: count }, (_, index) => record(index + 1)),
    FULL,
  );

/** n1 - n2 is degraded, n1 - n3 down; the others are up. */
const measure: Measure = ({ one, other }) => {
  if (one !== "n1") return { state: "up", latencyMs: 0.42, loss: 0 };
  if (other === "n2") return { state: "degraded", latencyMs: 81.4, loss: 0.125 };
  return { state: "down" };
};

describe("meshGraph", () => {
  test("has nodes by site and as people count, and says which gateway is active", () => {
    expect(meshGraph(sites, BY_SITE).nodes.map(({ name, site, role }) => `${site} ${name} ${role}`)).toEqual([
      "a n1 node",
      "a n3 active gateway",
      "b n2 active gateway",
      "b n9 gateway",
      "b n10 node",
      "c n4 node",
    ]);
    const { nodes } = meshGraph(sites, { topology: "site", down: new Set(["n2"]) });
    expect(nodes.filter(({ role }) => role === "active gateway").map(({ name }) => name)).toEqual(["n3", "n9"]);
    expect(meshGraph(sites, FULL).nodes.every(({ role }) => role === "node")).toBe(true);
  });

  test("has each tunnel once, with its driver", () => {
    expect(meshGraph(sites, BY_SITE).links.map(({ one, other, driver }) => `${one} ${other} ${driver}`)).toEqual([
      "n1 n3 wireguard",
      "n3 n2 wireguard",
      "n3 n9 ipsec",
      "n2 n9 wireguard",
      "n2 n10 wireguard",
      "n9 n10 wireguard",
    ]);
  });

  test.each([FULL, BY_SITE])("has the tunnels that the nodes plan, and no others: $topology", (options) => {
    const mixed = [...sites, record(5, { drivers: ["ipsec"] }), record(6)];
    const planned = mixed.flatMap(({ name }) =>
      plan(mixed, name, options).peers.map((peer) => `${[name, peer.name].toSorted().join(" ")} ${peer.driver}`),
    );
    const { links } = meshGraph(mixed, options);
    expect(new Set(links.map(({ one, other, driver }) => `${[one, other].toSorted().join(" ")} ${driver}`))).toEqual(
      new Set(planned),
    );
    expect(links).toHaveLength(planned.length / 2);
  });

  test("does not depend on the order of the records", () => {
    expect(meshGraph(sites.toReversed(), BY_SITE)).toEqual(meshGraph(sites, BY_SITE));
  });
});

describe("words", () => {
  test.each([
    [0.004, "0.00 ms"],
    [0.42, "0.42 ms"],
    [4.25, "4.3 ms"],
    [42.4, "42 ms"],
  ])("a latency of %d is %s", (latency, text) => {
    expect(latencyText(latency)).toBe(text);
  });

  test.each([
    [0, ""],
    [0.001, "<1 % loss"],
    [0.126, "13 % loss"],
    [1, "100 % loss"],
  ])("a loss of %d is '%s'", (loss, text) => {
    expect(lossText(loss)).toBe(text);
  });

  test("a link that is down has no latency; one without measurements has its state; nothing is known of an unknown one", () => {
    expect(measuredText({ state: "down", latencyMs: 5 })).toBe("down");
    expect(measuredText({ state: "up" })).toBe("up");
    expect(measuredText({ state: "degraded", latencyMs: 5, loss: 0.5 })).toBe("5.0 ms, 50 % loss");
    expect(measuredText({ state: "unknown" })).toBe("");
  });
});

describe("as text", () => {
  test("a small mesh: its nodes, and each link", () => {
    expect(graphText(meshGraph(sites, BY_SITE))).toBe(`6 nodes in 3 sites, 6 links: 5 wireguard, 1 ipsec

site a: n1, n3 (active gateway)
site b: n2 (active gateway), n9 (gateway), n10
site c: n4

NODE  NODE  DRIVER
n1    n3    wireguard
n3    n2    wireguard
n3    n9    ipsec
n2    n9    wireguard
n2    n10   wireguard
n9    n10   wireguard
`);
  });

  test("with what is measured", () => {
    expect(graphText(full(3), measure)).toBe(`3 nodes, 3 links: 3 wireguard; 1 up, 1 degraded, 1 down

nodes: n1, n2, n3

NODE  NODE  DRIVER     STATE     LATENCY  LOSS
n1    n2    wireguard  degraded    81 ms  13 %
n1    n3    wireguard  down            -     -
n2    n3    wireguard  up        0.42 ms   0 %
`);
  });

  test("a node alone, and nobody at all", () => {
    expect(graphText(full(1))).toBe("1 node, 0 links\n\nnodes: n1\n");
    expect(graphText(full(0))).toBe("0 nodes, 0 links\n\n");
  });

  test("a large mesh: one letter a link, and the links that are not up", () => {
    const lines = graphText(full(11), measure).split("\n");
    expect(lines[0]).toBe("11 nodes, 55 links: 55 wireguard; 45 up, 1 degraded, 9 down");
    const start = lines.findIndex((line) => line.startsWith("+ up"));
    expect(lines.slice(start, start + 9)).toEqual([
      "+ up, ~ degraded, x down, ? unknown, . no link",
      "",
      "                  1",
      "         1234567890",
      " 1  n1",
      " 2  n2   ~",
      " 3  n3   x+",
      " 4  n4   x++",
      " 5  n5   x+++",
    ]);
    expect(lines.filter((line) => line.startsWith("n1 "))).toHaveLength(10);
    expect(lines.filter((line) => line.startsWith("n2 "))).toHaveLength(0);
  });

  test("a link that nobody has measured yet is unknown, where others are measured", () => {
    const some: Measure = (link) => (link.one === "n1" ? undefined : { state: "up" });
    expect(graphText(full(3), some)).toMatch(/n1 +n2 +wireguard +unknown +- +-\n/);
    expect(graphText(full(11), some)).toContain(" 3  n3   ?+\n");
  });

  test("unmeasured, a letter is the driver's", () => {
    const records = Array.from({ length: 11 }, (_, index) =>
      record(index + 1, { drivers: index === 2 ? ["ipsec"] : ["wireguard", "ipsec"] }),
    );
    expect(graphText(meshGraph(records, FULL))).toMatch(/ 3 {2}n3 {3}ii\n 4 {2}n4 {3}wwi\n/);
  });

  test.each([2, 10, 61, 62, 100, 121, 150])("%d nodes with long names fit 80 columns, each link once", (count) => {
    const records = Array.from({ length: count }, (_, index) =>
      record(index + 1, { name: `ip-10-101-${index}-1.eu-central-1.compute.internal.example` }),
    );
    const graph = meshGraph(records, FULL);
    const text = graphText(graph);
    for (const line of text.split("\n")) expect(line.length).toBeLessThanOrEqual(80);
    const matrix = text.slice(text.indexOf("w wireguard")).split("\n").slice(1);
    const letters = matrix.map((line) => / (w+)$/.exec(line)?.[1]?.length ?? 0).reduce((sum, each) => sum + each, 0);
    expect(letters).toBe(count <= 10 ? 0 : graph.links.length);
  });

  test("what a terminal would obey in a site's name is not printed", () => {
    expect(graphText(meshGraph([sited(1, "\u001b[2Ja")], FULL))).toContain("site ?[2Ja: n1");
  });
});

describe("in Graphviz's language", () => {
  test("has a cluster for each site, a node and a link for each, with colour, style and label", () => {
    const dot = graphDot(meshGraph(sites, BY_SITE), ({ other }: GraphLink) =>
      other === "n9" ? { state: "up", latencyMs: 1.5 } : undefined,
    );
    expect(dot.match(/subgraph cluster_\d+ \{/g)).toHaveLength(3);
    expect(dot.match(/ -- /g)).toHaveLength(6);
    expect(dot).toContain('n2 [label="n3", tooltip="active gateway", peripheries="2", style="bold"];');
    expect(dot).toContain('n2 -- n4 [tooltip="n3 - n9: ipsec", color="#009e73", style="dashed", label="1.5 ms"];');
    expect(dot).toContain('n1 -- n2 [tooltip="n1 - n3: wireguard", color="#8a8a8a", style="solid"];');
    expect(dot.match(/\{/g)).toHaveLength(dot.match(/\}/g)?.length ?? 0);
  });

  test("nodes without a site are in no cluster", () => {
    expect(graphDot(full(3))).not.toContain("subgraph");
  });

  test("no name ends its quotes, becomes an escape or an entity", () => {
    const dot = graphDot(meshGraph([sited(1, 'a"b\\N&lt;\n\u0007')], FULL));
    expect(dot).toContain('label="a\\"b\\\\N&amp;lt;\\n?";');
  });
});
