import { type IkeSa, type Vici, ViciCommandError, ViciError } from "vici";
import { MESH_CHILD, type MeshConnection, meshConnection, meshTrap } from "../../ipsec/mesh-connection.ts";
import { type HeldPeer, heldPeers } from "../../ipsec/mesh-held.ts";
import { meshNameText, trapNameText } from "../../ipsec/mesh-name.ts";
import type { MeshStep } from "../../ipsec/mesh-plan.ts";

/** Milliseconds. Without `noblock` charon waits for SAs that other threads hold. */
const LIST_TIMEOUT = 20_000;

/** What charon has, by the label of the peer. @throws ViciError. */
export async function readHeld(vici: Vici): Promise<ReadonlyMap<string, HeldPeer>> {
  const connections: { readonly name: string; readonly remoteAddrs: readonly string[] }[] = [];
  for await (const { name, remoteAddrs } of vici.listConns({}, { timeout: LIST_TIMEOUT })) {
    connections.push({ name, remoteAddrs });
  }
  return heldPeers(connections, await readSas(vici));
}

/** @throws ViciError. */
export async function readSas(vici: Vici): Promise<IkeSa[]> {
  const sas: IkeSa[] = [];
  for await (const sa of vici.listSas({}, { timeout: LIST_TIMEOUT })) sas.push(sa);
  return sas;
}

/**
 * Tells charon one thing, and waits for no peer. What is gone already is fine.
 * @param connection Of the peer, for a step that loads one.
 * @throws ViciCommandError when charon does not take a connection, ViciError when it does not answer.
 */
export async function take(vici: Vici, step: MeshStep, connection: MeshConnection | undefined): Promise<void> {
  switch (step.do) {
    case "load":
      if (connection !== undefined) {
        await vici.loadConn(meshNameText(step.name), meshConnection(connection, step.name));
      }
      break;
    case "trap":
      if (connection !== undefined) await vici.loadConn(trapNameText(step.name), meshTrap(connection, step.name));
      break;
    case "unload":
      await unlessRefused(vici.unloadConn(step.connection.text));
      break;
    case "initiate":
      // -1: answered at once, and holds no thread of charon's. Whether it succeeds, the next look tells.
      await vici.request("initiate", { ike: meshNameText(step.name), child: MESH_CHILD, timeout: "-1" });
      break;
    case "terminate":
      await vici.request("terminate", {
        "ike-id": String(step.sa.uniqueid),
        ...(step.force ? { force: "yes" } : {}),
        timeout: "-1",
      });
  }
}

/**
 * Does `work`, and then waits until tunnels of all connections that it names have come up.
 * @param work Returns names of connections. @param timeout Milliseconds, after which it waits no longer.
 * @returns What charon said of those that have not come up, by name. @throws what `work` throws, ViciError.
 */
export async function awaitTunnels(
  vici: Vici,
  timeout: number,
  work: () => Promise<readonly string[]>,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const said = new Map<string, string[]>();
  const over = new AbortController();
  const timer = setTimeout(() => over.abort(), timeout);
  try {
    await using events = await vici.subscribe(["child-updown", "log"], { signal: over.signal });
    for (const name of await work()) said.set(name, []);
    if (said.size === 0) return said;
    for await (const { name, message } of events) {
      if (name === "log") said.get(message.text("ikesa-name") ?? "")?.push(message.text("msg") ?? "");
      else if (message.text("up") === "yes") for (const [connection] of message.sections()) said.delete(connection);
      if (said.size === 0) break;
    }
  } catch (error) {
    if (!(error instanceof ViciError && error.code === "ABORTED" && over.signal.aborted)) throw error;
  } finally {
    clearTimeout(timer);
  }
  return said;
}

/** charon refuses to take away what it does not have. */
async function unlessRefused(command: Promise<unknown>): Promise<void> {
  try {
    await command;
  } catch (error) {
    if (!(error instanceof ViciCommandError)) throw error;
  }
}
