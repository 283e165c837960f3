import { RuntimeError } from "../../../src/cni/runtime.ts";
import type { Node } from "../../../src/testbed/node.ts";
import { type AttachOptions, CNI_PATH } from "../../../src/testbed/pod.ts";
import { DIST } from "./cluster.ts";

/** Not below a directory that a snapshot of the node looks at. */
const EFFECTS = "/opt/podvpn-test/effects";

/**
 * `bundle-faults.cjs` dies after its PODVPN_KILL_AFTER-th effect (src/os/effect.ts); the executable itself, as it is
 * installed everywhere, after KILL_AFTER_SECONDS. Only the plugin's process dies: neither its bridge nor its charon.
 */
const wrapper = (plugin: string) => `#!/bin/bash
if [ -n "$KILL_AFTER_SECONDS" ]; then
  exec timeout --foreground --signal=KILL "$KILL_AFTER_SECONDS" "${DIST}/${plugin}"
fi
exec -a ${plugin} "${process.execPath}" "${DIST}/bundle-faults.cjs"
`;

/** A plugin, installed in a node so that it can be made to die. */
export class FaultyPlugin {
  private constructor(private readonly node: Node) {}

  static async install(node: Node, plugin: "strongswan" | "wireguard" = "strongswan"): Promise<FaultyPlugin> {
    await node.writeFile(`/opt/cni/bin/${plugin}`, wrapper(plugin), 0o755);
    return new FaultyPlugin(node);
  }

  /** For a call that ends by SIGKILL after its `effect`th effect, counted from 1. */
  dying(effect: number): AttachOptions {
    return { path: CNI_PATH, env: { PODVPN_KILL_AFTER: String(effect) } };
  }

  /** For a call that ends by SIGKILL `milliseconds` after its start. */
  dyingAt(milliseconds: number): AttachOptions {
    return { path: CNI_PATH, env: { KILL_AFTER_SECONDS: (milliseconds / 1000).toFixed(4) } };
  }

  /** Names of the effects of `call`, in order. */
  async effects(call: (options: AttachOptions) => Promise<unknown>): Promise<string[]> {
    await this.node.writeFile(EFFECTS, "");
    await call({ path: CNI_PATH, env: { PODVPN_EFFECTS: EFFECTS } });
    const lines = (await this.node.readFile(EFFECTS)).split("\n");
    return lines.flatMap((line) => (line === "" ? [] : [line.replace(/^\d+ /, "")]));
  }
}

/** For a call without a fault. */
export const SOUND: AttachOptions = { path: CNI_PATH };

/**
 * True when the call was killed; false when it ended before that. @throws whatever else it fails with.
 * timeout(1) ends with 137 when it killed, and with 124 when its time was over just as the plugin ended by itself.
 */
export async function killed(call: Promise<unknown>): Promise<boolean> {
  try {
    await call;
    return false;
  } catch (error) {
    if (error instanceof RuntimeError && /was killed by SIGKILL|exit status (?:137|124)/.test(error.msg)) return true;
    throw error;
  }
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
