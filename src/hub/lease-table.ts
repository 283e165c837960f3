import type { AllLeases } from "./leases.ts";

/**
 * Leases for a terminal, one line each. Pure.
 * @param now Milliseconds since 1970.
 * @param width Columns to fit into: only identities are shortened for that, in their middle. Undefined shortens nothing.
 */
export function leaseTable({ online, offline }: AllLeases, now: number, width?: number): string {
  if (online.length + offline.length === 0) return "no pod is online\n";
  const rows = [
    ...online.map((lease) => [
      lease.identity,
      lease.virtualIPs.join(" "),
      ageText(lease.age),
      bytesText(lease.bytesIn),
      bytesText(lease.bytesOut),
      "-",
    ]),
    ...offline.map(({ identity, addresses, offline: times }) => {
      const left = times?.until === undefined ? undefined : Math.max(0, Math.round((times.until - now) / 1000));
      return [identity, addresses.join(" "), "offline", "-", "-", left === undefined ? "always" : ageText(left)];
    }),
  ];
  const others = [HEADER, ...rows].map((row) => row.slice(1));
  const widths = HEADER.slice(1).map((_, column) => Math.max(...others.map((row) => row[column]?.length ?? 0)));
  const rest = widths.reduce((sum, columns) => sum + GAP.length + columns, 0);
  const longest = Math.max(...[HEADER, ...rows].map(([identity]) => identity?.length ?? 0));
  const room = width === undefined ? longest : Math.min(longest, Math.max(SHORTEST, width - rest));
  const line = ([identity = "", ...cells]: readonly string[]) =>
    [
      shorten(identity, room).padEnd(room),
      ...cells.map((cell, column) =>
        column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      ),
    ].join(GAP);
  return [HEADER, ...rows].map((row) => `${line(row)}\n`).join("");
}

/** Leases for programs. Pure. @param now Milliseconds since 1970. */
export function leaseJson({ online, offline }: AllLeases, now: number): string {
  const here = online.map(({ identity, virtualIPs, remoteHost, age, bytesIn, bytesOut }) => ({
    identity,
    virtualIPs,
    online: true,
    remoteHost,
    since: new Date(now - age * 1000).toISOString(),
    // As numbers: a CHILD_SA that lives for an hour has less than 2^53 bytes.
    bytesIn: Number(bytesIn),
    bytesOut: Number(bytesOut),
  }));
  const time = (milliseconds: number | undefined) =>
    milliseconds === undefined ? null : new Date(milliseconds).toISOString();
  const away = offline.map(({ identity, addresses, offline: times }) => ({
    identity,
    virtualIPs: addresses,
    online: false,
    offlineSince: time(times?.since),
    keptUntil: time(times?.until), // null: for ever
  }));
  return `${JSON.stringify([...here, ...away], null, 2)}\n`;
}

const HEADER = ["IDENTITY", "VIRTUAL IP", "AGE", "IN", "OUT", "KEPT"];
const GAP = "  ";
/** Of an identity, less tells nobody anything. */
const SHORTEST = 16;

/** Keeps both ends: the container at the beginning, the node at the end. */
export function shorten(text: string, room: number): string {
  if (text.length <= room) return text;
  const head = Math.ceil((room - 1) / 2);
  return `${text.slice(0, head)}…${text.slice(text.length - (room - 1 - head))}`;
}

/** The two largest units: `45s`, `12m03s`, `3h12m`, `5d04h`. @param seconds Whole seconds. */
export function ageText(seconds: number): string {
  const two = (value: number) => String(value).padStart(2, "0");
  const [s, m, h, d] = [
    seconds % 60,
    Math.floor(seconds / 60) % 60,
    Math.floor(seconds / 3600) % 24,
    Math.floor(seconds / 86_400),
  ];
  if (d > 0) return `${d}d${two(h)}h`;
  if (h > 0) return `${h}h${two(m)}m`;
  return m > 0 ? `${m}m${two(s)}s` : `${s}s`;
}

/** Powers of 1024 with one digit behind the point: `0 B`, `1.5 KiB`. */
export function bytesText(bytes: bigint): string {
  let value = Number(bytes);
  let unit = 0;
  // 1023.95 would round to 1024.0.
  while (value >= (unit === 0 ? 1024 : 1023.95) && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit]}`;
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
