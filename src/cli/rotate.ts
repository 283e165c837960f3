import { parseArgs } from "node:util";
import type { Form, Options, Terminal } from "./command.ts";

export const help = `
Usage: podvpn rotate [--no-wait]

Gives this node new keys. No packet is lost: the other nodes hear of the next
key by the registry and accept it beside the old one, then the tunnels move over
one by one, and the old key goes when all have moved. With WireGuard a second
device is there meanwhile, at the next higher UDP port: firewalls must let that
pass as well.

One node rotates at a time; while another one does, this one waits its turn. A
peer that cannot be reached is waited for half a minute; one whose agent does
not take part, ten minutes: then the change is given up. A node that dies in the
middle of its own holds up the others until it is back, or its file is removed
from the registry.

Tells each step and what it waits for, until the new keys count. Ended with
Ctrl-C, the agent goes on with it; rotateEvery in the configuration does the
same by itself.

Options:
  --no-wait  only begin

Exit status:
  0  the new keys count (with --no-wait: it has begun)
  1  it was given up, or no agent runs

Files:
  /var/lib/podvpn/mesh/      the private keys (0600)
  /run/podvpn/agent/socket   over which the agent is asked

Examples:
  podvpn rotate
  podvpn rotate --no-wait; podvpn status --watch
`;

const OPTIONS = { "no-wait": { type: "boolean" } } satisfies Options;

export const forms: readonly Form[] = [{ options: OPTIONS }];

/** Milliseconds between two looks at how far it is. */
const PAUSE = 500;

export async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: OPTIONS });
  const { askRotation, askStatus } = await import("../agent/ask.ts");
  const { rotationOutcome } = await import("../agent/rotation-outcome.ts");
  const before = await askStatus();
  terminal.stdout(`${await askRotation()}\n`);
  if (values["no-wait"] === true || before === undefined) return 0;
  let told = "";
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
    const { isOver, isDone, text } = rotationOutcome(before, await askStatus());
    if (text !== told) terminal.stdout(`${text}\n`);
    told = text;
    if (isOver) return isDone ? 0 : 1;
  }
}
