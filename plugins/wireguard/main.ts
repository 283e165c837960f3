import { type ConfigSubject, configContext, NO_POD } from "../../src/attachment/context.ts";
import { logged } from "../../src/attachment/logged.ts";
import type { AddCall, Call, CheckCall, Plugin } from "../../src/cni/dispatch.ts";
import type { WireguardConfig } from "../../src/config/wireguard.ts";
import { trace } from "../../src/os/trace.ts";

/** The `wireguard` plugin: each verb loads what it needs, and no more. */
export async function plugin(): Promise<Plugin> {
  return {
    add: (call) =>
      logged("ADD", call, async (log) => {
        const [config, { add }] = await Promise.all([wholeConfigOf(call), import("./add.ts")]);
        trace("modules loaded, configuration read");
        return add(call, config, log);
      }),
    del: (call) => logged("DEL", call, async () => (await import("./del.ts")).del(call)),
    check: (call) =>
      logged("CHECK", call, async (log) => {
        const [config, { check }] = await Promise.all([wholeConfigOf(call), import("./check.ts")]);
        return check(call, config, log);
      }),
    gc: (call) => logged("GC", call, async () => (await import("./gc.ts")).gc(call)),
    status: (call) =>
      logged("STATUS", call, async (log) => {
        const [config, { status }] = await Promise.all([configOf(call, NO_POD), import("./status.ts")]);
        return status(call, config, log);
      }),
  };
}

/** With what the agent has, where the tunnels are its. */
async function wholeConfigOf(call: AddCall | CheckCall): Promise<WireguardConfig> {
  const config = await configOf(call, call);
  return config.agent ? (await import("./agent.ts")).withAgents(config) : config;
}

async function configOf(call: Call, subject: ConfigSubject): Promise<WireguardConfig> {
  const [{ parseWireguardConfig }, context] = await Promise.all([
    import("../../src/config/wireguard.ts"),
    configContext(subject),
  ]);
  return parseWireguardConfig(call.config.raw, context);
}
