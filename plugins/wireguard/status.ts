import { bridgeConfig, bridgeNode } from "../../src/attachment/bridge.ts";
import { available } from "../../src/cni/available.ts";
import type { Call } from "../../src/cni/dispatch.ts";
import { findPlugin } from "../../src/cni/execute.ts";
import type { WireguardConfig } from "../../src/config/wireguard.ts";
import { listTables } from "../../src/nftables/apply.ts";
import type { Log } from "../../src/os/log.ts";
import { chooseDevicePlane } from "../../src/wireguard/open.ts";
import { privateKeyOf } from "./key.ts";

/**
 * STATUS: whether an ADD could succeed, as far as this node tells: the configuration (read before this is called, with
 * its peers and their keys), the private key, which is made when there is none, nf_tables, a data plane, the bridge.
 * Asks no peer: a node is ready whether or not the others are up. With `agent` it is the agent who has to be there.
 * @throws Fault 50 (not available), or the bridge's own.
 */
export async function status(call: Call, config: WireguardConfig, log: Log): Promise<void> {
  if (config.agent) {
    await available(async () => (await import("./agent.ts")).agentsDevice());
    return await bridgeStatus(call);
  }
  // A pod's own key is made with the pod, and its file may be named after it.
  if (config.attach === "node") await available(() => privateKeyOf(config, ""));
  await available(() => listTables());
  await available(async () => {
    const plane = await chooseDevicePlane(config.dataplane);
    log.write("info", `data plane: ${plane}`);
  });
  await bridgeStatus(call);
}

/** In a chain there is none of ours. */
async function bridgeStatus(call: Call): Promise<void> {
  if (call.config.raw.ipam === undefined) return;
  await available(async () => findPlugin("bridge", call.path));
  await bridgeNode("STATUS", call, bridgeConfig(call.config.raw));
}
