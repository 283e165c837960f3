import { describe, type PlainEvent } from "./event.ts";
import { command, type SoakOptions } from "./options.ts";
import type { State } from "./state.ts";

/** What is told of one event: " 7/30   2.3 s  charon-killed n1-s2 | n1-s2 replaced: …". Pure. */
export function line(
  index: number,
  count: number,
  event: PlainEvent,
  milliseconds: number,
  notes: readonly string[],
): string {
  const number = `${String(index).padStart(String(count).length)}/${count}`;
  const time = `${(milliseconds / 1000).toFixed(1).padStart(5)} s`;
  return [`${number} ${time}  ${describe(event)}`, ...notes.filter((note) => note !== "")].join(" | ");
}

/**
 * What whoever reads of a failure needs to have it again. Pure.
 * @param situation What should be after the last event, in words.
 */
export function failureText(
  { seed }: Pick<SoakOptions, "seed">,
  events: readonly PlainEvent[],
  situation: string,
  what: string,
): string {
  return [
    `${what}`,
    `after event ${events.length} of seed ${seed}; again: ${command({ events: events.length, seed })}`,
    ...events.map((event, index) => `  ${index + 1} ${describe(event)}`),
    situation,
  ].join("\n");
}

/** The situation after the last event. Pure. */
export function situationOf(state: State): string {
  const [owed, wanted] = [state.owed, state.wanted].map((slots) => [...slots].map(({ name }) => name).join(" "));
  const full = [...state.full].map(([node, mount]) => `n${node}:${mount}`).join(" ");
  return `wanted: ${wanted}; owed: ${owed || "nothing"}; hub: ${state.hub}; cut: ${[...state.cut].join(" ") || "none"}; full: ${full || "none"}`;
}

/** Not by the console, which would be told test by test, at the end of each. */
export function tell(text: string): void {
  process.stdout.write(`${text}\n`);
}
