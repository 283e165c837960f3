import { type Address, family } from "../../net/address.ts";
import type { Netns } from "../../os/namespace.ts";
import { run } from "../../os/process.ts";

/** Pings to send. */
export interface PingRequest {
  readonly target: Address;
  readonly source?: Address;
  readonly count: number;
  /** Of the IP packet, in bytes. */
  readonly size: number;
  /** Not to be cut into fragments, here or on the way. */
  readonly whole?: boolean;
  readonly netns?: Netns;
}

/** What came of them. */
export interface PingResult {
  readonly sent: number;
  readonly received: number;
  /** In bytes: what this node says is the most that fits, for one that it does not send. */
  readonly localMtu?: number;
}

/** Bytes of the headers of IP and ICMP. */
const HEADERS = { 4: 28, 6: 48 } as const;

/** Milliseconds. */
const BOUND = 20_000;

/** Sends them a fifth of a second apart, and waits a second for each answer. @throws Fault 101 without ping(8). */
export async function ping({ target, source, count, size, whole, netns }: PingRequest): Promise<PingResult> {
  const payload = Math.max(0, size - HEADERS[family(target)]);
  const args = [
    ...["-n", "-q", "-c", String(count), "-i", "0.2", "-W", "1", "-s", String(payload)],
    ...(whole === true ? ["-M", "do"] : []),
    ...(source === undefined ? [] : ["-I", source]),
    target,
  ];
  const options = { timeout: BOUND, env: { LC_ALL: "C", PATH: "/usr/bin:/bin:/usr/sbin:/sbin" } };
  const { stdout, stderr } = await run("ping", args, netns === undefined ? options : { ...options, netns });
  return parsePing(`${stdout}${stderr}`, count);
}

/** What ping(8) of iputils or busybox wrote. Pure. */
export function parsePing(text: string, count: number): PingResult {
  const [, received = "0"] = /(\d+) (?:packets )?received/.exec(text) ?? [];
  const [, mtu] = /(?:mtu[ =]|mtu: )(\d+)/i.exec(text) ?? [];
  return { sent: count, received: Number(received), ...(mtu !== undefined && { localMtu: Number(mtu) }) };
}
