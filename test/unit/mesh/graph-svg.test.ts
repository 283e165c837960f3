import { describe, expect, test } from "vitest";
import { type Measure, type MeshGraph, meshGraph } from "../../../src/mesh/graph.ts";
import { STATE_COLOURS } from "../../../src/mesh/graph-colours.ts";
import { type Box, layoutOf, placeOn, touch } from "../../../src/mesh/graph-layout.ts";
import { graphSvg } from "../../../src/mesh/graph-svg.ts";
import type { PlanOptions } from "../../../src/mesh/mesh-plan.ts";
import { gateway, record, sited } from "./support/records.ts";
import { type Element, parseXml } from "./support/xml.ts";

const FULL: PlanOptions = { topology: "full", down: new Set() };
const BY_SITE: PlanOptions = { topology: "site", down: new Set() };

const full = (count: number): MeshGraph =>
  meshGraph(
    Array.from({ length: count }, (_, index) => record(index + 1)),
    FULL,
  );
const up: Measure = () => ({ state: "up", latencyMs: 1.5 });

const classed = (elements: readonly Element[], name: string) =>
  elements.filter(({ attributes }) => attributes.class?.split(" ").includes(name));
const number = ({ attributes }: Element, key: string) => Number(attributes[key]);

test.each([0, 1, 2, 4, 12, 13, 40, 100])(
  "%d nodes: each has its circle and name, each link its line, all within the picture",
  (count) => {
    const graph = full(count);
    const elements = parseXml(graphSvg(graph, up));
    expect(classed(elements, "node")).toHaveLength(count);
    expect(classed(elements, "link")).toHaveLength(graph.links.length);
    const [svg] = elements;
    if (svg === undefined) throw new Error("empty");
    expect(svg.attributes.xmlns).toBe("http://www.w3.org/2000/svg");
    const circles = elements.filter(({ name }) => name === "circle");
    const names = elements.filter(
      (each) => each.name === "text" && each.parent !== undefined && classed([each.parent], "node").length > 0,
    );
    expect(new Set(names.map(({ text }) => text))).toEqual(new Set(graph.nodes.map(({ name }) => name)));
    for (const each of [...circles, ...elements.filter(({ name }) => name === "text")]) {
      for (const [key, size] of [
        ["x", "width"],
        ["y", "height"],
      ] as const) {
        const place = number(each, each.name === "circle" ? `c${key}` : key);
        expect(place).toBeGreaterThan(0);
        expect(place).toBeLessThan(number(svg, size));
      }
    }
    // Names do not touch: there is a line of text between two nodes at least.
    for (const one of circles)
      for (const other of circles)
        if (one !== other)
          expect(
            Math.hypot(number(one, "cx") - number(other, "cx"), number(one, "cy") - number(other, "cy")),
          ).toBeGreaterThan(20);
  },
);

test("a link has the colour of its state, dashes for IPsec, and says what it is where the mouse is", () => {
  const records = [
    record(1, { drivers: ["ipsec"] }),
    record(2, { drivers: ["ipsec", "wireguard"] }),
    record(3),
    record(4),
  ];
  const graph = meshGraph(records, FULL);
  const elements = parseXml(
    graphSvg(graph, ({ one, other }) => {
      if (one === "n1") return { state: "degraded", latencyMs: 12, loss: 0.03 };
      return other === "n3" ? { state: "down" } : undefined;
    }),
  );
  const drawn = classed(elements, "link").map((link) => {
    const inside = (name: string) => elements.find((each) => each.parent === link && each.name === name);
    return `${inside("line")?.attributes.stroke} ${link.attributes.class} ${inside("title")?.text}`;
  });
  expect(drawn).toEqual([
    `${STATE_COLOURS.unknown} link unknown wireguard n2 - n4: wireguard`,
    `${STATE_COLOURS.unknown} link unknown wireguard n3 - n4: wireguard`,
    `${STATE_COLOURS.degraded} link degraded ipsec n1 - n2: ipsec, 12 ms, 3 % loss`,
    `${STATE_COLOURS.down} link down wireguard n2 - n3: wireguard, down`, // the worst last: on top
  ]);
  expect(classed(elements, "label").map(({ text }) => text)).toEqual(["down", "12 ms, 3 % loss"]);
  expect(classed(elements, "legend").map((each) => each.attributes.class)).toHaveLength(5);
});

test.each([2, 3, 4, 6, 8, 10])(
  "the texts of all links of %d nodes stand apart from each other and from the nodes",
  (count) => {
    const graph = full(count);
    const elements = parseXml(graphSvg(graph, up));
    const labels = classed(elements, "label").map((each) => ({
      x: number(each, "x"),
      y: number(each, "y"),
      width: each.text.length * 6,
      height: 12,
    }));
    const nodes = elements
      .filter(({ name }) => name === "circle")
      .map((each) => ({ x: number(each, "cx"), y: number(each, "cy"), width: 14, height: 14 }));
    expect(labels).toHaveLength(graph.links.length);
    for (const [index, one] of labels.entries())
      for (const other of [...nodes, ...labels.slice(index + 1)]) expect(touch(one, other)).toBe(false);
  },
);

