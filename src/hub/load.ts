import { type Section, type Vici, ViciCommandError } from "vici";
import { MANY } from "./leases.ts";
import type { Wanted } from "./wanted.ts";

/** A command to charon, or several of one kind in one message. */
export type LoadStep =
  | { readonly do: "load-pool" | "load-conn"; readonly sections: Section }
  | { readonly do: "load-shared"; readonly shared: Wanted["shared"][number] }
  | { readonly do: "unload-conn" | "unload-shared" | "unload-pool" | "terminate"; readonly name: string };

/** What charon has loaded: names with their content, "" for what is not known (by an earlier `podvpn hub`). */
export interface Loaded {
  readonly pools: ReadonlyMap<string, string>;
  readonly shared: ReadonlyMap<string, string>;
  readonly connections: ReadonlyMap<string, string>;
}

/** Of one message: far below VICI's bound of 512 KiB, as a connection for anybody names thousands of pools. */
const BATCH = 200;

/**
 * Commands after which charon has what is wanted and nothing else. Pure.
 * Loading again what has not changed does nothing. Connections come after what they need, so that no pod is refused by
 * half a configuration. Who is not wanted any more is shut out first and sent away then: it would come back at once.
 */
export function planLoad(wanted: Wanted, loaded: Loaded): LoadStep[] {
  const is = contentOf(wanted);
  const changed = (now: ReadonlyMap<string, string>, before: ReadonlyMap<string, string>) =>
    [...now].filter(([name, content]) => before.get(name) !== content).map(([name]) => name);
  const outdated = (before: Iterable<string>, now: { has(name: string): boolean }) =>
    [...before].filter((name) => !now.has(name));
  const pools = new Set(changed(is.pools, loaded.pools));
  const connections = new Set(changed(is.connections, loaded.connections));
  const gone = outdated(loaded.connections.keys(), is.connections);
  return [
    ...batches(wanted.pools.filter(({ name }) => pools.has(name)).map(({ name, addrs }) => [name, { addrs }])).map(
      (sections): LoadStep => ({ do: "load-pool", sections }),
    ),
    ...wanted.shared
      .filter(({ id }) => loaded.shared.get(id) !== is.shared.get(id))
      .map((key): LoadStep => ({ do: "load-shared", shared: key })),
    ...batches(
      wanted.connections.filter(({ name }) => connections.has(name)).map(({ name, section }) => [name, section]),
    ).map((sections): LoadStep => ({ do: "load-conn", sections })),
    ...gone.map((name): LoadStep => ({ do: "unload-conn", name })),
    ...outdated(loaded.shared.keys(), is.shared).map((name): LoadStep => ({ do: "unload-shared", name })),
    ...gone.map((name): LoadStep => ({ do: "terminate", name })),
    ...outdated(loaded.pools.keys(), is.pools).map((name): LoadStep => ({ do: "unload-pool", name })),
  ];
}

/** Keeps a charon at what is wanted. */
export class Loader {
  #loaded: Loaded | undefined;

  constructor(private readonly vici: Vici) {}

  /** @throws ViciError; ViciCommandError when charon refuses any of it. */
  async bring(wanted: Wanted): Promise<void> {
    const loaded = this.#loaded ?? (await readLoaded(this.vici));
    this.#loaded = undefined; // until all of it is done, nothing is known
    for (const step of planLoad(wanted, loaded)) await carryOut(this.vici, step);
    this.#loaded = contentOf(wanted);
  }
}

function contentOf(wanted: Wanted): Loaded {
  return {
    pools: new Map(wanted.pools.map(({ name, addrs }) => [name, addrs])),
    shared: new Map(wanted.shared.map(({ id }) => [id, "loaded"])), // a key is not kept, and does not change
    connections: new Map(wanted.connections.map(({ name, section }) => [name, JSON.stringify(section)])),
  };
}

function batches(sections: readonly (readonly [string, Section])[]): Section[] {
  const count = Math.ceil(sections.length / BATCH);
  return Array.from({ length: count }, (_, index) =>
    Object.fromEntries(sections.slice(index * BATCH, (index + 1) * BATCH)),
  );
}

/** Keys may have changed behind their ids, and pools cannot all be listed: a thousand would not fit into one answer. */
async function readLoaded(vici: Vici): Promise<Loaded> {
  const unknown = (names: readonly string[]) => new Map(names.map((name) => [name, ""]));
  return { pools: new Map(), shared: unknown(await vici.getShared()), connections: unknown(await vici.getConns()) };
}

async function carryOut(vici: Vici, step: LoadStep): Promise<void> {
  switch (step.do) {
    case "load-pool":
    case "load-conn": {
      const answer = await vici.request(step.do, step.sections, { timeout: MANY });
      if (answer.text("success") === "no") throw new ViciCommandError(step.do, answer.text("errmsg") ?? "refused", []);
      return;
    }
    case "load-shared": {
      const { id, psk, owners } = step.shared;
      await vici.loadShared({ id, type: "IKE", data: psk.reveal(), owners: [...owners] });
      return;
    }
    case "unload-conn":
      await vici.unloadConn(step.name, { timeout: MANY });
      return;
    case "unload-shared":
      await vici.unloadShared(step.name);
      return;
    case "unload-pool":
      return await unlessRefused(vici.unloadPool(step.name, { timeout: MANY })); // a tunnel still has it: it stays as it is
    case "terminate":
      await vici.request("terminate", { ike: step.name, force: "yes", timeout: "1000" }, { timeout: MANY });
  }
}

/** For what may fail and is tried again, or does no harm. @throws ViciError when charon does not answer. */
export async function unlessRefused(command: Promise<unknown>): Promise<void> {
  try {
    await command;
  } catch (error) {
    if (!(error instanceof ViciCommandError)) throw error;
  }
}
