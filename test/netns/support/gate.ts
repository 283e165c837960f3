import { expect } from "vitest";
import type { Node } from "../../../src/testbed/node.ts";
import { ENVIRONMENT } from "../../../src/testbed/place.ts";
import type { AttachOptions } from "../../../src/testbed/pod.ts";
import { eventually } from "./eventually.ts";

const DIRECTORY = "/opt/podvpn-test/gate";

interface Program {
  readonly name: string;
  /** Condition in bash: whether this call is to be held, by its arguments, its environment and its `$input`. */
  readonly when: string;
  /** Runs the real program. */
  readonly real: string;
}

function noted(file: string): string {
  return `${file} "$@" <<<"$input"
status=$?
echo "$name ends" >>${DIRECTORY}/journal
exit $status`;
}

/** What a gate holds: the first call of one of the programs that the plugin runs. */
export const HELD = {
  /** The bridge's ADD. */
  bridge: { name: "bridge", when: '[ "$CNI_COMMAND" = ADD ]', real: noted("/usr/lib/cni/bridge") },
  /** The shell that becomes a charon; it is to be mounted over `/bin/sh` (see {@link Gate.path}). */
  charon: { name: "sh", when: '[[ "$*" == *charon-systemd* ]]', real: 'exec bash --posix "$@"' },
  /** The shell that becomes a wireguard-go, in the same way. */
  wireguardGo: { name: "sh", when: '[[ "$*" == *wireguard-go* ]]', real: 'exec bash --posix "$@"' },
} as const satisfies Record<string, Program>;

function script({ when, real }: Program): string {
  return `#!/bin/bash
input=$(cat)
name=\${0##*/}-\${CNI_COMMAND}
echo "$name begins" >>${DIRECTORY}/journal
if ${when} && mkdir ${DIRECTORY}/used; then
  echo $PPID >${DIRECTORY}/caller.tmp
  mv ${DIRECTORY}/caller.tmp ${DIRECTORY}/caller
  read -r word <${DIRECTORY}/fifo
fi
${real}
`;
}

/** Holds up one program that the plugin runs, so that the plugin can be killed while that goes on. */
export class Gate {
  private constructor(
    private readonly node: Node,
    /** The program in the real one's place. */
    readonly path: string,
  ) {}

  static async install(node: Node, program: Program): Promise<Gate> {
    await node.exec(["rm", "-rf", DIRECTORY]);
    const path = `${DIRECTORY}/bin/${program.name}`;
    await node.writeFile(path, script(program), 0o755);
    await node.exec(["mkfifo", `${DIRECTORY}/fifo`]);
    return new Gate(node, path);
  }

  /** `options`, but with the gate before the real program. */
  before(options: AttachOptions): AttachOptions {
    const bin = `${DIRECTORY}/bin`;
    return {
      ...options,
      path: [bin, ...(options.path ?? [])],
      env: { ...options.env, PATH: `${bin}:${ENVIRONMENT.PATH}` },
    };
  }

  /** Waits until the program is held; the pid of the plugin that runs it, as the node sees it. */
  async held(): Promise<string> {
    let pid = "";
    await eventually("the program is held", 10_000, async () => {
      pid = await this.node.readFile(`${DIRECTORY}/caller`).catch(() => "");
      return pid !== "";
    });
    return pid.trim();
  }

  /** Waits until the program is held, and kills the plugin that runs it. */
  async killCaller(): Promise<void> {
    await this.node.exec(["kill", "-KILL", await this.held()]);
  }

  /** Lets the program go on. */
  async open(): Promise<void> {
    await this.node.exec(["bash", "-c", `echo go >${DIRECTORY}/fifo`]);
  }

  /** When calls of the program began and ended: "bridge-ADD begins". */
  async journal(): Promise<string[]> {
    return (await this.node.readFile(`${DIRECTORY}/journal`)).trimEnd().split("\n");
  }
}

/** Waits until a call of the plugin waits for another one's lock. */
export async function waitsForLock(node: Node, call: Promise<unknown>): Promise<void> {
  let settled = false;
  const settle = () => {
    settled = true;
  };
  call.then(settle, settle);
  await eventually("the call waits for the lock", 5000, async () => {
    expect(settled, "the call waited for nobody").toBe(false);
    return (await node.exec(["pgrep", "-x", "flock"], { check: false })).code === 0;
  });
}
