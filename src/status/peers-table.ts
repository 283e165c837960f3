import type { PeerStatus } from "../agent/status.ts";
import { ageText, bytesText } from "../hub/lease-table.ts";
import { latencyText, lossText } from "../mesh/graph-words.ts";
import type { Paint } from "./paint.ts";
import { type Column, type Row, table } from "./table.ts";

/** Columns of the longest endpoint with an IPv4 address: 255.255.255.255:65535. */
const IPV4_ENDPOINT = 21;

const COLUMNS: readonly Column[] = [
  { title: "PEER", least: 8 },
  { title: "ENDPOINT" },
  { title: "DRIVER" },
  { title: "STATE", isState: true },
  { title: "LATENCY", right: true },
  { title: "LOSS", right: true },
  { title: "AGE", right: true },
  { title: "IN", right: true },
  { title: "OUT", right: true },
  { title: "MTU", right: true },
];

/**
 * The peers for a terminal, one line each. Where that does not fit, endpoints move to a line below: those of IPv6 first,
 * then all; then names are shortened. What a peer does not do well stands below it. Pure.
 * @param now Milliseconds since 1970. @param width Columns to fit into; undefined: as many as there are.
 */
export function peersTable(peers: readonly PeerStatus[], now: number, width: number | undefined, paint: Paint): string {
  // Which driver it is, is told above where there is one alone.
  const drivers = new Set(peers.map(({ driver }) => driver));
  const columns = COLUMNS.filter(({ title }) => title !== "DRIVER" || drivers.size > 1);
  const rows = (longest: number): Row[] => peers.map((peer) => rowOf(peer, now, drivers.size > 1, longest));
  const fits = (longest: number) => {
    const text = table(
      columns,
      rows(longest).map(({ cells }) => ({ cells })),
      undefined,
    );
    return width === undefined || Math.max(...text.split("\n").map((line) => line.length)) <= width;
  };
  const longest = [Number.POSITIVE_INFINITY, IPV4_ENDPOINT].find(fits) ?? 0;
  const shown = longest > 0 ? columns : columns.filter(({ title }) => title !== "ENDPOINT");
  const cut = (row: Row) => (longest > 0 ? row : { ...row, cells: row.cells.filter((_, index) => index !== ENDPOINT) });
  return table(shown, rows(longest).map(cut), width, paint);
}

/** Index of its column. */
const ENDPOINT = 1;

/** @param longest Columns: a longer endpoint stands below. */
function rowOf(peer: PeerStatus, now: number, hasDriver: boolean, longest: number): Row {
  const { name, endpoint = "-", driver, state, roundTripSeconds, loss, establishedAt, mtu } = peer;
  const isBelow = endpoint.length > longest;
  return {
    cells: [
      name,
      isBelow ? "" : endpoint,
      ...(hasDriver ? [driver] : []),
      state,
      roundTripSeconds === undefined ? "-" : latencyText(roundTripSeconds * 1000),
      loss === undefined ? "-" : percentText(Math.max(loss.out, loss.in)),
      establishedAt === undefined ? "-" : sinceText(establishedAt, now),
      bytesCell(peer.receivedBytes),
      bytesCell(peer.sentBytes),
      mtu === undefined ? "-" : String(mtu),
    ],
    notes: [...(isBelow && endpoint !== "-" ? [endpoint] : []), ...complaint(peer, now)],
  };
}

function complaint({ state, since, reason }: PeerStatus, now: number): string[] {
  if (state !== "down" && state !== "degraded") return [];
  return [`${state} for ${sinceText(since, now)}${reason === undefined ? "" : `: ${reason}`}`];
}

/** How long ago that was: `12m03s`. Pure. @param time ISO 8601. @param now Milliseconds since 1970. */
export function sinceText(time: string, now: number): string {
  return ageText(Math.max(0, Math.floor((now - Date.parse(time)) / 1000)));
}

function percentText(loss: number): string {
  return lossText(loss).replace(" loss", "") || "0 %";
}

/** `1.5K`, `123M`: powers of 1024, in five columns. */
function bytesCell(bytes: number | undefined): string {
  if (bytes === undefined) return "-";
  return bytesText(BigInt(bytes))
    .replace(/ (?:iB|B|([KMGTP])iB)$/, "$1")
    .replace(/^(\d{3,})\.\d/, "$1");
}
