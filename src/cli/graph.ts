import { resolve } from "node:path";
import { parseArgs } from "node:util";
import type { AgentStatus } from "../agent/status.ts";
import type { Measure, MeshGraph } from "../mesh/graph.ts";
import type { Topology } from "../mesh/mesh-plan.ts";
import type { RegistryState } from "../registry/registry.ts";
import { type Form, type Options, type Terminal, UsageError } from "./command.ts";

const DEFAULT_CONFIG = "/etc/podvpn/agent.yaml";
const TOPOLOGIES: readonly Topology[] = ["full", "site"];

export const help = `
Usage: podvpn graph [--dot | --svg FILE] [--config FILE]
       podvpn graph --registry DIR [--topology full|site] [--dot | --svg FILE]

Shows the mesh: its nodes by site, and all tunnels that they make between each
other, as the registry has them: as text, for Graphviz, or as a picture that
opens in a browser.

Where this node's agent runs, its own links have their state, latency and loss,
measured inside the tunnel. Links between other nodes are "unknown": only the
agents of these measure them; ask there. Without an agent, or with --registry,
it shows the plan alone, on any machine that sees the files.

A text of more than 45 links is a matrix, and a list of the links that are not
up. Records that are refused are told on standard error, and are not in it.

Options:
  --dot            in Graphviz's language, on standard output
  --svg FILE       as a picture; - is standard output
  --registry DIR   of this registry, without asking an agent
  --topology full|site
                   who has a tunnel to whom: every node to every node, or to
                   those of its site and by gateways to others (as in the
                   configuration, else full)
  --config FILE    the agent's configuration, for the topology and, where no
                   agent runs, the registry (${DEFAULT_CONFIG})

Exit status:
  0  shown
  1  the registry cannot be read, or the file cannot be written

Files:
  ${DEFAULT_CONFIG}    the agent's configuration
  DIR/nodes/NAME.yaml        the registry: one file for each node

Examples:
  podvpn graph
  podvpn graph --svg mesh.svg
  podvpn graph --registry ./mesh --topology site --dot | fdp -Tpng >mesh.png
`;

const OPTIONS = {
  dot: { type: "boolean", default: false },
  svg: { type: "string", value: "file" },
  registry: { type: "string", value: "directory" },
  topology: { type: "string", value: TOPOLOGIES },
  config: { type: "string", default: DEFAULT_CONFIG, value: "file" },
} satisfies Options;

export const forms: readonly Form[] = [{ options: OPTIONS }];

export async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: OPTIONS });
  if (values.dot && values.svg !== undefined) throw new UsageError("--dot and --svg exclude each other");
  const topology = TOPOLOGIES.find((known) => known === values.topology);
  if (values.topology !== undefined && topology === undefined) {
    throw new UsageError(`--topology is "${values.topology}"; give ${TOPOLOGIES.join(" or ")}`);
  }
  const { graph, measure, state } = await readMesh({ ...values, topology });
  for (const { where, what, remedy } of state.refusals) terminal.stderr(`${where}: ${what}; ${remedy}\n`);
  await show(graph, measure, values, terminal);
  return 0;
}

interface Asked {
  readonly registry?: string | undefined;
  readonly topology: Topology | undefined;
  readonly config: string;
}

async function readMesh({ registry, topology, config }: Asked) {
  const [{ meshGraph, unmeasured }, { downPeers, measuredBy }, { askStatus }] = await Promise.all([
    import("../mesh/graph.ts"),
    import("../status/measured.ts"),
    import("../agent/ask.ts"),
  ]);
  const agent = registry === undefined ? await askStatus() : undefined;
  const configured = await readConfigured(resolve(config), { registry, topology, agent });
  const state = await listRegistry(configured.directory);
  const down = agent === undefined ? new Set<string>() : downPeers(agent);
  const graph = meshGraph(state.nodes, { topology: configured.topology, down });
  return { graph, measure: agent === undefined ? unmeasured : measuredBy(agent), state };
}

interface Configured {
  readonly directory: string;
  readonly topology: Topology;
}

/** What is asked for, or else the agent has, or else is in its configuration. @throws Fault of a wrong one, or of none. */
async function readConfigured(
  file: string,
  { registry, topology, agent }: Pick<Asked, "registry" | "topology"> & { agent: AgentStatus | undefined },
): Promise<Configured> {
  const directory = registry === undefined ? agent?.registry.where : resolve(registry);
  if (directory !== undefined && topology !== undefined) return { directory, topology };
  const [{ readAgentConfig }, { modifiedAt }] = await Promise.all([
    import("../agent/config-file.ts"),
    import("../os/file.ts"),
  ]);
  // On a machine that only looks at a mesh there is no configuration of an agent.
  if (directory !== undefined && modifiedAt(file) === undefined) return { directory, topology: topology ?? "full" };
  const { config } = readAgentConfig(file);
  return { directory: directory ?? config.registry.directory, topology: topology ?? config.topology };
}

async function listRegistry(directory: string): Promise<RegistryState> {
  const { openDirectoryRegistry } = await import("../registry/directory.ts");
  await using registry = openDirectoryRegistry({ directory });
  return await registry.list();
}

async function show(
  graph: MeshGraph,
  measure: Measure,
  { dot, svg }: { readonly dot: boolean; readonly svg?: string | undefined },
  terminal: Terminal,
): Promise<void> {
  if (dot) return terminal.stdout((await import("../mesh/graph-dot.ts")).graphDot(graph, measure));
  if (svg === undefined) return terminal.stdout((await import("../mesh/graph-text.ts")).graphText(graph, measure));
  const [{ graphSvg }, { writeAtomic }] = await Promise.all([import("../mesh/graph-svg.ts"), import("../os/file.ts")]);
  const picture = graphSvg(graph, measure);
  if (svg === "-") terminal.stdout(picture);
  else writeAtomic(resolve(svg), picture, PUBLIC);
}

/** Nothing in a picture is secret: a browser of somebody else may open it. */
const PUBLIC = 0o644;
