import { type IkeSa, type Message, readIkeSas, type Vici, ViciError } from "vici";
import { Endings } from "./endings.ts";
import { Gathered } from "./gathered.ts";
import type { Journal } from "./journal.ts";
import type { Keeper } from "./keeper.ts";
import { changes, type Lease, leasesOf, listSas, waits } from "./leases.ts";
import { Refusals } from "./refusals.ts";

/** Milliseconds between two looks at charon's SAs: pods that come together are seen together. */
const PAUSE = 100;

/** Looks on as pods come and go, tells of it, and has the leases kept. */
export class Watch {
  #known: readonly Lease[] = [];
  readonly #refusals = new Refusals();
  readonly #endings = new Endings();
  /** Identities that ended their tunnels themselves, in lower case, until charon has been asked after that. */
  #goodbyes = new Set<string>();
  #refresh: Gathered | undefined;

  constructor(
    /** For questions. */
    private readonly vici: Vici,
    private readonly keeper: Keeper,
    private readonly log: Journal,
  ) {}

  /** Has charon looked at again: something may have changed without its telling. */
  ask(): void {
    this.#refresh?.ask();
  }

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
    using refresh = new Gathered(PAUSE, () => this.#look(), failed.reject);
    this.#refresh = refresh;
    refresh.ask();
    const reading = async () => {
      for await (const { name, message } of subscription) {
        if (name === "log") this.#read(message);
        else this.#updown(name, message);
      }
    };
    await Promise.race([reading(), failed.promise]);
    if (!stop.aborted) throw new ViciError("CLOSED", "charon ended the connection");
  }

  async #look(): Promise<void> {
    const goodbyes = this.#goodbyes;
    this.#goodbyes = new Set();
    this.keeper.beforeLook();
    const sas = await listSas(this.vici);
    const now = leasesOf(sas);
    for (const line of changeLines(this.#known, now)) this.log("info", line);
    this.#known = now;
    await this.keeper.look(sas, goodbyes);
  }

  #updown(name: string, message: Message): void {
    if (name === "ike-updown" && message.text("up") !== "yes") {
      for (const sa of readIkeSas(message)) this.#goodbye(this.#endings.down(sa));
    }
    this.ask();
  }

  /** A pod that waited for its virtual IP has none to give back. */
  #goodbye(sa: IkeSa | undefined): void {
    if (sa === undefined || waits(sa)) return;
    this.#goodbyes.add(sa.remoteId.toLowerCase());
    this.ask();
  }

  #read(message: Message): void {
    const [group, msg] = [message.text("group") ?? "", message.text("msg") ?? ""];
    const uniqueid = Number(message.text("ikesa-uniqueid") ?? 0);
    if (msg.startsWith("received DELETE for IKE_SA ")) this.#goodbye(this.#endings.deleted(uniqueid));
    this.keeper.heard(uniqueid, msg);
    const refused = this.#refusals.read({ msg, ...(uniqueid === 0 ? {} : { ikesaUniqueid: uniqueid }) });
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
