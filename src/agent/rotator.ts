import { Code, Fault } from "../fault.ts";
import type { NodeRecord } from "../registry/node-record.ts";
import type { KeyChange } from "./driver.ts";
import { textOf } from "./driver-keeper.ts";
import type { AgentJournal } from "./journal.ts";
import type { RotationStatus } from "./status.ts";
import { nextStep } from "./wireguard/rotation.ts";

/** This node's keys, as far as changing them goes. Implementation: `OwnIdentity`. */
export interface ChangeableKeys {
  /** Whether there is any key of this node's own at all. */
  readonly canChange: boolean;
  /** Whether there are next keys on disk. */
  readonly hasNext: boolean;
  /** Whether no tunnel is to go by them yet. */
  readonly isHeldBack: boolean;
  /** When the oldest key was made, in milliseconds since 1970. */
  madeAt(): number;
  /** Makes the next keys. @throws Fault 5. */
  makeNext(): Promise<void>;
  /** From now on tunnels may go by the next keys. */
  use(): void;
  /** From now on the next keys are the keys. @throws Fault 5. */
  promote(): void;
  /** There are no next keys any more. @throws Fault 5. */
  withdraw(): void;
}

/** Milliseconds until a change that was given up, and is due by the clock, begins anew. */
const AFTER_WITHDRAWAL = 3_600_000;

const FINISHING = "the registry to have the new key";

/** Changes this node's keys, one step after the other, whenever somebody asks or they are old enough. */
export class Rotator {
  readonly #keys: ChangeableKeys;
  readonly #every: number;
  readonly #log: AgentJournal;
  #isAsked = false;
  #since: number;
  #sinceTime = new Date();
  #notBefore = 0;
  #waitsFor: string | undefined;
  /** The next keys have become the keys, and the registry does not say so yet. */
  #isFinishing = false;

  /** @param every Milliseconds after which keys are old enough; 0 is never. */
  constructor(keys: ChangeableKeys, every: number, log: AgentJournal) {
    this.#keys = keys;
    this.#every = every;
    this.#log = log;
    this.#since = performance.now();
  }

  /** Undefined when no change is under way. */
  get status(): RotationStatus | undefined {
    const isUnderWay = this.#isAsked || this.#keys.hasNext || this.#isFinishing;
    if (!isUnderWay) return undefined;
    return { startedAt: this.#sinceTime.toISOString(), waitsFor: this.#waitsFor ?? "its turn" };
  }

  /** @returns What happens now, in words. @throws Fault when this node has no keys of its own. */
  ask(): string {
    if (!this.#keys.canChange) {
      throw new Fault(
        Code.unsupportedField,
        "this node has no keys that podvpn made: it proves who it is by a PSK or a certificate",
        "change the PSK or the certificate, and then send the agent SIGHUP",
      );
    }
    const { status } = this;
    if (status !== undefined) return `a change of keys is under way already; it waits for ${status.waitsFor}`;
    this.#begin();
    return "the keys of this node are being changed";
  }

  /**
   * The next step. Never throws.
   * @param changes Of the drivers that are used, as of their last apply.
   * @returns Whether this node's record is another one now, and is to be published and applied.
   */
  async step(
    nodes: readonly NodeRecord[],
    name: string,
    changes: readonly (KeyChange | undefined)[],
  ): Promise<boolean> {
    const own = nodes.find((node) => node.name === name);
    if (own !== undefined && !isChanging(own)) this.#isFinishing = false;
    if (!this.#isAsked && !this.#keys.hasNext && this.#isDue()) this.#begin();
    const { hasNext, isHeldBack } = this.#keys;
    const waited = performance.now() - this.#since;
    const step = nextStep({ name, asked: this.#isAsked, hasNext, isHeldBack, waited, nodes, changes });
    this.#waitsFor = step.do === "wait" ? step.for : this.#isFinishing ? FINISHING : undefined;
    try {
      switch (step.do) {
        case "begin":
          await this.#keys.makeNext();
          this.#since = performance.now();
          this.#log("info", "next keys made: peers are to accept them beside those that count");
          return true;
        case "use":
          this.#keys.use();
          return true;
        case "promote":
          this.#keys.promote();
          this.#isAsked = false;
          this.#isFinishing = true;
          this.#waitsFor = FINISHING;
          this.#log("info", "next keys count now", { took: `${Math.round(waited / 1000)}s` });
          return true;
        case "withdraw":
          this.#keys.withdraw();
          this.#giveUp(
            step.why,
            nodes.some((node) => node.name !== name && isChanging(node)),
          );
          return true;
        default:
          return false;
      }
    } catch (error) {
      this.#log("error", "keys cannot be changed", { step: step.do, error: textOf(error) });
      this.#waitsFor = textOf(error);
      return false;
    }
  }

  #begin(): void {
    this.#isAsked = true;
    this.#since = performance.now();
    this.#sinceTime = new Date();
  }

  #isDue(): boolean {
    if (this.#every === 0 || !this.#keys.canChange || performance.now() < this.#notBefore) return false;
    return Date.now() - this.#keys.madeAt() >= this.#every;
  }

  /** @param inFavour Of another node, which changes its own: afterwards it is this one's turn. */
  #giveUp(why: string, inFavour: boolean): void {
    this.#log(inFavour ? "info" : "error", "next keys withdrawn", { why });
    this.#isAsked &&= inFavour;
    if (!inFavour) this.#notBefore = performance.now() + AFTER_WITHDRAWAL;
  }
}

function isChanging({ wireguard, ipsec }: NodeRecord): boolean {
  return wireguard?.nextPublicKey !== undefined || ipsec?.nextPublicKey !== undefined;
}
