import { type ConfigSubject, configContext, NO_POD } from "../../src/attachment/context.ts";
import { logged } from "../../src/attachment/logged.ts";
import type { Call, Plugin } from "../../src/cni/dispatch.ts";
import type { StrongswanConfig } from "../../src/config/strongswan.ts";
import { trace } from "../../src/os/trace.ts";

/** The `strongswan` plugin: each verb loads what it needs, and no more. */
export async function plugin(): Promise<Plugin> {
  return {
    add: (call) =>
      logged("ADD", call, async () => {
        const [config, { add }] = await Promise.all([configOf(call, call), import("./add.ts")]);
        trace("modules loaded, configuration read");
        return add(call, config);
      }),
    del: (call) => logged("DEL", call, async () => (await import("./del.ts")).del(call)),
    check: (call) => logged("CHECK", call, async () => (await import("./check.ts")).check(call)),
    gc: (call) => logged("GC", call, async () => (await import("./gc.ts")).gc(call)),
    status: (call) =>
      logged("STATUS", call, async () => {
        const [config, { status }] = await Promise.all([configOf(call, NO_POD), import("./status.ts")]);
        return status(call, config);
      }),
  };
}

async function configOf(call: Call, subject: ConfigSubject): Promise<StrongswanConfig> {
  const [{ parseStrongswanConfig }, context] = await Promise.all([
    import("../../src/config/strongswan.ts"),
    configContext(subject),
  ]);
  return parseStrongswanConfig(call.config.raw, context);
}
