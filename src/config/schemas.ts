import * as z from "zod/mini";
import { parseDuration } from "./duration.ts";

// What the fields of more than one configuration are made of.

/** A string that `parse` understands. */
export function parsedBy<T>(parse: (text: string) => T | undefined) {
  return z.pipe(z.string(), parsed(parse));
}

/** A value that `parse` understands. */
export function parsed<I, O>(parse: (input: I) => O | undefined) {
  return z.transform((input: I, context): O => {
    const value = parse(input);
    if (value !== undefined) return value;
    context.issues.push({ code: "custom", input });
    return z.NEVER;
  });
}

/** One value stands for a list of itself. */
export function asList() {
  return z.transform((value: unknown): unknown[] => (Array.isArray(value) ? value : [value]));
}

/** A list that is not empty, or one value. */
export function oneOrMore<S extends z.core.$ZodType>(item: S) {
  return z.pipe(asList(), z.tuple([item], item));
}

/** Proposals in strongSwan's syntax. */
export function proposals() {
  return oneOrMore(z.string().check(z.regex(/^[a-z\d]+(?:[-_][a-z\d]+)*$/)));
}

/** Not ending in a slash. */
export function absolutePath() {
  return z.string().check(z.regex(/^\/[^\0]*[^\0/]$/));
}

/** In seconds: charon's unit. */
export function wholeSeconds(max: number) {
  return parsed((value: unknown) => {
    const seconds = (parseDuration(value) ?? Number.NaN) / 1000;
    return Number.isInteger(seconds) && seconds <= max ? seconds : undefined;
  });
}
