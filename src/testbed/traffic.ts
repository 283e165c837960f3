import { fileURLToPath } from "node:url";
import { patience } from "./patience.ts";
import type { Place } from "./place.ts";
import type { Program } from "./program.ts";

/** What a {@link Sender} counted since it began. */
export interface Counts {
  /** Datagrams handed to the kernel. */
  readonly tried: number;
  /** Those that it took. */
  readonly sent: number;
  /** Those that came back, each counted once. */
  readonly answered: number;
  /** Those of more than a second ago that have not come back. */
  readonly lost: number;
  /** Those that it refused, by errno. */
  readonly refused: Readonly<Record<string, number>>;
  /** Milliseconds since the last answer, or since the start. */
  readonly silence: number;
  /** The longest time without an answer, in milliseconds. */
  readonly longestGap: number;
}

/** In every datagram of a {@link Sender}: a capture that carries it has seen plain text. */
export const PLAIN_PAYLOAD = "podvpn-probe ";

/** The port of {@link echo}. */
export const ECHO_PORT = 7007;

/** Answers UDP datagrams in a pod or node, at all its addresses of both families. */
export async function echo(place: Place): Promise<Program> {
  const program = place.spawn([process.execPath, PROBE, "echo", String(ECHO_PORT)]);
  await program.line(/^ready$/, patience(10_000));
  return program;
}

/** Sends UDP datagrams from a pod or node to an {@link echo}, and goes on through every error until it is disposed. */
export class Sender implements AsyncDisposable {
  #asked = 0;

  private constructor(private readonly program: Program) {}

  /** @param rate Datagrams a second. */
  static async start(place: Place, address: string, rate: number): Promise<Sender> {
    const program = place.spawn([process.execPath, PROBE, "send", address, String(ECHO_PORT), String(rate)]);
    await program.line(/^ready$/, patience(10_000));
    return new Sender(program);
  }

  /** The counts so far. */
  counts(): Promise<Counts> {
    return this.answers(0, 5000);
  }

  /** The counts as soon as `more` datagrams have been answered from now on. @throws Fault 5 after `timeout` ms. */
  async answers(more: number, timeout: number): Promise<Counts> {
    this.#asked += 1;
    const id = `#${this.#asked}`;
    await this.program.write(`${id} ${more}\n`);
    const line = await this.program.line(new RegExp(`^${id} `), patience(timeout));
    return JSON.parse(line.slice(id.length)) as Counts;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.program.finish();
  }
}

const PROBE = fileURLToPath(new URL("./udp-probe.ts", import.meta.url));
