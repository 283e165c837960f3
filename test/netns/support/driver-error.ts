/** What failed in a program on a node that speaks in JSON lines. */
export class DriverError extends Error {
  constructor(
    message: string,
    readonly code: number | undefined,
    readonly details: string | undefined,
  ) {
    super(message);
  }

  /** As such a program tells it. */
  static of(told: unknown): DriverError {
    const { message, code, details } = told as { message: string; code?: number; details?: string };
    return new DriverError(message, code, details);
  }
}
