/** A look at something, in words. */
export interface Look {
  readonly text: string;
  readonly isHealthy: boolean;
}

/** Where looks are shown. */
export interface Screen {
  write(text: string): void;
  /** Lines of the terminal as it is now; undefined where there is none: then all looks stand below each other. */
  rows(): number | undefined;
}

/** Milliseconds from one look to the next. */
const PAUSE = 1000;

/** ECMA-48 and xterm: another screen for as long as this lasts, without a cursor. */
const ENTER = "\u001b[?1049h\u001b[?25l";
const LEAVE = "\u001b[?25h\u001b[?1049l";
const HOME = "\u001b[H";
const ERASE_LINE = "\u001b[K";
const ERASE_BELOW = "\u001b[J";

/**
 * Looks each second until `signal` aborts. On a terminal each look takes the place of the one before, and the last one
 * stays when it ends. @returns The last look. @throws what a look throws: the terminal is as it was then.
 */
export async function watch(
  look: () => Promise<Look>,
  screen: Screen,
  signal: AbortSignal,
  pause = PAUSE,
): Promise<Look> {
  const aborted = abortionOf(signal);
  const isTerminal = screen.rows() !== undefined;
  let last: Look | undefined;
  if (isTerminal) screen.write(ENTER);
  try {
    for (;;) {
      const over = delay(pause);
      const looking = look();
      // What hangs is waited for only as long as there is nothing to show.
      const seen = last === undefined ? await looking : await Promise.race([looking, aborted]);
      if (seen === undefined) looking.catch(() => undefined);
      else if (isTerminal) screen.write(frame(seen.text, screen.rows()));
      else screen.write(last === undefined ? seen.text : `\n${seen.text}`);
      last = seen ?? last;
      await Promise.race([over.promise, aborted]);
      clearTimeout(over.timer);
      if (signal.aborted && last !== undefined) return last;
    }
  } finally {
    if (isTerminal) screen.write(`${LEAVE}${last?.text ?? ""}`);
  }
}

/** A text over the one before it; of one that is too long the beginning and the last line. Pure. */
export function frame(text: string, rows = 0): string {
  const lines = text.trimEnd().split("\n");
  const room = rows > 0 ? Math.max(3, rows) : Number.POSITIVE_INFINITY; // 0: a terminal that does not know
  const head = lines.slice(0, room - 2);
  const more = `… ${lines.length - head.length - 1} more lines`;
  const shown = lines.length <= room ? lines : [...head, more, lines.at(-1) ?? ""];
  return `${HOME}${shown.map((line) => `${line}${ERASE_LINE}`).join("\n")}${ERASE_BELOW}`;
}

function abortionOf(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    signal.addEventListener("abort", () => resolve(undefined), { once: true });
  });
}

function delay(milliseconds: number): { readonly promise: Promise<void>; readonly timer: NodeJS.Timeout } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { promise, timer: setTimeout(resolve, milliseconds) };
}
