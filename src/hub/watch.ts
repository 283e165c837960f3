import { ViciError, type Vici } from "vici";
import type { Journal } from "./journal.ts";
import { changes, type Lease, listLeases } from "./leases.ts";
import { Refusals } from "./refusals.ts";

/** Milliseconds that pods which come together are waited for, before charon is asked once for all of them. */
const GATHER = 200;

/**
 * Tells of pods that come and go, and of those that are refused, until `stop`, or until the connection ends.
 * An event is a hint only: what is told is what charon then lists.
 * @param events A connection of its own, since a subscriber must keep reading. @param ready Called when nothing is missed.
 * @throws ViciError when the connection ends: charon is gone, or does not answer.
 */
export async function watch(
  vici: Vici,
  events: Vici,
  log: Journal,
  stop: AbortSignal,
  ready: (leases: readonly Lease[]) => Promise<void>,
): Promise<void> {
  await using subscription = await events.subscribe(["ike-updown", "child-updown", "log"], { signal: stop });
  let known = await listLeases(vici);
  const refusals = new Refusals();
  const failed = Promise.withResolvers<never>();
  using relist = new Gathered(GATHER, async () => {
    const now = await listLeases(vici);
    for (const line of changeLines(known, now)) log("info", line);
    known = now;
  }, failed.reject);
  await ready(known);
  const reading = async () => {
    for await (const { name, message } of subscription) {
      if (name !== "log") {
        relist.ask();
        continue;
      }
      const line = { msg: message.text("msg") ?? "", ikesaUniqueid: Number(message.text("ikesa-uniqueid") ?? 0) };
      const refused = refusals.read(line);
      if (refused !== undefined) log("error", refused);
      log("debug", `charon [${message.text("group")}] ${line.msg}`);
    }
    if (!stop.aborted) throw new ViciError("CLOSED", "charon ended the connection");
  };
  await Promise.race([reading(), failed.promise]);
}

/** Pure. */
export function changeLines(before: readonly Lease[], after: readonly Lease[]): string[] {
  const { came, went } = changes(before, after);
  return [
    ...went.map(({ identity, virtualIPs }) => `offline: ${identity}, ${virtualIPs.join(" and ")} free again`),
    ...came.map(({ identity, virtualIPs, remoteHost }) => `online: ${identity} as ${virtualIPs.join(" and ")} from ${remoteHost}`),
  ];
}

/** Runs an action once for all that ask within some time, and never twice at once. */
class Gathered implements Disposable {
  #timer: NodeJS.Timeout | undefined;
  #running = false;
  #again = false;

  constructor(
    private readonly delay: number,
    private readonly action: () => Promise<void>,
    private readonly failed: (error: unknown) => void,
  ) {}

  ask(): void {
    if (this.#running) this.#again = true;
    else this.#timer ??= setTimeout(() => void this.#run(), this.delay);
  }

  async #run(): Promise<void> {
    this.#timer = undefined;
    this.#running = true;
    try {
      await this.action();
    } catch (error) {
      this.failed(error);
    }
    this.#running = false;
    if (!this.#again) return;
    this.#again = false;
    this.ask();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}
