import type { Node } from "../../../src/testbed/node.ts";
import { ENVIRONMENT } from "../../../src/testbed/place.ts";
import type { AttachOptions } from "../../../src/testbed/pod.ts";
import { eventually } from "./eventually.ts";

const DIRECTORY = "/opt/podvpn-test/gate";

/** `$1` is the real program; the call is held when its standard input and environment say that it is the one. */
function script(program: string, isHeld: string): string {
  return `#!/bin/bash
input=$(cat)
name=\${0##*/}-\${CNI_COMMAND}
echo "$name begins" >>${DIRECTORY}/journal
if ${isHeld} && mkdir ${DIRECTORY}/used; then
  echo $PPID >${DIRECTORY}/caller.tmp
  mv ${DIRECTORY}/caller.tmp ${DIRECTORY}/caller
  read -r word <${DIRECTORY}/fifo
fi
${program} "$@" <<<"$input"
status=$?
echo "$name ends" >>${DIRECTORY}/journal
exit $status
`;
}

/** What a gate holds: the first call of one of the programs that the plugin runs. */
export const HELD = {
  /** The bridge's ADD. */
  bridge: { name: "bridge", program: "/usr/lib/cni/bridge", when: '[ "$CNI_COMMAND" = ADD ]' },
  /** nft, about to make the filter of a guard. */
  guard: { name: "nft", program: "/usr/sbin/nft", when: '[[ "$input" == *"create table inet"* ]]' },
  /** nft, about to make the masquerade table. */
  masquerade: { name: "nft", program: "/usr/sbin/nft", when: '[[ "$input" == *"create table"*masquerade* ]]' },
  /** nft, about to remove the masquerade table. */
  unmasquerade: { name: "nft", program: "/usr/sbin/nft", when: '[[ "$input" == *"delete table"* ]]' },
} as const;

/** Holds up one program that the plugin runs, so that the plugin can be killed while that goes on. */
export class Gate {
  private constructor(private readonly node: Node) {}

  static async install(node: Node, { name, program, when }: (typeof HELD)[keyof typeof HELD]): Promise<Gate> {
    await node.exec(["rm", "-rf", DIRECTORY]);
    await node.writeFile(`${DIRECTORY}/bin/${name}`, script(program, when), 0o755);
    await node.exec(["mkfifo", `${DIRECTORY}/fifo`]);
    return new Gate(node);
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
