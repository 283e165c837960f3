import type { Random } from "../../fuzz/support/random.ts";

/** What can happen in a soak, and when. */
export interface Rules<Event, Kind extends string, State> {
  /** How often each kind is in the pack of cards: all of them come before any of them comes again. */
  readonly pack: Readonly<Record<Kind, number>>;
  /** What the first event finds. */
  readonly beginning: State;
  after(state: State, event: Event): State;
  /** An event of this kind; undefined when there can be none. */
  make(kind: Kind, state: State, random: Random): Event | undefined;
  /** The event that ends a lasting fault. */
  endOf(event: Event): Event | undefined;
}

/** Lasting faults at the same time. */
export const AT_ONCE = 2;
/** Events for which a lasting fault lasts, at most. */
export const LONGEST = 3;

/**
 * Events, the same for the same seed; a longer list begins with a shorter one. Pure. Each is possible after those before
 * it. What ends a lasting fault is not drawn: it comes when its time has come.
 */
export function deal<Event, Kind extends string, State>(
  rules: Rules<Event, Kind, State>,
  random: Random,
  count: number,
): Event[] {
  const events: Event[] = [];
  const lasting: { readonly end: Event; readonly at: number }[] = [];
  let state = rules.beginning;
  let pack: Kind[] = [];
  while (events.length < count) {
    const due = lasting.findIndex(({ at }) => at <= events.length);
    const [healed] = due < 0 ? [] : lasting.splice(due, 1);
    let event = healed?.end;
    if (event === undefined) {
      if (pack.length === 0) pack = shuffled(rules.pack, random);
      event = draw(rules, pack, state, random, lasting.length < AT_ONCE);
      if (event === undefined) {
        pack = shuffled(rules.pack, random); // none of the rest is possible now
        continue;
      }
      const end = rules.endOf(event);
      if (end !== undefined) lasting.push({ end, at: events.length + 1 + random.below(LONGEST) });
    }
    events.push(event);
    state = rules.after(state, event);
  }
  return events;
}

/** One of them; undefined when there is none. */
export function some<T>(random: Random, items: readonly T[]): T | undefined {
  return items.length === 0 ? undefined : random.pick(items);
}

function shuffled<Kind extends string>(cards: Readonly<Record<Kind, number>>, random: Random): Kind[] {
  const kinds = Object.keys(cards).filter((kind): kind is Kind => kind in cards);
  const rest = kinds.flatMap((kind) => Array.from({ length: cards[kind] }, () => kind));
  const pack: Kind[] = [];
  while (rest.length > 0) pack.push(...rest.splice(random.below(rest.length), 1));
  return pack;
}

/** The first card that is possible now, taken out of the pack. */
function draw<Event, Kind extends string, State>(
  { make, endOf }: Rules<Event, Kind, State>,
  pack: Kind[],
  state: State,
  random: Random,
  mayLast: boolean,
): Event | undefined {
  for (const [at, kind] of pack.entries()) {
    const event = make(kind, state, random);
    if (event === undefined || (!mayLast && endOf(event) !== undefined)) continue;
    pack.splice(at, 1);
    return event;
  }
  return undefined;
}
