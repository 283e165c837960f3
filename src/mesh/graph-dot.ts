import { type GraphNode, type Measure, type MeshGraph, unmeasured } from "./graph.ts";
import { STATE_COLOURS } from "./graph-colours.ts";
import { graphSummary, measuredText } from "./graph-words.ts";

/**
 * The mesh in Graphviz's language (graphviz.org/doc/info/lang.html), a cluster for each site. `fdp -Tsvg` draws it. Pure.
 */
export function graphDot(graph: MeshGraph, measure: Measure = unmeasured): string {
  const ids = new Map(graph.nodes.map(({ name }, index) => [name, `n${index + 1}`]));
  const clusters = [...Map.groupBy(graph.nodes, ({ site }) => site)].flatMap(([site, nodes], index) => {
    const lines = nodes.map((node) => `${ids.get(node.name)} ${attributes(nodeAttributes(node))};`);
    if (site === "") return lines;
    return [`subgraph cluster_${index + 1} {`, `  label=${quoted(site)};`, ...lines.map((line) => `  ${line}`), "}"];
  });
  const links = graph.links.map((link) => {
    const now = measure(link);
    const label = now === undefined ? "" : measuredText(now);
    return `${ids.get(link.one)} -- ${ids.get(link.other)} ${attributes({
      tooltip: `${link.one} - ${link.other}: ${link.driver}`,
      color: STATE_COLOURS[now?.state ?? "unknown"],
      style: link.driver === "ipsec" ? "dashed" : "solid",
      ...(label !== "" && { label }),
    })};`;
  });
  const head = ["layout=fdp;", `label=${quoted(graphSummary(graph))};`, 'node [shape=box, fontname="sans-serif"];'];
  const body = [...head, 'edge [fontname="sans-serif", fontsize=10];', ...clusters, ...links];
  return `graph podvpn {\n${body.map((line) => `  ${line}\n`).join("")}}\n`;
}

function nodeAttributes({ name, role }: GraphNode): Readonly<Record<string, string>> {
  const peripheries = role === "node" ? {} : { peripheries: "2" };
  const style = role === "active gateway" ? { style: "bold" } : {};
  return { label: name, tooltip: role, ...peripheries, ...style };
}

function attributes(values: Readonly<Record<string, string>>): string {
  return `[${Object.entries(values)
    .map(([key, value]) => `${key}=${quoted(value)}`)
    .join(", ")}]`;
}

/**
 * As a quoted label: a backslash begins an escape there (`\N` is the node's name), `&` an entity of HTML, and a line ends
 * by `\n`.
 */
function quoted(text: string): string {
  const escaped = text
    .replaceAll("\\", "\\\\")
    .replaceAll('"', '\\"')
    .replaceAll("&", "&amp;")
    .replaceAll(/\r\n|[\r\n\u2028\u2029]/g, "\\n")
    .replaceAll(/\p{Cc}/gu, "?");
  return `"${escaped}"`;
}
