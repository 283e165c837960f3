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
        const [config, { status }] = await Promise.all([
          configOf(call, { containerID: "status", ifname: "eth0" }),
          import("./status.ts"),
        ]);
        return status(call, config);
      }),
  };
}

/** What an identity is made of; STATUS asks for no container and has no CNI_ARGS. */
interface Subject {
  readonly containerID: string;
  readonly ifname: string;
  readonly args?: ReadonlyMap<string, string>;
}

async function configOf(call: Call, subject: Subject): Promise<StrongswanConfig> {
  const [{ parseStrongswanConfig }, { readSecretFile }, { hostname }] = await Promise.all([
    import("../../src/config/strongswan.ts"),
    import("../../src/os/file.ts"),
    import("node:os"),
  ]);
  const { containerID, ifname, args } = subject;
  return parseStrongswanConfig(call.config.raw, {
    containerID,
    ifname,
    node: hostname(),
    euid: process.geteuid?.() ?? 0,
    readSecretFile,
    ...(args === undefined ? {} : { args }),
  });
}
