import { WINDOW } from "./window.ts";

/** How a peer is, as far as probes can tell. */
export type Health =
  /** Too early to tell. */
  | "unknown"
  | "up"
  /** Reached, but packets are lost. */
  | "degraded"
  /** Nothing comes back. */
  | "down";

/** What a health is decided by. */
export interface Signs {
  /** Milliseconds since the last answer, or since the first probe if there was none. */
  readonly silence: number;
  /** Whether there ever was an answer. */
  readonly everAnswered: boolean;
  /** Of the last probes whose fate is known, newest last: whether they were answered. */
  readonly answers: readonly boolean[];
}

/** What the operator holds for bad. */
export interface HealthLimits {
  /** Milliseconds of silence after which a peer is down. */
  readonly downAfter: number;
  /** Share of the window's probes above which a peer is degraded; with half of it, it is well again. */
  readonly degradedLoss: number;
}

/** Answers in a row that make a peer that was down up again. */
const IN_A_ROW = 3;
/** Where there never are so many in a row: of the last probes this many. */
export const PROOF = 10;
const ANSWERED = 4;

/**
 * The health that follows. Each change has a condition that is not the opposite of the one back, so that a loss between
 * the two, however regular, changes nothing: a peer is down after a silence and back after three answers in a row, or four
 * of ten; it is
 * degraded above a loss that comes
 * and goes, and up again when it has been below half of it for twice as long. Pure.
 */
export function nextHealth(before: Health, signs: Signs, limits: HealthLimits): Health {
  const { silence, everAnswered, answers } = signs;
  if (silence >= limits.downAfter) return "down";
  if (before === "down") return recovery(answers);
  if (!everAnswered) return before;
  if (before === "unknown") return "up";
  if (before === "up") {
    // What is silent now may be dead: that is known in a moment, and is told as what it is.
    if (answers.at(-1) !== true) return "up";
    const last = answers.slice(-WINDOW);
    // Probes that are not sent yet are not lost: the first that is must not be all of them. And one gap alone is no loss
    // that goes on: so does an agent look from here that is started anew.
    return lostOf(last) / WINDOW > limits.degradedLoss && gapsOf(last) > 1 ? "degraded" : "up";
  }
  const isWell = answers.length >= WINDOW && lostOf(answers) / answers.length <= limits.degradedLoss / 2;
  return isWell ? "up" : "degraded";
}

function lostOf(answers: readonly boolean[]): number {
  return answers.filter((answered) => !answered).length;
}

/** How often answers stopped. */
function gapsOf(answers: readonly boolean[]): number {
  return answers.filter((answered, index) => !answered && answers[index - 1] !== false).length;
}

function recovery(answers: readonly boolean[]): Health {
  if (answers.length >= IN_A_ROW && answers.slice(-IN_A_ROW).every((answered) => answered)) return "up";
  const last = answers.slice(-PROOF);
  return last.length - lostOf(last) >= ANSWERED ? "degraded" : "down";
}