test("of many links only those that are bad have a text", () => {
  const bad = new Set(["n1 n2", "n3 n40"]);
  const elements = parseXml(
    graphSvg(full(40), ({ one, other }) =>
      bad.has(`${one} ${other}`) ? { state: "down" } : { state: "up", latencyMs: 1 },
    ),
  );
  expect(classed(elements, "label").map(({ text }) => text)).toEqual(["down", "down"]);
  expect(classed(elements, "many")).toHaveLength(1);
});

test("sites have an arc and a name each; gateways are seen", () => {
  const nodes = [gateway(1, "paris"), gateway(2, "paris"), sited(3, "paris"), gateway(4, "rome"), record(5)];
  const elements = parseXml(graphSvg(meshGraph(nodes, BY_SITE)));
  expect(classed(elements, "arc")).toHaveLength(3);
  expect(classed(elements, "site").map(({ text }) => text)).toEqual(["paris", "rome"]); // one has no name
  expect(classed(elements, "gateway")).toHaveLength(3);
  expect(classed(elements, "active")).toHaveLength(2);
});

test("nothing that is measured, no states in the legend", () => {
  const legend = classed(parseXml(graphSvg(full(3))), "legend");
  expect(legend.map(({ attributes }) => attributes.class)).toEqual(["legend wireguard"]);
});

test("no name becomes markup, and no character is one that XML does not have", () => {
  const hostile = `a<script>"&amp;'\u0000\ud800\u{1f600}`;
  const svg = graphSvg(meshGraph([sited(1, hostile), sited(2, "b")], FULL));
  const site = classed(parseXml(svg), "site")[0]?.text;
  expect(site).toBe("a<script>\"&amp;'\ufffd\ufffd\u{1f600}");
  expect(svg).not.toContain("<script");
});

test("a long name is cut in the picture, and whole where the mouse is", () => {
  const name = "ip-10-101-1-1.eu-central-1.compute.internal";
  const elements = parseXml(graphSvg(meshGraph([record(1, { name })], FULL)));
  expect(elements.some((each) => each.name === "title" && each.text === name)).toBe(true);
  expect(elements.some(({ text }) => text === "ip-10-101-1-1.eu-cent...")).toBe(true);
});

test("opens without anything from outside, and is the same from the same mesh", () => {
  const svg = graphSvg(full(20), up);
  expect(svg.replace('xmlns="http://www.w3.org/2000/svg"', "")).not.toMatch(
    /https?:|href|url\(|@import|<script|<image/,
  );
  expect(graphSvg(full(20), up)).toBe(svg);
  expect(svg).not.toMatch(/NaN|Infinity|undefined|-0[ "]/);
});

describe("places", () => {
  test("the first node is on top, the others follow clockwise, with an empty place between sites", () => {
    const nodes = [gateway(1, "a"), sited(2, "a"), sited(3, "b")];
    const { seats, arcs, places, radius } = layoutOf(meshGraph(nodes, BY_SITE), 50);
    expect(places).toBe(5);
    const [one, two, three] = ["n1", "n2", "n3"].map((name) => seats.get(name)?.angle ?? Number.NaN);
    expect([one, two, three]).toEqual([
      -Math.PI / 2,
      -Math.PI / 2 + (2 * Math.PI) / 5,
      -Math.PI / 2 + (6 * Math.PI) / 5,
    ]);
    expect(seats.get("n1")?.y).toBeCloseTo(50);
    expect(arcs.map(({ site }) => site)).toEqual(["a", "b"]);
    expect(arcs[0]?.to).toBeLessThan(arcs[1]?.from ?? 0);
    expect(radius).toBeGreaterThan(100);
  });

  test("a text gives way along its line, and stays away where there is no room", () => {
    const [one, other, size] = [
      { x: 0, y: 0 },
      { x: 100, y: 0 },
      { width: 10, height: 10 },
    ];
    const at = (taken: readonly Box[]) => placeOn([one, other], { x: 50, y: 60 }, size, taken);
    expect(at([])).toMatchObject({ x: 50, y: 0 });
    expect(at([{ x: 50, y: 0, width: 2, height: 2 }])).toMatchObject({ x: 42, y: 0 });
    const line = { x: 50, y: 0, width: 200, height: 2 };
    expect(at([line])).toMatchObject({ x: 50, y: 20 });
    expect(at([line, { x: 50, y: 20, width: 2, height: 2 }])).toMatchObject({ x: 50, y: 36 });
    expect(at([{ x: 50, y: 0, width: 200, height: 200 }])).toBeUndefined();
  });
});
