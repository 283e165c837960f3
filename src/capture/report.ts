import { bytesText } from "../hub/lease-table.ts";
import type { Address } from "../net/address.ts";
import type { Prefix } from "../net/prefix.ts";
import { wrapped } from "../status/text.ts";
import type { CaptureResult } from "./capture.ts";
import type { Count, PlainPacket, Verdict } from "./tally.ts";

/** What is captured: for the first line, and for programs. */
export interface Subject {
  readonly interfaces: readonly string[];
  readonly prefixes: readonly Prefix[];
}

/** What stands above the packets. Pure. */
export function heading({ interfaces, prefixes }: Subject, seconds: number): string {
  const [first, second, ...rest] = prefixes;
  const more = rest.length === 0 ? [] : [`${rest.length} more`];
  const named = [first, second, ...more].filter((text) => text !== undefined);
  return `${wrapped(`Looking for ${listed(named)} on ${listed(interfaces)} for ${seconds} s; Ctrl-C ends it.`)}\n`;
}

/** A packet that went in plain, in one line where it fits. Pure. */
export function plainLine(packet: PlainPacket): string {
  const { time, interface: link, vlans, protocol, length } = packet;
  const tags = vlans.map((id) => ` vlan ${id}`).join("");
  const about = packet.target === undefined ? "" : ` about ${packet.target}`;
  const from = withPort(packet.source, packet.sourcePort);
  const to = withPort(packet.destination, packet.destinationPort);
  return `${wrapped(`plain: ${clock(time)} ${link}${tags} ${protocol} ${length} B ${from} > ${to}${about}`)}\n`;
}

/** What a capture has seen, for a terminal. Pure. */
export function summary(result: CaptureResult): string {
  const { tally, verdict } = result;
  const { wireguard, esp, espInUdp, plain, signalling } = tally.counts;
  const rows: readonly [string, Count][] = [
    ["WireGuard", wireguard],
    ["ESP", esp],
    ["ESP in UDP", espInUdp],
    ["encrypted in all", tally.encrypted],
    ["plain", plain],
  ];
  const lines = rows.map(([name, { packets, bytes }]) => row(name, String(packets), bytesText(BigInt(bytes))));
  const aside =
    signalling.packets === 0
      ? []
      : [`Beside these, ${counted(signalling)} of key exchange and keep-alive: no traffic.`];
  return `${["", row("", "PACKETS", "BYTES"), ...lines, "", ...aside, ...CONCLUSIONS[verdict](result)].join("\n")}\n`;
}

/** The same for programs; `podvpn capture --help` tells of the keys. Pure. */
export function captureJson({ interfaces, prefixes }: Subject, result: CaptureResult): string {
  const { tally, dropped, seconds, verdict } = result;
  const { wireguard, esp, espInUdp, plain, signalling } = tally.counts;
  const first = tally.firstPlain.map(({ time, ...packet }) => ({ time: new Date(time).toISOString(), ...packet }));
  const object = {
    verdict,
    interfaces,
    prefixes,
    seconds: Math.round(seconds * 1000) / 1000,
    encrypted: { ...tally.encrypted, wireguard, esp, espInUdp },
    plain: { ...plain, first },
    signalling,
    dropped,
  };
  return `${JSON.stringify(object, null, 2)}\n`;
}

/** Exit status of each verdict. 2 is taken: wrong arguments. */
export const EXIT_STATUS: Readonly<Record<Verdict, number>> = { encrypted: 0, plain: 1, nothing: 3, incomplete: 3 };

const CONCLUSIONS: Readonly<Record<Verdict, (result: CaptureResult) => string[]>> = {
  encrypted: () => ["ENCRYPTED: no packet of these prefixes went in plain."],
  plain: ({ tally }) => [`NOT ENCRYPTED: ${counted(tally.counts.plain)} went in plain.`],
  nothing: () => [
    "NOTHING PROVED: neither encrypted nor plain traffic went by.",
    "Send some between pods of different nodes meanwhile, or capture elsewhere.",
  ],
  incomplete: ({ dropped }) => [
    `NOTHING PROVED: ${dropped} packets were lost before anybody could look at them.`,
    "Capture when less goes by, or on fewer interfaces at once.",
  ],
};

function row(name: string, packets: string, bytes: string): string {
  return `${name.padEnd(17)}${packets.padStart(10)}${bytes.padStart(12)}`;
}

function counted({ packets, bytes }: Count): string {
  return `${packets} ${packets === 1 ? "packet" : "packets"} (${bytesText(BigInt(bytes))})`;
}

function withPort(address: Address, port: number | undefined): string {
  if (port === undefined) return address;
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Local time of day with milliseconds. */
function clock(time: number): string {
  const date = new Date(time);
  const two = (value: number) => String(value).padStart(2, "0");
  const seconds = `${two(date.getSeconds())}.${String(date.getMilliseconds()).padStart(3, "0")}`;
  return `${two(date.getHours())}:${two(date.getMinutes())}:${seconds}`;
}

function listed(words: readonly string[]): string {
  const last = words.at(-1) ?? "nothing";
  return words.length < 2 ? last : `${words.slice(0, -1).join(", ")} and ${last}`;
}
