import { type Vici, ViciError } from "vici";
import { Gathered } from "./gathered.ts";
import type { Journal } from "./journal.ts";
import { changes, type Lease, listLeases } from "./leases.ts";
import { Refusals } from "./refusals.ts";

/** Milliseconds that pods which come together are waited for, before charon is asked once for all of them. */
const GATHER = 200;

/** Tells of pods that come and go, and of those that are refused. */
export class Watch {
  #known: readonly Lease[] = [];
  readonly #refusals = new Refusals();

  constructor(
    /** For questions. */
    private readonly vici: Vici,
    private readonly log: Journal,
  ) {}

  /**
   * Tells until `stop`. An event is a hint only: what is told is what charon then lists.
   * @param events A connection of its own, since a subscriber must keep reading.
   * @param listening Called when nothing is missed any more.
   * @throws ViciError when a connection ends: charon is gone, or does not answer.
   */
  async run(events: Vici, stop: AbortSignal, listening: () => Promise<void>): Promise<void> {
    await using subscription = await events.subscribe(["ike-updown", "child-updown", "log"], { signal: stop });
    await listening();
    const failed = Promise.withResolvers<never>();
    using refresh = new Gathered(GATHER, () => this.#refresh(), failed.reject);
    refresh.ask();
    const reading = async () => {
      for await (const { name, message } of subscription) {
        if (name !== "log") refresh.ask();
        else this.#read(message.text("group") ?? "", message.text("msg") ?? "", message.text("ikesa-uniqueid"));
      }
    };
    await Promise.race([reading(), failed.promise]);
    if (!stop.aborted) throw new ViciError("CLOSED", "charon ended the connection");
  }

  async #refresh(): Promise<void> {
    const now = await listLeases(this.vici);
    for (const line of changeLines(this.#known, now)) this.log("info", line);
    this.#known = now;
  }

  #read(group: string, msg: string, uniqueid: string | undefined): void {
    const refused = this.#refusals.read({
      msg,
      ...(uniqueid === undefined ? {} : { ikesaUniqueid: Number(uniqueid) }),
    });
    if (refused !== undefined) this.log("error", refused);
    this.log("debug", `charon [${group}] ${msg}`);
  }
}

/** One line for each pod that came or went. Pure. */
export function changeLines(before: readonly Lease[], after: readonly Lease[]): string[] {
  const { came, went } = changes(before, after);
  return [
    ...went.map(({ identity, virtualIPs }) => `offline: ${identity}, was ${virtualIPs.join(" and ")}`),
    ...came.map(
      ({ identity, virtualIPs, remoteHost }) => `online: ${identity}, ${virtualIPs.join(" and ")} at ${remoteHost}`,
    ),
  ];
}
