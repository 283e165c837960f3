import { randomBytes } from "node:crypto";
import { Code, Fault } from "../fault.ts";
import { run } from "../os/process.ts";
import { patience } from "./patience.ts";
import { ENVIRONMENT, type Place } from "./place.ts";
import type { Program } from "./program.ts";

export interface CaptureOptions {
  /** In tcpdump's language (pcap-filter(7)); everything without it. */
  readonly filter?: string;
}

/** What the marker packets of {@link Capture.sync} are: the discard port on the all-nodes group, which nobody reads. */
const MARKER = "ip6 dst host ff02::1 and udp dst port 9";
const GLOBAL_HEADER = 24;
const RECORD_HEADER = 16;

/** How far back {@link Capture.lastPackets} looks. */
const LATEST = 1000;

/**
 * tcpdump on one interface, kept in memory. What it answers is complete: before each answer a marker packet is sent
 * through the interface and waited for, so that every packet before the question is counted.
 */
export class Capture implements AsyncDisposable {
  /** Grows by doubling: tcpdump flushes after each packet. */
  #store: Buffer = Buffer.alloc(1 << 16);
  #length = 0;
  readonly #waiters = new Set<() => void>();
  #program: Program | undefined;

  private constructor(
    private readonly place: Place,
    private readonly device: string,
  ) {}

  /** Returns when tcpdump captures. @throws Fault 5 when it does not start. */
  static async start(place: Place, device: string, options: CaptureOptions = {}): Promise<Capture> {
    const capture = new Capture(place, device);
    const filter = options.filter === undefined ? [] : [`(${options.filter}) or (${MARKER})`];
    // -B in KiB: a burst must not overrun the ring, whose slots are as large as -s allows: room for 64 KiB each would be
    // 256 slots, and an underlay has packets of 1500. -Z: not as another user, who may read nothing.
    const argv = [
      "tcpdump",
      "-i",
      device,
      "-n",
      "-U",
      "-w",
      "-",
      "--immediate-mode",
      "-B",
      "16384",
      "-s",
      "2048",
      "-Z",
      "root",
    ] as const;
    capture.#program = place.spawn([...argv, ...filter], { onStdout: (chunk) => capture.#take(chunk) });
    try {
      await capture.#program.line(/listening on/, patience(10_000));
      return capture;
    } catch (error) {
      await capture.#program.stop();
      throw error;
    }
  }

  /** Waits until all that has passed the interface so far is in the capture. @throws Fault 5 after 5 s. */
  async sync(): Promise<void> {
    if (this.#program === undefined) return;
    const token = randomBytes(12).toString("hex");
    const seen = this.#seen(Buffer.from(token));
    await this.place.exec(["bash", "-c", `echo -n ${token} >/dev/udp/ff02::1%${this.device}/9`]);
    await seen;
  }

  /** How many packets match a filter of tcpdump's language; all without one. */
  async count(filter?: string): Promise<number> {
    const output = await this.#read(["--count"], filter);
    return Number.parseInt(output, 10);
  }

  /** The packets that match, one line each as tcpdump prints them without the time, at most `limit`. */
  async packets(filter?: string, limit = 100): Promise<string[]> {
    const output = await this.#read(["-t", "-c", String(limit)], filter);
    return output.split("\n").filter((line) => line !== "");
  }

  /** Of the latest {@link LATEST} packets the last `limit` that match, as {@link packets}: however many there were before. */
  async lastPackets(filter: string, limit: number): Promise<string[]> {
    const output = await this.#read(["-t"], filter, LATEST);
    return output
      .split("\n")
      .filter((line) => line !== "")
      .slice(-limit);
  }

  /** Whether any packet carries these bytes, in the clear: says more than a filter by address can. */
  async carries(payload: string | Buffer): Promise<boolean> {
    await this.sync();
    return this.#bytes.includes(payload);
  }

  /** All packets so far as a pcap file, to be looked at with Wireshark. */
  async pcap(): Promise<Buffer> {
    await this.sync();
    return this.#bytes.subarray(0, wholeRecords(this.#bytes));
  }

  /** Ends the capture; what it has can still be read. @throws Fault 5 when the kernel dropped packets. */
  async stop(): Promise<void> {
    const program = this.#program;
    if (program === undefined) return;
    await this.sync();
    this.#program = undefined;
    await program.stop("SIGINT");
    const dropped = program.lines.find((line) => /^[1-9]\d* packets dropped by kernel/.test(line));
    if (dropped !== undefined) throw new Fault(Code.io, `capture on ${this.device}: ${dropped}`, "send less");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program?.stop("SIGINT");
    this.#program = undefined;
  }

  get #bytes(): Buffer {
    return this.#store.subarray(0, this.#length);
  }

  #take(chunk: Buffer): void {
    const length = this.#length + chunk.length;
    if (length > this.#store.length) this.#store = Buffer.concat([this.#bytes], 2 * length);
    chunk.copy(this.#store, this.#length);
    this.#length = length;
    for (const look of this.#waiters) look();
  }

  #seen(token: Buffer): Promise<void> {
    let from = this.#length;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiters.delete(look);
        reject(
          new Fault(
            Code.io,
            `no packet of ours passed ${this.device} within ${patience(5)} s`,
            "see that it is up and has IPv6",
          ),
        );
      }, patience(5000));
      const look = () => {
        if (!this.#bytes.includes(token, from)) {
          from = Math.max(0, this.#length - token.length);
          return;
        }
        clearTimeout(timer);
        this.#waiters.delete(look);
        resolve();
      };
      this.#waiters.add(look);
    });
  }

  /** @param latest How many packets are read, from the end; all without it. */
  async #read(options: readonly string[], filter: string | undefined, latest?: number): Promise<string> {
    const whole = await this.pcap();
    const input = latest === undefined ? whole : latestRecords(whole, latest);
    const wanted = filter === undefined ? `not (${MARKER})` : `(${filter}) and not (${MARKER})`;
    const result = await run("tcpdump", ["-r", "-", "-n", ...options, wanted], {
      input,
      env: ENVIRONMENT,
      timeout: patience(30_000),
    });
    if (result.code === 0) return result.stdout.toString();
    throw new Fault(Code.io, `tcpdump cannot read the capture (${wanted})`, "see its messages", {
      details: result.stderr.toString(),
    });
  }
}

/** Length of the whole packets in a pcap file that is still being written. Pure. */
export function wholeRecords(pcap: Buffer): number {
  return Math.min(recordEnds(pcap).at(-1) ?? GLOBAL_HEADER, pcap.length);
}

/** A pcap file with the last `count` whole packets of another one. Pure. */
export function latestRecords(pcap: Buffer, count: number): Buffer {
  const ends = recordEnds(pcap);
  const from = ends.at(-count - 1) ?? GLOBAL_HEADER;
  return Buffer.concat([pcap.subarray(0, GLOBAL_HEADER), pcap.subarray(from, ends.at(-1) ?? GLOBAL_HEADER)]);
}

/** Where each whole packet ends. */
function recordEnds(pcap: Buffer): number[] {
  const ends: number[] = [];
  for (let at = GLOBAL_HEADER; at + RECORD_HEADER <= pcap.length; ) {
    at += RECORD_HEADER + pcap.readUInt32LE(at + 8);
    if (at > pcap.length) break;
    ends.push(at);
  }
  return ends;
}
