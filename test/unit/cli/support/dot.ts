/** A graph in Graphviz's language, as far as it is of interest here. */
export interface DotGraph {
  /** Names of nodes that have a statement of their own. */
  readonly nodes: ReadonlyMap<string, ReadonlyMap<string, string>>;
  readonly edges: readonly {
    readonly from: string;
    readonly to: string;
    readonly attributes: ReadonlyMap<string, string>;
  }[];
  readonly subgraphs: readonly string[];
}

const TOKEN =
  /\s*(?:(--|[{}[\]=;,])|("(?:[^"\\\n]|\\.)*")|([A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*|-?(?:\.\d+|\d+(?:\.\d*)?)))/y;

/**
 * Reads an undirected graph strictly by the grammar of graphviz.org/doc/info/lang.html, of which it knows no ports, HTML
 * strings, comments, and edges between subgraphs. @throws Error at the first thing that is not of it.
 */
export function strictDot(text: string): DotGraph {
  const tokens = tokensOf(text);
  let at = 0;
  const next = () => tokens[at++] ?? "";
  const expect = (wanted: string) => {
    const found = next();
    if (found !== wanted) throw new Error(`"${wanted}" was expected, and not "${found}" (token ${at})`);
  };
  const id = () => {
    const found = next();
    if (!/^["\w\u0080-\uffff.-]/.test(found) || found === "--") throw new Error(`"${found}" is no ID (token ${at})`);
    return found.startsWith('"') ? found.slice(1, -1) : found;
  };
  const nodes = new Map<string, ReadonlyMap<string, string>>();
  const edges: { from: string; to: string; attributes: ReadonlyMap<string, string> }[] = [];
  const subgraphs: string[] = [];
  const attributeList = () => {
    const found = new Map<string, string>();
    while (tokens[at] === "[") {
      at += 1;
      while (tokens[at] !== "]") {
        const name = id();
        expect("=");
        found.set(name, id());
        if (tokens[at] === "," || tokens[at] === ";") at += 1;
      }
      at += 1;
    }
    return found;
  };
  const statements = () => {
    expect("{");
    while (tokens[at] !== "}") {
      statement();
      if (tokens[at] === ";") at += 1;
    }
    at += 1;
  };
  const statement = () => {
    if (tokens[at] === "subgraph") {
      at += 1;
      subgraphs.push(id());
      statements();
      return;
    }
    const isQuoted = tokens[at]?.startsWith('"') ?? false;
    const first = id();
    if (tokens[at] === "=") {
      at += 1;
      id();
    } else if (tokens[at] === "--") {
      at += 1;
      const to = id();
      edges.push({ from: first, to, attributes: attributeList() });
    } else if (!isQuoted && ["graph", "node", "edge"].includes(first)) attributeList();
    else nodes.set(first, attributeList());
  };
  expect("graph");
  if (tokens[at] !== "{") id();
  statements();
  if (at !== tokens.length) throw new Error(`something stands behind the graph: ${tokens.slice(at).join(" ")}`);
  return { nodes, edges, subgraphs };
}

function tokensOf(text: string): string[] {
  const tokens: string[] = [];
  TOKEN.lastIndex = 0;
  for (let at = 0; text.slice(at).trim() !== ""; at = TOKEN.lastIndex) {
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(text);
    if (match === null) throw new Error(`no token: ${JSON.stringify(text.slice(at, at + 40))}`);
    tokens.push(match[1] ?? match[2] ?? match[3] ?? "");
  }
  return tokens;
}
