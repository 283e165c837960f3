import { parseArgs } from "node:util";
import { RuntimeError } from "../cni/runtime.ts";
import { demo } from "../demo/demo.ts";
import { labelOf, type Show } from "../demo/show.ts";
import { defaultShows, names, shows } from "../demo/shows.ts";
import { ownExecutable } from "../os/executable.ts";
import { takeDown } from "../testbed/kept.ts";
import { type Form, type Options, type Terminal, UsageError } from "./command.ts";

export const help = `
Usage: podvpn demo [strongswan | wireguard | mesh] [--keep | --down]

Shows podvpn at work on machines made of network namespaces.

strongswan, wireguard: the plugins, on three nodes with two pods each; who
reaches whom, what goes over the wire, what happens when a charon or a
wireguard-go is killed, and what is left in the end. Without a name it shows one
after the other.

mesh: the agents of four nodes, which are told of no peer. A fifth joins while
pings run, one changes its keys, one is cut off and is reported; what was
expected of each step, what was seen, and how many pings were lost. First with
WireGuard, then with IPsec.

Takes about a minute, needs root, the data planes (strongSwan, wireguard-go),
the reference CNI plugins, tcpdump and ping, changes nothing on this machine and
leaves nothing behind.

Options:
  --keep  leave it up, and tell how to look around
  --down  take down what --keep left

Exit status:
  0    all was as it should be
  1    not all was, or it could not begin
  130  it was interrupted (129 by SIGHUP, 143 by SIGTERM); all is taken down

Examples:
  podvpn demo
  podvpn demo mesh
  podvpn demo wireguard --keep; podvpn demo --down
`;

const OPTIONS = {
  keep: { type: "boolean", default: false },
  down: { type: "boolean", default: false },
} satisfies Options;

export const forms: readonly Form[] = [{ options: OPTIONS, operands: names }];

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
  const { values, positionals } = parseArgs({ args: [...args], allowPositionals: true, options: OPTIONS });
  if (values.keep && values.down) throw new UsageError("--keep and --down exclude each other");
  const asked = findShows(positionals);
  return values.down ? down(asked ?? shows, terminal) : show(asked ?? defaultShows, terminal, values.keep);
}

/** Undefined without a name. @throws UsageError. */
function findShows([name, ...more]: readonly string[]): readonly Show[] | undefined {
  if (name === undefined) return undefined;
  const found = shows.filter((one) => one.name === name);
  const known = names.join(", ").replace(/, (?=[^,]*$)/, " and ");
  if (found.length === 0) throw new UsageError(`there is no demo of "${name}"; there are those of ${known}`);
  if (more.length > 0) throw new UsageError("give one name, or none for the plugins");
  return found;
}

async function show(chosen: readonly Show[], terminal: Terminal, keep: boolean): Promise<number> {
  const controller = new AbortController();
  for (const signal of Object.keys(SIGNALS) as (keyof typeof SIGNALS)[]) {
    process.on(signal, () => controller.abort(new Interrupted(signal)));
  }
  try {
    const say = (text: string) => terminal.stdout(`${text}\n`);
    const wrong = await demo(say, chosen, { executable: ownExecutable(), keep, signal: controller.signal });
    for (const complaint of wrong) terminal.stderr(`podvpn demo: ${complaint}\n`);
    return wrong.length === 0 ? 0 : 1;
  } catch (error) {
    if (error instanceof Interrupted) {
      terminal.stderr(`\npodvpn demo: interrupted by ${error.message}; everything is taken down\n`);
      return error.status;
    }
    if (!(error instanceof RuntimeError)) throw error;
    terminal.stderr(`\npodvpn demo: ${error.message}\n`); // has its remedy
    return 1;
  }
}

async function down(chosen: readonly Show[], terminal: Terminal): Promise<number> {
  let isAnyUp = false;
  for (const one of chosen) {
    const machines = (await takeDown(labelOf(one))).map(({ name }) => name);
    if (machines.length === 0) continue;
    isAnyUp = true;
    terminal.stdout(`taken down: ${one.id} (${machines.join(", ")})\n`);
  }
  if (!isAnyUp) terminal.stdout("no demo is up\n");
  return 0;
}
