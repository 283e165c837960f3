/**
 * Waits for all, also when one fails: what is still being made cannot be taken back.
 * @throws what failed, or an AggregateError of several.
 */
export async function together<T extends readonly Promise<unknown>[]>(
  ...work: T
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  const failures = failuresOf(await Promise.allSettled(work));
  if (failures.length > 0) throw oneOf(failures, "several steps failed");
  return (await Promise.all(work)) as { -readonly [K in keyof T]: Awaited<T[K]> };
}

/** Steps of a removal: one that fails keeps no other from being taken. */
export class Attempts {
  readonly #failures: unknown[] = [];

  /** Never rejects. */
  async try(step: () => Promise<void>): Promise<void> {
    try {
      await step();
    } catch (error) {
      this.#failures.push(error);
    }
  }

  /** @throws what failed, or an AggregateError of several with that message. */
  finish(message: string): void {
    if (this.#failures.length > 0) throw oneOf(this.#failures, message);
  }
}

function failuresOf(ended: readonly PromiseSettledResult<unknown>[]): unknown[] {
  return ended.flatMap((one) => (one.status === "rejected" ? [one.reason] : []));
}

function oneOf(failures: readonly unknown[], message: string): unknown {
  return failures.length === 1 ? failures[0] : new AggregateError(failures, message);
}
