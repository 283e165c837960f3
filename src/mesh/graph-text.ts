import { table } from "../status/table.ts";
import { COLUMNS, wrapped } from "../status/text.ts";
import { type GraphLink, type LinkState, type Measure, type Measured, type MeshGraph, unmeasured } from "./graph.ts";
import { graphSummary, latencyText, lossText, STATES } from "./graph-words.ts";

/** More links than these are a matrix, in which each is one letter. */
const MOST_LISTED = 45;

/**
 * The mesh for a terminal of 80 columns: its nodes by site, then its links; of a large mesh a matrix, and the links that
 * are not as they should be. Pure.
 */
export function graphText(graph: MeshGraph, measure: Measure = unmeasured): string {
  const measured = graph.links.map((link) => ({ link, now: measure(link) }));
  const parts = [`${graphSummary(graph)}${stateSummary(measured)}\n`, nodesText(graph)];
  if (graph.links.length === 0) return parts.join("\n");
  if (graph.links.length <= MOST_LISTED) return [...parts, linkTable(measured)].join("\n");
  const bad = measured.filter(({ now }) => now !== undefined && now.state !== "up");
  return [...parts, matrixText(graph, measure), ...(bad.length === 0 ? [] : [linkTable(bad)])].join("\n");
}

interface MeasuredLink {
  readonly link: GraphLink;
  readonly now: Measured | undefined;
}

function stateSummary(links: readonly MeasuredLink[]): string {
  const counts = STATES.map((state) => ({ state, count: links.filter(({ now }) => now?.state === state).length }));
  const some = counts.filter(({ count }) => count > 0).map(({ state, count }) => `${count} ${state}`);
  return some.length === 0 ? "" : `; ${some.join(", ")}`;
}

function nodesText({ nodes }: MeshGraph): string {
  const lines = [...Map.groupBy(nodes, ({ site }) => site)].map(([site, members]) => {
    const names = members.map(({ name, role }) => (role === "node" ? name : `${name} (${role})`));
    return `${wrapped(`${site === "" ? "nodes" : `site ${printable(site)}`}: ${names.join(", ")}`)}\n`;
  });
  return lines.join("");
}

function linkTable(links: readonly MeasuredLink[]): string {
  const isMeasured = links.some(({ now }) => now !== undefined);
  const columns = [{ title: "NODE", least: 8 }, { title: "NODE", least: 8 }, { title: "DRIVER" }];
  const more = isMeasured
    ? [{ title: "STATE" }, { title: "LATENCY", right: true }, { title: "LOSS", right: true }]
    : [];
  const rows = links.map(({ link: { one, other, driver }, now }) => ({
    cells: [one, other, driver, ...(isMeasured ? measuredCells(now) : [])],
  }));
  return table([...columns, ...more], rows, COLUMNS);
}

function measuredCells(now: Measured | undefined): string[] {
  if (now === undefined) return ["unknown", "-", "-"];
  const { state, latencyMs, loss } = now;
  const lost = loss === undefined ? "-" : lossText(loss).replace(" loss", "") || "0 %";
  return [state, latencyMs === undefined ? "-" : latencyText(latencyMs), lost];
}

const LETTERS: Readonly<Record<LinkState, string>> = { up: "+", degraded: "~", down: "x", unknown: "?" };
const LEGENDS = {
  measured: "+ up, ~ degraded, x down, ? unknown, . no link",
  planned: "w wireguard, i ipsec, . no link",
} as const;

/** Columns of the matrix beside each other; what a terminal has more is for the nodes' numbers and names. */
const BLOCK = 60;

/** Below the diagonal, in blocks; the number of a column is read from above. */
function matrixText({ nodes, links }: MeshGraph, measure: Measure): string {
  const isMeasured = links.some((link) => measure(link) !== undefined);
  const letters = new Map(links.map((link) => [`${link.one} ${link.other}`, letterOf(link, isMeasured, measure)]));
  const blocks = Array.from({ length: Math.ceil((nodes.length - 1) / BLOCK) }, (_, block) => block * BLOCK);
  const texts = blocks.map((first) => {
    const columns = nodes.slice(first, Math.min(first + BLOCK, nodes.length - 1));
    const rows = nodes.slice(first).map((row, below) => {
      const cells = columns.slice(0, below).map((column) => letters.get(`${column.name} ${row.name}`) ?? ".");
      return { cells: [`${first + below + 1}`, row.name, cells.join("")] };
    });
    const [head = "", ...heads] = numbersDownward(first + 1, columns.length);
    return table(
      [{ title: "", right: true }, { title: "", least: 8 }, { title: head }],
      [...heads.map((line) => ({ cells: ["", "", line] })), ...rows],
      COLUMNS,
    );
  });
  return [`${isMeasured ? LEGENDS.measured : LEGENDS.planned}\n`, ...texts].join("\n");
}

/** Numbers side by side, each in one column, its digits from above downward: a line for each digit. */
function numbersDownward(first: number, count: number): string[] {
  const digits = `${first + count - 1}`.length;
  const numbers = Array.from({ length: count }, (_, index) => `${first + index}`.padStart(digits));
  return Array.from({ length: digits }, (_, digit) => numbers.map((number) => number[digit]).join(""));
}

function letterOf(link: GraphLink, isMeasured: boolean, measure: Measure): string {
  return isMeasured ? LETTERS[measure(link)?.state ?? "unknown"] : link.driver.slice(0, 1);
}

/** Nothing that a terminal would obey. Names of nodes are those of hosts; a site's is whatever somebody wrote. */
function printable(text: string): string {
  return text.replaceAll(/\p{C}/gu, "?");
}
