import { spawnSync } from "node:child_process";
import { copyFileSync, linkSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const ROOT = new URL("../../..", import.meta.url).pathname.replace(/\/$/, "");
export const DIST = join(ROOT, "dist");

export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program with an environment of its own: nothing of the test's, not even HOME. */
export function call(file: string, args: readonly string[], env: Record<string, string> = {}, input = ""): Ended {
  return spawnSync(file, args, { env, input, encoding: "utf8", timeout: 60_000 });
}

/** A directory with the built executable under its names, as an installation has it. */
export class Installation implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), "podvpn-build-"));
  readonly podvpn = join(this.directory, "podvpn");
  readonly strongswan = join(this.directory, "strongswan");

  constructor() {
    copyFileSync(join(DIST, "podvpn"), this.podvpn);
    linkSync(this.podvpn, this.strongswan);
  }

  /**
   * Runs a shell script, with `podvpn` and `strongswan` in its PATH, in a mount namespace whose /var/lib and /run are
   * empty and its own: what the executable leaves on a node is seen there, and gone afterwards.
   */
  sandboxed(script: string): Ended {
    // -n: mount(8) would else make /run/mount on the machine.
    const prelude = "mount -n -t tmpfs -o mode=755 tmpfs /var/lib; mount -n -t tmpfs -o mode=755 tmpfs /run";
    const args = ["--mount", "--propagation", "private", "sh", "-euc", `${prelude}; cd /; ${script}`];
    return call("unshare", args, { PATH: `${this.directory}:/usr/sbin:/usr/bin:/sbin:/bin` });
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true });
  }
}
