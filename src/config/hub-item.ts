import { type Fields, type Parsed, parseFields, unknownKeys } from "./fields.ts";

/** Reads an object in a list, in which every key must be known. @param path Where it stands in the configuration. */
export function parseItem<F extends Fields>(fields: F, item: unknown, path: string): Parsed<F> {
  if (!isObject(item)) {
    const remedy = `give an object with ${Object.keys(fields).join(" and ")}`;
    return { complete: false, values: {}, issues: [{ what: `${path} is ${kindOf(item)}`, remedy }] };
  }
  const parsed = parseFields(fields, item, path);
  const unknown = unknownKeys(fields, item, path);
  return unknown.length === 0
    ? parsed
    : { complete: false, values: parsed.values, issues: [...unknown, ...parsed.issues] };
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What stands where an object should, without its value: that may be a PSK. */
export function kindOf(value: unknown): string {
  if (value === undefined || value === null) return "nothing";
  return Array.isArray(value) ? "a list" : `a ${typeof value}`;
}
