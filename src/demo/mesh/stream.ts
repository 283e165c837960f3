import type { Program } from "../../testbed/program.ts";
import type { DemoPod } from "../lab.ts";
import { PATTERN } from "../ping.ts";

/** Echo requests a second of each stream. */
export const RATE = 25;

/** What of a stream of echo requests was answered, by what ping(8) writes. */
export class Answers {
  /** Sequence numbers that were answered. */
  readonly #answered = new Set<number>();
  #last = 0;
  #rest = "";

  /** How many were answered, each counted once. */
  get answered(): number {
    return this.#answered.size;
  }

  /** How many were sent, up to the last that was answered. */
  get sent(): number {
    return this.#last;
  }

  /** How many of those that were sent are not answered: when they are not late, they are lost. */
  get lost(): number {
    return this.sent - this.answered;
  }

  /** @param text Whatever came of its output, also parts of lines. An answer has its `ttl=`, an error has not. */
  take(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      const sequence = Number(/ icmp_seq=(\d+) ttl=/.exec(line)?.[1] ?? 0);
      if (sequence === 0) continue;
      this.#answered.add(sequence);
      this.#last = Math.max(this.#last, sequence);
    }
  }
}

/** Echo requests from one pod to another without a pause, by ping(8). */
export class PingStream extends Answers implements AsyncDisposable {
  readonly #program: Program;

  /** @param address Of the pod `to`, of either family. */
  constructor(
    readonly from: DemoPod,
    readonly to: DemoPod,
    address: string,
  ) {
    super();
    const argv = ["ping", "-n", "-i", String(1 / RATE), "-p", PATTERN, address] as const;
    this.#program = from.pod.spawn(argv, { onStdout: (chunk) => this.take(chunk.toString()) });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program.stop();
  }
}
