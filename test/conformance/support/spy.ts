import { findPlugin } from "../../../src/cni/execute.ts";
import { isObject, type JsonObject } from "../../../src/cni/json.ts";
import type { Node } from "../../../src/testbed/node.ts";

/** A call that a delegate got. */
export interface DelegateCall {
  readonly type: string;
  readonly env: Readonly<Record<string, string>>;
  readonly conf: JsonObject;
}

/** What a delegate is told to do instead of its work. */
export interface Refusal {
  readonly type: string;
  readonly command: string;
  readonly code: number;
  readonly msg: string;
}

/** What each spied delegate writes to its standard error. */
export const DELEGATE_MESSAGE = "a word of the delegate on its standard error";

/** On the node alone: what is below /opt there lies in its own memory, and in no snapshot. */
const DIRECTORY = "/opt/conformance";

/**
 * Stands in for a plugin's delegates: notes what they are called with, then lets the real one do the work, or refuses.
 * What it runs is a shell script of the delegate's name, in a directory before all others in CNI_PATH.
 */
export class Spy {
  #installed = false;

  constructor(
    private readonly node: Node,
    private readonly path: readonly string[],
  ) {}

  /** CNI_PATH with the stand-ins in it: the first directory is empty, and the plugin must look further. */
  get cniPath(): string {
    return [`${DIRECTORY}/empty`, `${DIRECTORY}/bin`, ...this.path].join(":");
  }

  /** Stands in for plugins of these types from now on, and forgets all calls and refusals. */
  async watch(types: readonly string[], refusals: readonly Refusal[] = []): Promise<void> {
    await this.node.exec(["sh", "-c", `rm -rf ${DIRECTORY}; mkdir -p ${DIRECTORY}/empty ${DIRECTORY}/calls`]);
    this.#installed = true;
    for (const type of types) await this.node.writeFile(`${DIRECTORY}/bin/${type}`, this.#script(type), 0o755);
    await this.refuse(refusals);
  }

  /** Replaces what is refused. */
  async refuse(refusals: readonly Refusal[]): Promise<void> {
    await this.node.exec(["sh", "-c", `rm -rf ${DIRECTORY}/refuse; mkdir -p ${DIRECTORY}/refuse`]);
    for (const { type, command, code, msg } of refusals) {
      await this.node.writeFile(
        `${DIRECTORY}/refuse/${type}-${command}`,
        JSON.stringify({ cniVersion: "1.0.0", code, msg }),
      );
    }
  }

  /** All calls since {@link watch}, in order. VERSION is left out: whoever asks for that does not do its work with it. */
  async calls(): Promise<DelegateCall[]> {
    if (!this.#installed) throw new Error("nobody watches");
    const { stdout } = await this.node.exec(["ls", `${DIRECTORY}/calls`]);
    const names = stdout.split("\n").filter((line) => line !== "");
    const calls = await Promise.all(names.sort().map((name) => this.#read(name)));
    return calls.filter(({ env }) => env.CNI_COMMAND !== "VERSION");
  }

  async #read(name: string): Promise<DelegateCall> {
    const read = (file: string) => this.node.readFile(`${DIRECTORY}/calls/${name}/${file}`);
    const [type, env, stdin] = await Promise.all([read("type"), read("env"), read("stdin")]);
    const pairs = env.split("\0").flatMap((pair) => {
      const equals = pair.indexOf("=");
      return equals < 0 ? [] : [[pair.slice(0, equals), pair.slice(equals + 1)] as const];
    });
    const conf: unknown = JSON.parse(stdin);
    return { type: type.trim(), env: Object.fromEntries(pairs), conf: isObject(conf) ? conf : {} };
  }

  /** Calls are numbered by the names of their directories, of which each can be made only once. */
  #script(type: string): string {
    return `#!/bin/sh
n=1000
until mkdir ${DIRECTORY}/calls/$n 2>/dev/null; do n=$((n + 1)); done
call=${DIRECTORY}/calls/$n
cat /proc/$$/environ >$call/env
cat >$call/stdin
echo ${type} >$call/type
echo "${DELEGATE_MESSAGE}" >&2
if [ -e "${DIRECTORY}/refuse/${type}-$CNI_COMMAND" ]; then
  cat "${DIRECTORY}/refuse/${type}-$CNI_COMMAND"
  exit 1
fi
exec ${findPlugin(type, this.path)} <$call/stdin
`;
  }
}
