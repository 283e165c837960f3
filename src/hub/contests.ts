import type { IkeSa, Vici } from "vici";
import type { Journal } from "./journal.ts";
import { MANY } from "./leases.ts";
import { unlessRefused } from "./load.ts";
import type { Contest } from "./observe.ts";

/**
 * Milliseconds that the tunnel with the virtual IP gets to answer: the hub asks three times (at 0, 0.5 and 1.4 s), so
 * that one that lives is taken for dead once in twenty times where 20 % of the packets are lost in each direction.
 */
export const PATIENCE = 1500;

/** Milliseconds for which what was found out about an end of tunnels holds. */
const REMEMBERED = 60_000;

/**
 * Decides between two tunnels that prove one identity: a pod that came back without its tunnel of before having ended,
 * or two pods that were given one identity by mistake. Of the two, charon tells nothing apart, and the younger may be
 * either. So the elder is asked for a sign of life (by renewing the keys of its CHILD_SA, which is the one question
 * that VICI can put): if it answers, the younger waits for as long as the elder lives; if not, the elder is dropped.
 */
export class Contests implements Disposable {
  /** By the IKE_SA that was asked. */
  readonly #asked = new Map<number, Question>();
  /** IKE_SAs that wait and of which it is known, or is being found out, why. */
  #known: ReadonlySet<number> = new Set();
  /** Ends of tunnels (address and port) behind which nobody answered, and when: one charon may have had many. */
  readonly #dead = new Map<string, number>();

  constructor(
    private readonly vici: Vici,
    private readonly log: Journal,
    /** Called when somebody has been dropped. */
    private readonly decided: () => void,
  ) {}

  /** To be called with all that there are, whenever charon was looked at. @throws ViciError. */
  async consider(contests: readonly Contest[]): Promise<void> {
    const known = this.#known;
    this.#known = new Set(contests.flatMap(({ waiting }) => waiting.map(({ uniqueid }) => uniqueid)));
    for (const contest of contests) {
      const { holder, waiting } = contest;
      if (this.#asked.has(holder.uniqueid) || waiting.every(({ uniqueid }) => known.has(uniqueid))) continue;
      if (this.#isDead(holder)) await this.#drop(contest);
      else await this.#ask(contest);
    }
  }

  /** To be called with each line of charon's log: an IKE message that could be read proves that its sender lives. */
  heard(uniqueid: number, msg: string): void {
    const question = msg.startsWith("parsed ") ? this.#asked.get(uniqueid) : undefined;
    if (question === undefined) return;
    clearTimeout(question.timer);
    this.#asked.delete(uniqueid);
    for (const sa of question.waiting) this.log("error", duplicate(sa, question.holder));
  }

  [Symbol.dispose](): void {
    for (const { timer } of this.#asked.values()) clearTimeout(timer);
    this.#asked.clear();
  }

  async #ask(contest: Contest): Promise<void> {
    const { uniqueid, childSas } = contest.holder;
    const timer = setTimeout(() => {
      this.#asked.delete(uniqueid);
      this.#dead.set(endOf(contest.holder), performance.now());
      this.#drop(contest).catch((error) => this.log("error", `cannot end a tunnel: ${String(error)}`));
    }, PATIENCE);
    this.#asked.set(uniqueid, { ...contest, timer });
    const child = childSas.find(({ state }) => state === "INSTALLED");
    const which = child === undefined ? { ikeId: uniqueid } : { childId: child.uniqueid };
    await unlessRefused(this.vici.rekey(which, { timeout: MANY }));
  }

  /** A tunnel that is younger than what was found out about its other end may be of somebody else's. */
  #isDead(holder: IkeSa): boolean {
    const when = this.#dead.get(endOf(holder));
    const age = when === undefined ? Number.POSITIVE_INFINITY : performance.now() - when;
    if (age > REMEMBERED) this.#dead.delete(endOf(holder));
    return age < Math.min(REMEMBERED, (holder.established ?? 0) * 1000);
  }

  async #drop({ holder, waiting }: Contest): Promise<void> {
    const [first] = waiting;
    this.log("info", `${holder.remoteId} is at ${first?.remoteHost} now: ${endOf(holder)} does not answer`);
    await dismiss(this.vici, [holder, ...waiting]);
    this.decided();
  }
}

interface Question extends Contest {
  readonly timer: NodeJS.Timeout;
}

/**
 * Ends tunnels without waiting for an answer. A pod that hears of it comes again at once; charon says that it failed
 * to end them properly, which is meant. @throws ViciError when charon does not answer.
 */
export async function dismiss(vici: Vici, sas: readonly IkeSa[]): Promise<void> {
  for (const { uniqueid } of sas) {
    await vici.request("terminate", { "ike-id": String(uniqueid), force: "yes", timeout: "1" }, { timeout: MANY });
  }
}

function endOf({ remoteHost, remotePort }: IkeSa): string {
  return `${remoteHost}[${remotePort}]`;
}

function duplicate(sa: IkeSa, holder: IkeSa): string {
  const [has, from] = [holder.remoteVips.join(" and "), holder.remoteHost];
  return `refused "${sa.remoteId}" at ${sa.remoteHost}: a pod with the same identity is online at ${from} and has ${has}; give each an identity of its own`;
}
