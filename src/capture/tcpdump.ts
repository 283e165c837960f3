import { Code, Fault } from "../fault.ts";
import { findExecutable } from "../os/file.ts";
import { type Stream, startStream } from "../os/stream.ts";
import { type CapturedFrame, PcapReader } from "./pcap.ts";

const DIRECTORIES = ["/usr/bin", "/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/sbin", "/bin"];

/** In bytes: Ethernet with two tags, IPv6 with extension headers, UDP, the first of what it carries. */
const SNAPSHOT = 192;

/** In KiB, for each link: room for a burst of some ten thousand packets. */
const BUFFER = 16_384;

/** Milliseconds until tcpdump captures, for an answer of it, and from SIGINT to SIGKILL. */
const START = 10_000;
const ANSWER = 5000;
const GRACE = 10_000;

/** Milliseconds that it gets, at the end, for what waits in the kernel's buffer. */
const DRAIN = 5000;

/** Milliseconds between two questions: of its answers only the last 64 KiB are kept. */
const BETWEEN = 20;
/** So many, at the start, of which the least is no packet that is just coming. */
const READINGS = 3;

/** A capture that runs. */
export interface RunningCapture extends AsyncDisposable {
  /** Rejects when it ends by itself, for instance because its link has gone; never settles otherwise. */
  readonly failed: Promise<never>;
  /**
   * Ends it, when all that has gone by until this call has been looked at.
   * @returns How many packets were lost before anybody could look at them. @throws Fault 5.
   */
  stop(): Promise<number>;
}

/** Path of tcpdump. @throws Fault 101 when there is none. */
export function tcpdumpExecutable(): string {
  const path = findExecutable("tcpdump", DIRECTORIES);
  if (path !== undefined) return path;
  throw new Fault(Code.missingPart, `tcpdump is in none of ${DIRECTORIES.join(", ")}`, "install it (Debian: tcpdump)");
}

/**
 * Captures on a link, the beginnings of packets only. Returns when it does: each packet from now on is handed to
 * `onFrame`.
 * @param filter In pcap-filter(7)'s language. @throws Fault 101, 5.
 */
export async function startCapture(
  link: string,
  filter: string,
  onFrame: (frame: CapturedFrame) => void,
): Promise<RunningCapture> {
  const reader = new PcapReader();
  const args = [
    ...["-i", link, "-n", "-s", String(SNAPSHOT), "-B", String(BUFFER)],
    "--immediate-mode", // else the packets of the last second are lost when it ends
    ...["-Z", "root"], // not as another user, who may not be there in a container
    ...["-U", "-w", "-"],
    "--",
    filter,
  ];
  const stream = await startStream(tcpdumpExecutable(), args, {
    onStdout: (chunk) => {
      for (const frame of reader.read(chunk)) onFrame(frame);
    },
    env: { PATH: DIRECTORIES.join(":"), LC_ALL: "C" },
  });
  try {
    await stream.said((stderr) => (stderr.includes("listening on ") ? true : undefined), START);
    const capture = new Capture(link, stream);
    await capture.begin();
    return capture;
  } catch (error) {
    await stream[Symbol.asyncDispose]();
    throw error;
  }
}

class Capture implements RunningCapture {
  readonly failed: Promise<never>;
  #stopping = false;
  #asked = 0;
  #ignored = 0;

  constructor(
    private readonly link: string,
    private readonly stream: Stream,
  ) {
    this.failed = new Promise((_, reject) => {
      stream.ended.then(({ stderr }) => {
        if (!this.#stopping) reject(this.#fault("ended before its time", stderr));
      }, reject);
    });
    this.failed.catch(() => undefined);
  }

  /** What came before the filter was set is in its figures, but nobody has to look at it. */
  async begin(): Promise<void> {
    const readings: number[] = [];
    while (readings.length < READINGS) readings.push(unreadOf(await this.#figures()));
    this.#ignored = Math.min(...readings);
  }

  async stop(): Promise<number> {
    const unread = await this.#drain();
    this.#stopping = true;
    const { stderr } = await this.stream.stop("SIGINT", GRACE);
    // Without its last figures nobody knows whether it has seen everything.
    const last = readFigures(stderr).at(-1);
    if (last === undefined || last.isInterim) throw this.#fault("did not tell how many packets it has lost", stderr);
    return last.dropped + unread;
  }

  /** Waits until it has been through with what there is now. @returns How many packets it has not been in the end. */
  async #drain(): Promise<number> {
    const first = await this.#figures();
    let unread = unreadOf(first) - this.#ignored;
    for (const until = performance.now() + DRAIN; unread > 0 && performance.now() < until; ) {
      await new Promise((resolve) => setTimeout(resolve, BETWEEN));
      unread = unreadOf({ ...first, captured: (await this.#figures()).captured }) - this.#ignored;
    }
    return Math.max(0, unread);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping = true;
    await this.stream[Symbol.asyncDispose]();
  }

  /** At SIGUSR1 it tells how far it is. */
  async #figures(): Promise<Figures> {
    this.#asked += 1;
    const answers = this.#asked;
    this.stream.signal("SIGUSR1");
    const figures = await this.stream.said((stderr) => readFigures(stderr)[answers - 1], ANSWER);
    // Without a filter in the kernel it is handed everything: what it has been through with, it does not tell then.
    const everything = /^Warning: .*filter/m.test(this.stream.stderr);
    return everything ? { ...figures, received: figures.captured + figures.dropped } : figures;
  }

  #fault(what: string, details: string): Fault {
    return new Fault(Code.io, `tcpdump on ${this.link} ${what}`, "see its messages", { details: details.trimEnd() });
  }
}

/** What tcpdump counts, from its start. */
export interface Figures {
  /** Packets that it has been through with. */
  readonly captured: number;
  /** Packets that the kernel had for it, with those that it dropped. */
  readonly received: number;
  readonly dropped: number;
  /** Whether it goes on. */
  readonly isInterim: boolean;
}

/**
 * All figures that it has told of: at a signal in one line, at its end in one line each. What an interface dropped is not
 * among them: Linux counts there also what it has no protocol for, which tcpdump sees. Pure.
 */
export function readFigures(stderr: string): Figures[] {
  return [...stderr.matchAll(FIGURES)].map(([, captured, separator, received, dropped]) => ({
    captured: Number(captured),
    received: Number(received),
    dropped: Number(dropped),
    isInterim: separator !== "\n",
  }));
}

const FIGURES =
  /(\d+) packets? captured(, |\n)(\d+) packets? received by filter(?:, |\n)(\d+) packets? dropped by kernel/g;

/** How many the kernel has still in its buffer. */
function unreadOf({ captured, received, dropped }: Figures): number {
  return Math.max(0, received - dropped - captured);
}
