import { parseArgs } from "node:util";
import type { Target } from "../capture/capture.ts";
import { type Prefix, parsePrefix, prefixLength } from "../net/prefix.ts";
import { type Form, type Options, type Terminal, UsageError } from "./command.ts";

export const help = `
Usage: podvpn capture [--seconds N] [--interface IF]... [--prefix PREFIX]...
                      [--port PORT]... [--json]

Shows what an eavesdropper sees: captures where the node's tunnels go, and
counts what was encrypted (WireGuard, ESP, ESP in UDP) and what went in plain:
every packet from or to an address of the prefixes, also behind VLAN tags, and
ARP and neighbour discovery for one. The first ten of those are shown, never
what they carry. Needs root and tcpdump.

Looked for are the virtual subnets and mesh prefixes of this node's pods and
devices, and all prefixes of other nodes that the node's agent guards, whether
its tunnels are WireGuard or IPsec; of a full tunnel the addresses of its pods.

Key exchange and keep-alives are told apart: they carry no traffic and prove
nothing. A packet is what the kernel hands over: with segmentation done by the
network card, several on the wire. Not looked into are tunnels of others (VXLAN,
GRE). On a hub with kernel ESP, received packets are seen a second time after
they were decrypted: capture beside it instead.

Options:
  --seconds N      how long; Ctrl-C ends it earlier and counts as well (10)
  --interface IF   where (the interfaces by which hubs and peers are reached,
                   else those of the default routes); may be given repeatedly
  --prefix PREFIX  what must not be seen in plain, instead of what this node
                   has; may be given repeatedly
  --port PORT      also a UDP port of WireGuard (those of this node's devices
                   and of their peers; where there are none, 51820); may be
                   given repeatedly
  --json           an object instead of text

With --json:
  verdict     encrypted, plain, nothing or incomplete
  interfaces, prefixes, seconds
  encrypted   packets and bytes, and the same of wireguard, esp and espInUdp
  plain       packets and bytes; first: the packets that are shown
  signalling  packets and bytes
  dropped     packets that were lost before they were looked at

Exit status:
  0  traffic went by and all of it was encrypted
  1  a packet went in plain, or the capture failed
  2  wrong arguments
  3  nothing is proved: no traffic went by, or the kernel had to drop packets

Examples:
  podvpn capture
  podvpn capture --seconds 3600 --json | jq .verdict
  podvpn capture --interface eth1 --prefix 10.101.0.0/16   # on a router
`;

const OPTIONS = {
  seconds: { type: "string", default: "10" },
  interface: { type: "string", multiple: true, default: [], value: "interface" },
  prefix: { type: "string", multiple: true, default: [] },
  port: { type: "string", multiple: true, default: [] },
  json: { type: "boolean", default: false },
} satisfies Options;

export const forms: readonly Form[] = [{ options: OPTIONS }];

/** As many as a day has. */
const LONGEST = 86_400;

export async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: OPTIONS });
  const seconds = wholeNumber("--seconds", values.seconds, LONGEST);
  const prefixes = values.prefix.map(capturedPrefix);
  const ports = values.port.map((text) => wholeNumber("--port", text, 65_535));
  const { findTarget } = await import("../capture/target.ts");
  const target = await findTarget({ interfaces: [...new Set(values.interface)], prefixes, ports });
  return captured(target, seconds, values.json, terminal);
}

async function captured(target: Target, seconds: number, json: boolean, terminal: Terminal): Promise<number> {
  const [{ capture }, { wholeOf }, report] = await Promise.all([
    import("../capture/capture.ts"),
    import("../capture/scope.ts"),
    import("../capture/report.ts"),
  ]);
  const subject = { interfaces: target.links.map(({ name }) => name), prefixes: wholeOf(target.scopes) };
  const stop = new AbortController();
  const onSignal = () => stop.abort();
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  try {
    const result = await capture(target, {
      seconds,
      signal: stop.signal,
      onStart: () => terminal.stderr(report.heading(subject, seconds)),
      onPlain: (packet) => {
        if (!json) terminal.stdout(report.plainLine(packet));
      },
    });
    terminal.stdout(json ? report.captureJson(subject, result) : report.summary(result));
    return report.EXIT_STATUS[result.verdict];
  } finally {
    process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
  }
}

function capturedPrefix(text: string): Prefix {
  const prefix = parsePrefix(text);
  if (prefix === undefined) throw new UsageError(`--prefix is "${text}"; give one such as 10.1.0.0/16`);
  if (prefixLength(prefix) > 0) return prefix;
  throw new UsageError(`--prefix ${text} holds every address, also those of the tunnels; give those of the pods`);
}

/** @param most The largest that it may be; the smallest is 1. */
function wholeNumber(option: string, text: string, most: number): number {
  const number = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (number >= 1 && number <= most) return number;
  throw new UsageError(`${option} is "${text}"; give a whole number from 1 to ${most}`);
}
