const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/**
 * Milliseconds of a duration as a configuration has it: a number of seconds (`1.5`), or text with a unit: `500ms`,
 * `10s`, `1.5s`, `2m`, `1h`. Undefined for everything else, also for what is negative or no whole number of milliseconds.
 */
export function parseDuration(value: unknown): number | undefined {
  if (typeof value === "number") return milliseconds(value, 1000);
  if (typeof value !== "string") return undefined;
  const [, number, unit] = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h)$/.exec(value) ?? [];
  if (number === undefined || unit === undefined) return undefined;
  return milliseconds(Number(number), UNITS[unit] ?? Number.NaN);
}

function milliseconds(count: number, unit: number): number | undefined {
  const rounded = Math.round(count * unit);
  // 1.001 * 1000 is 1000.9999999999999: compare as far as a double can tell.
  return rounded >= 0 && Math.abs(count * unit - rounded) < 1e-6 && Number.isSafeInteger(rounded) ? rounded : undefined;
}
