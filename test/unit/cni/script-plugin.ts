import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What a plugin got: the CNI variables, then its standard input. */
export interface Called {
  readonly env: Record<string, string>;
  readonly config: Record<string, unknown>;
}

/** A directory of plugins that are shell scripts: for what no real plugin does on demand. */
export class ScriptPlugins implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), "podvpn-cni-"));
  readonly #log = join(this.directory, "log");

  /** Writes the plugin `type`. In `script`, $config is its standard input; each call of it is noted. */
  add(type: string, script: string): string {
    const file = join(this.directory, type);
    const note = `config=$(cat)
{ env | grep ^CNI_ | tr '\\n' '\\t'; echo "TYPE=${type}"; printf '%s' "$config" | tr '\\n' ' '; echo; } >>"${this.#log}"`;
    writeFileSync(file, `#!/bin/sh\n${note}\n${script}\n`);
    chmodSync(file, 0o755);
    return file;
  }

  /** All calls so far, in order. */
  calls(): Called[] {
    if (!existsSync(this.#log)) return [];
    const lines = readFileSync(this.#log, "utf8").trimEnd().split("\n");
    const called: Called[] = [];
    for (let i = 0; i + 1 < lines.length; i += 2) {
      const pairs = (lines[i] ?? "").split("\t").map((pair) => {
        const equals = pair.indexOf("=");
        return [pair.slice(0, equals), pair.slice(equals + 1)];
      });
      called.push({ env: Object.fromEntries(pairs), config: JSON.parse(lines[i + 1] || "null") });
    }
    return called;
  }

  /** Makes a sub-directory. */
  mkdir(name: string): string {
    const path = join(this.directory, name);
    mkdirSync(path);
    return path;
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true });
  }
}
