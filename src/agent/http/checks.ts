/** What the loop has done up to now. Times are in milliseconds, of a clock that does not jump. */
export interface LoopState {
  readonly now: number;
  /** When the round that is under way began; absent between two. */
  readonly roundSince?: number;
  /** When the last one ended, or when the agent was started. */
  readonly roundEnded: number;
  readonly registryRead: boolean;
  /** Whether every driver that is needed has been applied once without an error. */
  readonly applied: boolean;
  readonly failing: readonly { readonly driver: string; readonly what: string; readonly since: number }[];
}

/** A verdict with its reasons; none when all is well. */
export type Reasons = readonly string[];

/** Milliseconds: the longest that a round may take; charon and wireguard-go have bounds far below. */
const LONGEST_ROUND = 60_000;
/** Milliseconds between two rounds at most: the timer's 30 s, and some to spare. */
const LONGEST_PAUSE = 90_000;
/** Milliseconds that a driver may fail until the agent as a whole does. */
const LONGEST_FAILURE = 30_000;

/** Why the agent should be started anew, for `/healthz`. Pure. */
export function unhealthy({ now, roundSince, roundEnded, failing }: LoopState): Reasons {
  const stuck = roundSince !== undefined && now - roundSince > LONGEST_ROUND;
  const asleep = roundSince === undefined && now - roundEnded > LONGEST_PAUSE;
  return [
    ...(stuck ? [`a round has been under way for ${seconds(now - roundSince)} s`] : []),
    ...(asleep ? [`the last round was ${seconds(now - roundEnded)} s ago`] : []),
    ...failing
      .filter(({ since }) => now - since > LONGEST_FAILURE)
      .map(({ driver, what, since }) => `${driver} has been failing for ${seconds(now - since)} s: ${what}`),
  ];
}

/** Why no traffic should be sent here yet, or any more, for `/readyz`. Pure. */
export function unready(state: LoopState): Reasons {
  const { registryRead, applied, failing } = state;
  return [
    ...(registryRead ? [] : ["the registry was not read yet"]),
    ...(applied ? [] : ["the tunnels have not been applied yet"]),
    ...failing.map(({ driver, what }) => `${driver} fails: ${what}`),
  ];
}

function seconds(milliseconds: number): number {
  return Math.round(milliseconds / 1000);
}
