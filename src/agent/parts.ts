import type { AgentConfig } from "../config/agent.ts";
import type { Netlink } from "../netlink/netlink.ts";
import { openRoute } from "../netlink/open.ts";
import { usableAddresses } from "../node/settings.ts";
import { resolveNames } from "../os/resolve.ts";
import { openDirectoryRegistry } from "../registry/directory.ts";
import type { Registry } from "../registry/registry.ts";
import { randomPublicKey } from "../wireguard/keys.ts";
import type { AgentParts } from "./agent.ts";
import { type Forecast, forecast } from "./check.ts";
import { leftoverDrivers, openDrivers } from "./drivers.ts";
import type { AgentJournal } from "./journal.ts";
import type { AgentMemory } from "./memory.ts";
import { OwnIdentity } from "./own-identity.ts";
import { ownPrefixes, publishedRecord } from "./own-prefixes.ts";
import { hasKeyOf, ownRecord } from "./own-record.ts";
import { readCniPrefixes } from "./prefixes.ts";
import { followUnderlay, readUnderlayFacts, underlayAddresses } from "./underlay.ts";

/** What is kept of the registry over a restart. */
const LAST_GOOD = "/var/lib/podvpn/mesh/last-good.json";
/** Milliseconds for each host name. */
const RESOLVE_WITHIN = 5000;

/** All that the agent of this configuration works with, for real. Disposing of it cuts nothing. @throws Fault. */
export async function agentParts(
  config: AgentConfig,
  memory: AgentMemory,
  log: AgentJournal,
): Promise<AgentParts & AsyncDisposable> {
  await using undo = new AsyncDisposableStack();
  const identity = await OwnIdentity.ensure(config);
  const nl = undo.use(openRoute());
  const registry = undo.use(openRegistry(config, identity));
  const parts: AgentParts = {
    config,
    registry,
    keys: () => identity.publicKeys,
    knownKeys: () => identity.knownKeys,
    underlay: () => readUnderlay(nl, config),
    cniPrefixes: () => readCniPrefixes().prefixes,
    log,
    drivers: openDrivers(config, identity),
    leftovers: leftoverDrivers(config),
    probes: memory.prober(config.probe),
    memory,
    followUnderlay: (onChange) => followUnderlay(nl, onChange),
    changeableKeys: identity,
    resolve: async (names, mesh) => usableAddresses(await resolveNames(names, RESOLVE_WITHIN), mesh),
  };
  const owned = undo.move();
  return { ...parts, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** The registry of a configuration. @param identity Tells this node's record from a stranger's of the same name. */
export function openRegistry(config: AgentConfig, identity: OwnIdentity): Registry {
  const { directory } = config.registry;
  return openDirectoryRegistry({
    directory,
    lastGood: LAST_GOOD,
    isOwn: (record) => hasKeyOf(record, identity.knownKeys),
  });
}

/** What an agent with this configuration would do. Writes nothing. @throws Fault for what it could not start with. */
export async function readForecast(config: AgentConfig): Promise<Forecast> {
  using nl = openRoute();
  const identity = await OwnIdentity.read(config);
  await using registry = openDirectoryRegistry({ directory: config.registry.directory });
  const state = await registry.list();
  const found = identity.publicKeys;
  const there = publishedRecord(config.name, state);
  const prefixes = ownPrefixes({
    name: config.name,
    source: config.pods,
    state,
    published: there !== undefined && hasKeyOf(there, identity.knownKeys) ? there : undefined,
    cni: config.pods.from === "cni" ? readCniPrefixes().prefixes : [],
    now: Date.now(),
  });
  const keys = { wireguard: randomPublicKey(), ...found };
  const underlay = config.underlay.private === undefined ? await readUnderlay(nl, config) : [];
  const own = ownRecord(config, { keys, underlay, ...prefixes });
  return forecast({ config, own, state, hasKeys: identity.isComplete });
}

async function readUnderlay(nl: Netlink, { pods }: AgentConfig) {
  const mesh = pods.from === "network" ? pods.cuts.map(({ network }) => network) : [];
  return underlayAddresses(await readUnderlayFacts(nl), pods.from === "given" ? pods.prefixes : mesh);
}
