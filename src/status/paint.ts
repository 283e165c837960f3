/** Gives a word that tells a state its colour, or leaves it as it is. */
export type Paint = (text: string) => string;

/** No colours. */
export const plain: Paint = (text) => text;

const GREEN = 32;
const YELLOW = 33;
const RED = 31;

/** ECMA-48, "Select Graphic Rendition", by the first word of what is painted. */
const COLOURS: ReadonlyMap<string, number> = new Map([
  ["up", GREEN],
  ["working", GREEN],
  ["healthy", GREEN],
  ["degraded", YELLOW],
  ["adding", YELLOW],
  ["down", RED],
  ["failing", RED],
  ["NOT", RED],
]);

const ESCAPE = "\u001b";

const inColours: Paint = (text) => {
  const colour = COLOURS.get(/^\w+/.exec(text)?.[0] ?? "");
  return colour === undefined ? text : `${ESCAPE}[${colour}m${text}${ESCAPE}[0m`;
};

/** Colours only on a terminal that knows them, and not for who does not want any (no-color.org). Pure. */
export function paintFor(isTerminal: boolean, env: Readonly<Record<string, string | undefined>>): Paint {
  const isWanted = !env.NO_COLOR && env.TERM !== "dumb";
  return isTerminal && isWanted ? inColours : plain;
}
