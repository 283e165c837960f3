import type { AgentConfig } from "../config/agent.ts";
import type { MeshPlan, PlannedPeer } from "../mesh/mesh-plan.ts";
import { plan } from "../mesh/plan.ts";
import type { NodeRecord } from "../registry/node-record.ts";
import type { RegistryState } from "../registry/registry.ts";
import { type Column, table } from "../status/table.ts";
import { wrapped } from "../status/text.ts";

/** What an agent with this configuration would do. */
export interface Forecast {
  readonly own: NodeRecord;
  readonly plan: MeshPlan;
  /** What is not as it should be, in words; it keeps no agent from running. */
  readonly warnings: readonly string[];
}

/** What a forecast is made from. */
export interface ForecastFacts {
  readonly config: AgentConfig;
  /** As it would be published. */
  readonly own: NodeRecord;
  readonly state: RegistryState;
  /** Whether the keys are there already; else others stand for them. */
  readonly hasKeys: boolean;
}

/** Pure. */
export function forecast({ config, own, state, hasKeys }: ForecastFacts): Forecast {
  const { name, topology, pods } = config;
  const nodes = [...state.nodes.filter((node) => node.name !== name), own];
  const network = pods.from === "network" ? pods.cuts.map((cut) => cut.network) : [];
  const planned = plan(nodes, name, { topology, down: new Set(), network });
  const isThere = state.nodes.some((node) => node.name === name);
  return {
    own,
    plan: planned,
    warnings: [
      ...(hasKeys ? [] : ["the keys of this node are not there yet: they would be made"]),
      ...(isThere ? [] : ["the registry does not have this node yet: its record would be published"]),
      ...(own.underlay.private.length + own.underlay.public.length > 0
        ? []
        : ["no underlay address was found: give underlay.private, or a default route"]),
      ...state.refusals.map(({ where, what, remedy }) => `${where}: ${what}; ${remedy}`),
      ...planned.unreachable.map((node) => `${node.name} cannot be reached: ${node.reason}`),
    ],
  };
}

const COLUMNS: readonly Column[] = [
  { title: "PEER", least: 12 },
  { title: "DRIVER" },
  { title: "TRIED AT", least: 16 },
  { title: "PREFIXES", least: 16 },
];

/** For a terminal. Pure. @param width Columns to fit into; undefined shortens nothing. */
export function forecastText({ own, plan: planned, warnings }: Forecast, width: number | undefined): string {
  const addresses = [...own.underlay.private, ...own.underlay.public];
  const head = [
    `node      ${own.name}`,
    `reached   ${addresses.join(" ") || "-"}`,
    `pods      ${own.podPrefixes.join(" ")}`,
    `address   ${own.addresses.join(" ")}`,
    `guarded   ${planned.guarded.join(" ") || "-"}`,
  ].map((line) => (width === undefined ? line : wrapped(line, 10)));
  const peers =
    planned.peers.length === 0
      ? "no peers\n"
      : table(
          COLUMNS,
          planned.peers.map((peer) => ({ cells: cells(peer) })),
          width,
        );
  const notes = warnings.map((warning) => `${width === undefined ? `! ${warning}` : wrapped(`! ${warning}`, 2)}\n`);
  return [`${head.join("\n")}\n`, "\n", peers, ...(notes.length > 0 ? ["\n", ...notes] : [])].join("");
}

function cells({ name, driver, candidates, prefixes }: PlannedPeer): string[] {
  const hosts = candidates.map(({ host }) => host).join(" ");
  return [name, driver, hosts === "" ? "(it comes to us)" : hosts, prefixes.join(" ")];
}
