import { rm } from "node:fs/promises";
import type { Node } from "../../../src/testbed/node.ts";
import { type AttachOptions, CNI_PATH } from "../../../src/testbed/pod.ts";
import { DIST } from "./cluster.ts";

/** Not below a directory that a snapshot of the node looks at. */
const EFFECTS = "/opt/podvpn-test/effects";

/**
 * The `strongswan` plugin of `bundle-faults.cjs`, which can die after its k-th effect on the world (src/os/effect.ts),
 * installed in a node.
 */
export class FaultyPlugin {
  private constructor(private readonly node: Node) {}

  static async install(node: Node): Promise<FaultyPlugin> {
    const script = `#!/bin/bash\nexec -a strongswan ${process.execPath} ${DIST}/bundle-faults.cjs\n`;
    await node.writeFile("/opt/cni/bin/strongswan", script, 0o755);
    await node.writeFile(EFFECTS, "");
    return new FaultyPlugin(node);
  }

  /** For a call that ends by SIGKILL after its `effect`th effect, counted from 1. */
  dying(effect: number): AttachOptions {
    return { path: CNI_PATH, env: { PODVPN_KILL_AFTER: String(effect) } };
  }

  /** For a call that only notes its effects. */
  get noting(): AttachOptions {
    return { path: CNI_PATH, env: { PODVPN_EFFECTS: EFFECTS } };
  }

  /** For a call without a fault. */
  get sound(): AttachOptions {
    return { path: CNI_PATH };
  }

  /** Names of the effects that calls with {@link noting} had since this was last asked, in order. */
  async takeEffects(): Promise<string[]> {
    const text = await this.node.readFile(EFFECTS);
    await rm(this.node.path(EFFECTS));
    return text.split("\n").flatMap((line) => (line === "" ? [] : [line.replace(/^\d+ /, "")]));
  }
}
