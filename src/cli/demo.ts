import { parseArgs } from "node:util";
import { demo } from "../demo/demo.ts";
import { DEMO_LABEL } from "../demo/lab.ts";
import { ownExecutable } from "../os/executable.ts";
import { takeDown } from "../testbed/kept.ts";
import { type Terminal, UsageError } from "./command.ts";

export const help = `
Usage: podvpn demo [--keep | --down]

Shows the plugin strongswan at work on machines made of network namespaces:
three nodes, a hub, six pods; who reaches whom, what goes over the wire, and
what happens when a charon is killed. Takes some seconds, needs root,
strongSwan, the reference CNI plugins, tcpdump and ping, changes nothing on
this machine and leaves nothing behind.

  --keep  leave it up, and tell how to look around
  --down  take down what --keep left
`;

/** 128 and the signal's number, as a shell has it. */
const SIGNALS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

/** Why a demo was broken off. */
class Interrupted extends Error {
  readonly status: number;

  constructor(signal: keyof typeof SIGNALS) {
    super(signal);
    this.status = SIGNALS[signal];
  }
}

export async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: { keep: { type: "boolean", default: false }, down: { type: "boolean", default: false } },
  });
  if (values.keep && values.down) throw new UsageError("--keep and --down exclude each other");
  return values.down ? down(terminal) : show(terminal, values.keep);
}

async function show(terminal: Terminal, keep: boolean): Promise<number> {
  const controller = new AbortController();
  for (const signal of Object.keys(SIGNALS) as (keyof typeof SIGNALS)[]) {
    process.on(signal, () => controller.abort(new Interrupted(signal)));
  }
  try {
    const say = (text: string) => terminal.stdout(`${text}\n`);
    const wrong = await demo(say, { executable: ownExecutable(), keep, signal: controller.signal });
    for (const complaint of wrong) terminal.stderr(`podvpn demo: ${complaint}\n`);
    return wrong.length === 0 ? 0 : 1;
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
    terminal.stderr(`\npodvpn demo: interrupted by ${error.message}; everything is taken down\n`);
    return error.status;
  }
}

async function down(terminal: Terminal): Promise<number> {
  const nodes = await takeDown(DEMO_LABEL);
  const names = nodes.map(({ name }) => name).join(", ");
  terminal.stdout(nodes.length === 0 ? "no demo is up\n" : `taken down: ${names}\n`);
  return 0;
}
