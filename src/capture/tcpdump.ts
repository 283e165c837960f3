import { Code, Fault } from "../fault.ts";
import { findExecutable } from "../os/file.ts";
import { type Stream, startStream } from "../os/stream.ts";
import { type CapturedFrame, PcapReader } from "./pcap.ts";

const DIRECTORIES = ["/usr/bin", "/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/sbin", "/bin"];

/** In bytes: Ethernet with two tags, IPv6 with extension headers, UDP, the first of what it carries. */
const SNAPSHOT = 192;

/** In KiB, for each link: room for a burst of some ten thousand packets. */
const BUFFER = 16_384;

/** Milliseconds until tcpdump captures, and from SIGINT to SIGKILL. */
const START = 10_000;
const GRACE = 10_000;

/** A capture that runs. */
export interface RunningCapture extends AsyncDisposable {
  /** Rejects when it ends by itself, for instance because its link has gone; never settles otherwise. */
  readonly failed: Promise<never>;
  /** Ends it. @returns How many packets were lost before anybody looked at them. @throws Fault 5. */
  stop(): Promise<number>;
}

/** Path of tcpdump. @throws Fault 101 when there is none. */
export function tcpdumpExecutable(): string {
  const path = findExecutable("tcpdump", DIRECTORIES);
  if (path !== undefined) return path;
  throw new Fault(
    Code.missingPart,
    `tcpdump is in none of ${DIRECTORIES.join(", ")}`,
    "install it (Debian: tcpdump)",
  );
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
    await stream.says(/listening on/, START);
    return new Capture(link, stream);
  } catch (error) {
    await stream[Symbol.asyncDispose]();
    throw error;
  }
}

class Capture implements RunningCapture {
  readonly failed: Promise<never>;
  #stopping = false;

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

  async stop(): Promise<number> {
    this.#stopping = true;
    const { stderr } = await this.stream.stop("SIGINT", GRACE);
    const dropped = droppedPackets(stderr);
    // Without its figures nobody knows whether it has seen everything.
    if (dropped === undefined) throw this.#fault("did not tell how many packets it has lost", stderr);
    return dropped;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping = true;
    await this.stream[Symbol.asyncDispose]();
  }

  #fault(what: string, details: string): Fault {
    return new Fault(Code.io, `tcpdump on ${this.link} ${what}`, "see its messages", { details: details.trimEnd() });
  }
}

/** Of the figures that tcpdump ends with, those of packets that were lost; undefined when there are none. Pure. */
export function droppedPackets(stderr: string): number | undefined {
  const figures = [...stderr.matchAll(/^(\d+) packets? dropped by (?:kernel|interface)$/gm)];
  return figures.length === 0 ? undefined : figures.reduce((sum, [, digits]) => sum + Number(digits), 0);
}
