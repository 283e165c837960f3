import type { Vici } from "vici";
import type { Wanted } from "./wanted.ts";

/** One command to charon. */
export type LoadStep =
  | { readonly do: "load-pool"; readonly pool: Wanted["pools"][number] }
  | { readonly do: "load-shared"; readonly shared: Wanted["shared"][number] }
  | { readonly do: "load-conn"; readonly connection: Wanted["connections"][number] }
  | { readonly do: "unload-conn" | "unload-shared" | "terminate"; readonly name: string };

/** Names of what charon has loaded. */
export interface Loaded {
  readonly shared: readonly string[];
  readonly connections: readonly string[];
}

/**
 * Commands after which charon has what is wanted and nothing else. Pure.
 * Loading again what has not changed does nothing. Connections come after what they need, so that no pod is refused by
 * half a configuration. Who is not wanted any more is shut out first and sent away then: it would come back at once.
 */
export function planLoad(wanted: Wanted, loaded: Loaded): LoadStep[] {
  const outdated = (names: readonly string[], kept: readonly string[]) => names.filter((name) => !kept.includes(name));
  const connections = outdated(
    loaded.connections,
    wanted.connections.map(({ name }) => name),
  );
  const shared = outdated(
    loaded.shared,
    wanted.shared.map(({ id }) => id),
  );
  return [
    ...wanted.pools.map((pool): LoadStep => ({ do: "load-pool", pool })),
    ...wanted.shared.map((key): LoadStep => ({ do: "load-shared", shared: key })),
    ...wanted.connections.map((connection): LoadStep => ({ do: "load-conn", connection })),
    ...connections.map((name): LoadStep => ({ do: "unload-conn", name })),
    ...shared.map((name): LoadStep => ({ do: "unload-shared", name })),
    ...connections.map((name): LoadStep => ({ do: "terminate", name })),
  ];
}

/** Brings charon to what is wanted. @throws ViciError. */
export async function load(vici: Vici, wanted: Wanted): Promise<void> {
  for (const step of planLoad(wanted, await readLoaded(vici))) await carryOut(vici, step);
}

async function readLoaded(vici: Vici): Promise<Loaded> {
  return { shared: await vici.getShared(), connections: await vici.getConns() };
}

async function carryOut(vici: Vici, step: LoadStep): Promise<void> {
  switch (step.do) {
    case "load-pool":
      await vici.loadPool(step.pool.name, { addrs: step.pool.addrs });
      return;
    case "load-shared": {
      const { id, psk, owners } = step.shared;
      await vici.loadShared({ id, type: "IKE", data: psk.reveal(), owners: [...owners] });
      return;
    }
    case "load-conn":
      await vici.loadConn(step.connection.name, step.connection.section);
      return;
    case "unload-conn":
      await vici.unloadConn(step.name);
      return;
    case "unload-shared":
      await vici.unloadShared(step.name);
      return;
    case "terminate":
      await vici.terminate({ ike: step.name, force: true, timeout: 1000 });
  }
}
