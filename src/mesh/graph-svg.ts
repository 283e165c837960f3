import {
  type GraphLink,
  type GraphNode,
  type LinkState,
  type Measure,
  type Measured,
  type MeshGraph,
  unmeasured,
} from "./graph.ts";
import { STATE_COLOURS } from "./graph-colours.ts";
import { type Arc, type Box, type Layout, layoutOf, placeOn, pointAt, type Seat } from "./graph-layout.ts";
import { graphSummary, measuredText, STATES } from "./graph-words.ts";

/** Of a mesh with more links than these only those that are not up have a text; the others have it where the mouse is. */
const MOST_LABELLED = 45;

/** On a circle with more places than these level names would touch: they are like spokes. */
const MOST_LEVEL = 12;

/** Columns of a name beside its node; longer ones end in dots, and are whole where the mouse is. */
const LONGEST_NAME = 24;

/** In pixels, of a sans-serif letter of 12 pixels; a little more than the mean. */
const LETTER = 7;
const LINE = 16;
const NODE_RADIUS = 7;

const STYLE = `
text { font: 12px system-ui, "DejaVu Sans", sans-serif; fill: #1f2328 }
.name, .site { dominant-baseline: central }
.site { font-weight: bold; fill: #57606a }
.arc { fill: none; stroke: #e7ecf2; stroke-width: 28; stroke-linecap: round }
.link line { stroke-width: 1.6 }
.many .link.up line, .many .link.unknown line { stroke-width: 1; stroke-opacity: 0.35 }
.degraded line, .down line { stroke-width: 2.6 }
.ipsec line { stroke-dasharray: 7 4 }
.many .link:hover line, .few .link:hover line { stroke-width: 5; stroke-opacity: 1 }
.label { font-size: 11px; text-anchor: middle; dominant-baseline: central; paint-order: stroke; stroke: #fff; stroke-width: 4px; stroke-linejoin: round; pointer-events: none }
.node circle { fill: #fff; stroke: #1f2328; stroke-width: 1.6 }
.active circle { fill: #1f2328 }
.gateway circle { stroke-width: 3.5 }
`;

/**
 * The mesh as a picture (SVG 1.1, with nothing from outside) that opens in a browser: nodes on a circle, by site; links in
 * the colour of their state, dashed for IPsec, with their latency. Pure.
 */
export function graphSvg(graph: MeshGraph, measure: Measure = unmeasured): string {
  const longest = Math.max(...graph.nodes.map(({ name }) => shown(name).length), 4);
  const sites = Math.max(...graph.nodes.map(({ site }) => shown(site).length), 0);
  const margin = longest * LETTER + 2 * NODE_RADIUS + (sites > 0 ? LINE + LETTER * sites : 0) + LINE;
  const layout = layoutOf(graph, margin);
  const side = 2 * (layout.radius + margin);
  const summary = graphSummary(graph);
  const links = graph.links.map((link) => ({ link, now: measure(link) })).toSorted(worstLast);
  const width = Math.max(side, summary.length * LETTER + 2 * LINE);
  const legend = legendElements(links, side + LINE);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${px(width)}" height="${px(legend.bottom)}" viewBox="0 0 ${px(width)} ${px(legend.bottom)}" role="img">`,
    `<title>${escaped(summary)}</title>`,
    `<style>${STYLE}</style>`,
    '<rect width="100%" height="100%" fill="#fff"/>',
    ...layout.arcs.flatMap((arc) => arcElements(arc, layout, longest)),
    `<g class="${graph.links.length > MOST_LABELLED ? "many" : "few"}">`,
    ...links.map((each) => linkElement(each, layout)),
    "</g>",
    ...graph.nodes.map((node) => nodeElement(node, layout)),
    ...labelElements(links, layout),
    ...legend.elements,
    `<text x="${LINE}" y="${px(legend.bottom - LINE)}">${escaped(summary)}</text>`,
    "</svg>",
    "",
  ].join("\n");
}

interface MeasuredLink {
  readonly link: GraphLink;
  readonly now: Measured | undefined;
}

function stateOf({ now }: MeasuredLink): LinkState {
  return now?.state ?? "unknown";
}

/** What is drawn last is on top. */
const LAYERS: readonly LinkState[] = ["unknown", "up", "degraded", "down"];

function worstLast(one: MeasuredLink, other: MeasuredLink): number {
  return LAYERS.indexOf(stateOf(one)) - LAYERS.indexOf(stateOf(other));
}

function linkElement(measured: MeasuredLink, { seats }: Layout): string {
  const { link, now } = measured;
  const [one, other] = [seats.get(link.one), seats.get(link.other)];
  if (one === undefined || other === undefined) return "";
  const state = stateOf(measured);
  const text = now === undefined ? "" : `, ${measuredText(now) || state}`;
  const line = `<line x1="${px(one.x)}" y1="${px(one.y)}" x2="${px(other.x)}" y2="${px(other.y)}" stroke="${STATE_COLOURS[state]}"/>`;
  const title = `<title>${escaped(`${link.one} - ${link.other}: ${link.driver}${text}`)}</title>`;
  return `<g class="link ${state} ${link.driver}">${title}${line}</g>`;
}

