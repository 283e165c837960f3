import { type ConfigSubject, configContext, NO_POD } from "../../src/attachment/context.ts";
import { logged } from "../../src/attachment/logged.ts";
import { available } from "../../src/cni/available.ts";
import type { AddCall, Call, CheckCall, Plugin } from "../../src/cni/dispatch.ts";
import type { WireguardConfig } from "../../src/config/wireguard.ts";
import { trace } from "../../src/os/trace.ts";

/** The `wireguard` plugin: each verb loads what it needs, and no more. */
export async function plugin(): Promise<Plugin> {
  return {
    add: (given) =>
      logged("ADD", given, async (log) => {
        const call = await shared(given);
        const [config, { add }] = await Promise.all([wholeConfigOf(call), import("./add.ts")]);
        trace("modules loaded, configuration read");
        return add(call, config, log);
      }),
    del: (call) => logged("DEL", call, async () => (await import("./del.ts")).del(await leftShared(call))),
    check: (given) =>
      logged("CHECK", given, async (log) => {
        const call = await shared(given);
        const [config, { check }] = await Promise.all([wholeConfigOf(call), import("./check.ts")]);
        return check(call, config, log);
      }),
    gc: (call) => logged("GC", call, async () => (await import("./gc.ts")).gc(await leftShared(call))),
    status: (given) =>
      logged("STATUS", given, async (log) => {
        const call = await available(() => shared(given));
        const [config, { status }] = await Promise.all([configOf(call, NO_POD), import("./status.ts")]);
        return status(call, config, log);
      }),
  };
}

/** With the addresses that the agent has for this node's pods, where the configuration leaves them to it. @throws Fault 11. */
async function shared<C extends Call>(call: C): Promise<C> {
  return isAgents(call) ? (await import("./share.ts")).withShare(call) : call;
}

/** The same for pods that go, with whatever is there of the agent. */
async function leftShared<C extends Call>(call: C): Promise<C> {
  return isAgents(call) ? (await import("./share.ts")).withAnyShare(call) : call;
}

/** Before anything is parsed: pods without an agent are not to pay for this. */
function isAgents({ config }: Call): boolean {
  const { wireguard } = config.raw;
  return typeof wireguard === "object" && wireguard !== null && Reflect.get(wireguard, "agent") === true;
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
