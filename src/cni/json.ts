import { Code, Fault } from "../fault.ts";

/** A JSON object as it was read. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Whether `value` is a JSON object: neither null nor a list. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

// Readers of one field each. JSON null counts as absent, as in Go, in which the runtimes are written.

/** @throws Fault 7 that names `field`, its value and what is expected. */
export function objectAt(value: unknown, field: string): JsonObject | undefined {
  if (value === undefined || value === null) return undefined;
  if (!isObject(value)) throw expected(value, field, "an object");
  return value;
}

/** Absent is an empty list. @throws Fault 7. */
export function listAt(value: unknown, field: string): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw expected(value, field, "a list");
  return value;
}

/** The empty string counts as absent (Go's `omitempty`). @throws Fault 7. */
export function textAt(value: unknown, field: string): string | undefined {
  if (value === undefined || value === null || value === "") return undefined;
  if (typeof value !== "string") throw expected(value, field, "a string");
  return value;
}

/** @throws Fault 7. */
export function integerAt(value: unknown, field: string): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (!Number.isInteger(value)) throw expected(value, field, "an integer");
  return Number(value);
}

/** @throws Fault 7 when `value` is absent. */
export function required<T>(value: T | undefined, field: string, what: string): T {
  if (value === undefined) throw new Fault(Code.invalidConfig, `${field} is missing`, `give ${what}`);
  return value;
}

/** The fault of a field that holds the wrong thing. Not for secrets: it shows the value, up to 60 characters of it. */
export function expected(value: unknown, field: string, what: string): Fault {
  const text = JSON.stringify(value);
  const shown = text.length > 60 ? `${text.slice(0, 60)}…` : text;
  return new Fault(Code.invalidConfig, `${field} is ${shown}`, `give ${what}`);
}

/** `T` with each key that may be undefined made optional instead (`exactOptionalPropertyTypes` keeps the two apart). */
export type Defined<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>;
};

/** `object` without the keys whose value is undefined. */
export function defined<T extends object>(object: T): Defined<T> {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as Defined<T>;
}
