import type { Profile } from "./profile.ts";
import type { Requirement } from "./requirement.ts";
import { Subject } from "./subject.ts";
import { Violation } from "./violation.ts";

/** What came of one requirement: undefined when it is fulfilled. Never rejects. */
type Answer = Promise<{ readonly violation?: Violation; readonly broken?: unknown }>;

/**
 * Asks a plugin for one requirement after the other, in the background: several plugins are tested side by side, each on
 * a node of its own.
 */
export class Run {
  readonly #answers = new Map<string, Answer>();
  readonly #end: Promise<unknown>;

  constructor(profile: Profile, requirements: readonly Requirement[]) {
    const created = Subject.create(profile);
    let previous: Promise<unknown> = created;
    for (const requirement of requirements) {
      const answer = previous.then(() => created).then((subject) => answerOf(requirement, subject));
      const settled: Answer = answer.catch((broken: unknown) => ({ broken }));
      this.#answers.set(requirement.id, settled);
      previous = settled;
    }
    this.#end = previous.then(async () => (await created)[Symbol.asyncDispose]());
    this.#end.catch(() => undefined); // told by `end`
  }

  /** How the plugin violates a requirement; undefined when it does not. @throws what is not the plugin's fault. */
  async violationOf({ id }: Requirement): Promise<Violation | undefined> {
    const answer = await this.#answers.get(id);
    if (answer === undefined) throw new Error(`${id} was not asked`);
    if ("broken" in answer) throw answer.broken;
    return answer.violation;
  }

  /** Settles when all is asked, and the node is gone. */
  async end(): Promise<void> {
    await this.#end;
  }
}

async function answerOf(requirement: Requirement, subject: Subject): Answer {
  try {
    await requirement.run(subject);
    return {};
  } catch (error) {
    if (error instanceof Violation) return { violation: error };
    throw error;
  }
}