/** The worst first: they find room, if not all do. No text touches another, or a node. */
function labelElements(links: readonly MeasuredLink[], { seats, centre }: Layout): string[] {
  const size = 2 * NODE_RADIUS + 2;
  const taken: Box[] = [...seats.values()].map(({ x, y }) => ({ x, y, width: size, height: size }));
  const labelled = links.length > MOST_LABELLED ? links.filter((each) => isBad(stateOf(each))) : links;
  return labelled.toReversed().flatMap(({ link, now }) => {
    const text = now === undefined ? "" : measuredText(now);
    const [one, other] = [seats.get(link.one), seats.get(link.other)];
    if (text === "" || one === undefined || other === undefined) return [];
    const place = placeOn([one, other], centre, { width: text.length * LETTER, height: LINE }, taken);
    if (place === undefined) return [];
    taken.push(place);
    return [`<text class="label" x="${px(place.x)}" y="${px(place.y)}">${escaped(text)}</text>`];
  });
}

function isBad(state: LinkState): boolean {
  return state === "degraded" || state === "down";
}

function nodeElement({ name, role }: GraphNode, { seats, centre, radius, places }: Layout): string {
  const seat = seats.get(name);
  if (seat === undefined) return "";
  const classes = { node: "node", gateway: "node gateway", "active gateway": "node gateway active" }[role];
  const title = `<title>${escaped(role === "node" ? name : `${name}, ${role}`)}</title>`;
  const circle = `<circle cx="${px(seat.x)}" cy="${px(seat.y)}" r="${NODE_RADIUS}"/>`;
  const beside = textOutside(seat, pointAt(centre, radius + 2 * NODE_RADIUS + 2, seat.angle), places > MOST_LEVEL);
  return `<g class="${classes}">${title}${circle}<text class="name" ${beside}>${escaped(shown(name))}</text></g>`;
}

/** Where a text beside the circle begins, so that it goes outward and nobody has to read it upside down. */
function textOutside(
  { angle }: Pick<Seat, "angle">,
  { x, y }: { readonly x: number; readonly y: number },
  spokes: boolean,
): string {
  const towardsRight = Math.cos(angle);
  const place = `x="${px(x)}" y="${px(y)}"`;
  if (!spokes) {
    // Above and below the circle a name would begin in the middle of its node.
    if (Math.abs(towardsRight) < 0.3) return `${place} text-anchor="middle"`;
    return `${place} text-anchor="${towardsRight > 0 ? "start" : "end"}"`;
  }
  const degrees = (angle * 180) / Math.PI + (towardsRight < 0 ? 180 : 0);
  return `${place} text-anchor="${towardsRight < 0 ? "end" : "start"}" transform="rotate(${px(degrees)} ${px(x)} ${px(y)})"`;
}

function arcElements({ site, from, to }: Arc, { centre, radius }: Layout, longest: number): string[] {
  const [start, end] = [pointAt(centre, radius, from), pointAt(centre, radius, to)];
  const large = to - from > Math.PI ? 1 : 0;
  const path = `M${px(start.x)} ${px(start.y)}A${px(radius)} ${px(radius)} 0 ${large} 1 ${px(end.x)} ${px(end.y)}`;
  const angle = (from + to) / 2;
  const place = textOutside({ angle }, pointAt(centre, radius + longest * LETTER + 3 * LINE, angle), false);
  const label = site === "" ? [] : [`<text class="site" ${place}>${escaped(shown(site))}</text>`];
  return [`<path class="arc" d="${path}"/>`, ...label];
}

/** Only what is there to see. */
function legendElements(links: readonly MeasuredLink[], top: number) {
  const isMeasured = links.some(({ now }) => now !== undefined);
  const states = isMeasured ? STATES.filter((state) => links.some((each) => stateOf(each) === state)) : [];
  const drivers = (["wireguard", "ipsec"] as const).filter((driver) =>
    links.some(({ link }) => link.driver === driver),
  );
  const rows = [
    ...states.map((state) => ({ text: state, colour: STATE_COLOURS[state], driver: "wireguard" })),
    ...drivers.map((driver) => ({ text: driver, colour: STATE_COLOURS.unknown, driver })),
  ];
  const elements = rows.map(({ text, colour, driver }, index) => {
    const y = px(top + index * LINE);
    const line = `<line x1="${LINE}" y1="${y}" x2="${3 * LINE}" y2="${y}" stroke="${colour}"/>`;
    return `<g class="legend ${driver}">${line}<text class="name" x="${px(3.5 * LINE)}" y="${y}">${text}</text></g>`;
  });
  return { elements, bottom: top + rows.length * LINE + 2 * LINE };
}

function shown(name: string): string {
  return name.length <= LONGEST_NAME ? name : `${name.slice(0, LONGEST_NAME - 3)}...`;
}

/** To a tenth of a pixel, and never `-0`: the same picture from the same mesh. */
function px(value: number): string {
  return `${Math.round(value * 10) / 10 || 0}`;
}

/** For text and attributes of XML 1.0, which knows no other control characters than tab and the ends of lines. */
function escaped(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll(/[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/gu, "\u{fffd}");
}
