import { eventually } from "../../testbed/eventually.ts";
import type { DemoPod } from "../lab.ts";
import { PingStream, RATE } from "./stream.ts";

/** What streams lost while something was done. */
export interface Toll {
  /** Milliseconds that it took. */
  readonly time: number;
  readonly sent: number;
  readonly lost: number;
}

/** Streams of pings between all pods, in both directions: one way by IPv4, the other by IPv6. */
export class PingStreams implements AsyncDisposable {
  readonly #streams: PingStream[] = [];
  readonly #pods: DemoPod[] = [];

  /** Pings from this pod to all that are in it already, and from them to it, and waits until all are answered. */
  async add(pod: DemoPod): Promise<void> {
    for (const other of this.#pods) {
      this.#streams.push(
        new PingStream(other, pod, addressOf(pod, 0)),
        new PingStream(pod, other, addressOf(other, 1)),
      );
    }
    this.#pods.push(pod);
    await this.#flow(this.#streams);
  }

  /** How many streams there are. */
  get count(): number {
    return this.#streams.length;
  }

  /**
   * What is lost while something is done, by the streams that are there now, when all that was on the way has come back.
   * @param without A pod whose streams do not count. @throws NotInTime when a stream has stopped.
   */
  async during(act: () => Promise<void>, without?: DemoPod): Promise<Toll> {
    const streams = this.#streams.filter(({ from, to }) => from !== without && to !== without);
    const before = tollOf(streams);
    const start = performance.now();
    await act();
    const time = performance.now() - start;
    await this.#flow(streams);
    const after = tollOf(streams);
    // What was late before, and came, would be less than none.
    return { time, sent: after.sent - before.sent, lost: Math.max(0, after.lost - before.lost) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#streams.map((stream) => stream[Symbol.asyncDispose]()));
  }

  /** Waits until each stream was answered for half a second more: what is not answered by then is lost. */
  async #flow(streams: readonly PingStream[]): Promise<void> {
    const wanted = streams.map((stream) => ({ stream, answered: stream.answered + RATE / 2 }));
    for (const { stream, answered } of wanted) {
      const name = `${stream.from.pod.name} to ${stream.to.pod.name}`;
      await eventually(`pings from ${name} answered`, PATIENCE, () => stream.answered >= answered);
    }
  }
}

/** Milliseconds. */
const PATIENCE = 15_000;

function tollOf(streams: readonly PingStream[]): Omit<Toll, "time"> {
  const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);
  return { sent: sum(streams.map(({ sent }) => sent)), lost: sum(streams.map(({ lost }) => lost)) };
}

/** @param index Of the pod's addresses: 0 is IPv4, 1 is IPv6. */
function addressOf({ addresses, pod }: DemoPod, index: 0 | 1): string {
  const address = addresses[index];
  if (address === undefined) throw new RangeError(`${pod.name} has no second address`);
  return address;
}
