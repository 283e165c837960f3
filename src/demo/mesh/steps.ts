import { wrapped } from "../../status/text.ts";
import { NotInTime } from "../../testbed/eventually.ts";
import type { Say } from "../story.ts";

/** What came of a step. */
export interface Seen {
  /** A line. */
  readonly seen: string;
  /** Whether it is what was expected. */
  readonly isRight: boolean;
}

/** The steps of a story: what is done, what is expected of it, and what was seen. */
export class Steps {
  /** What was not as expected. */
  readonly wrong: string[] = [];
  #count = 0;

  constructor(private readonly say: Say) {}

  /**
   * Does a step, and tells it. What is done and expected is told before.
   * @throws NotInTime when it did not come to an end: then it is told, and there is nothing to go on with.
   */
  async take(done: string, expected: string, act: () => Promise<Seen>): Promise<void> {
    this.#count += 1;
    this.say(`\n${wrapped(`${this.#count}. ${done}`, 3)}`);
    this.#tell("expected", expected);
    try {
      const { seen, isRight } = await act();
      this.#tell("seen", seen);
      if (!isRight) this.#complain(expected, seen);
    } catch (error) {
      if (error instanceof NotInTime) {
        this.#tell("seen", error.message);
        this.#complain(expected, error.message);
      }
      throw error;
    }
  }

  #tell(what: string, text: string): void {
    this.say(wrapped(`   ${what.padEnd(INDENT - 3)}${text}`, INDENT));
  }

  #complain(expected: string, seen: string): void {
    this.wrong.push(`step ${this.#count}: expected: ${expected}; seen: ${seen}`);
  }
}

/** Columns before what was expected and seen. */
const INDENT = 13;
