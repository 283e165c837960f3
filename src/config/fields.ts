import * as z from "zod/mini";
import { type Issue, pathOf, shown } from "./issues.ts";
import { nearest } from "./nearest.ts";

/** A key of a configuration: how it is read, and what errors and the README say of it. */
export interface Field {
  readonly schema: z.core.$ZodType;
  /** What a user must give, after the words "give" and "Value:". */
  readonly expected: string;
  /** What it is for: a sentence or two for the README, in Markdown. */
  readonly docs: string;
  /** What stands for an absent key, as it would be written in the configuration. */
  readonly default?: unknown;
  /** An absent key is an error. */
  readonly required?: true;
  /** Its value is never shown. */
  readonly secret?: true;
}

export type Fields = Readonly<Record<string, Field>>;

/** What {@link Fields} are read into; an absent key without a default is undefined. */
export type Values<F extends Fields> = {
  readonly [K in keyof F]:
    | z.output<F[K]["schema"]>
    | (F[K] extends { readonly default: unknown } | { readonly required: true } ? never : undefined);
};

/** What could be read: everything exactly when there are no issues. */
export type Parsed<F extends Fields> =
  | { readonly complete: true; readonly values: Values<F>; readonly issues: readonly Issue[] }
  | { readonly complete: false; readonly values: Partial<Values<F>>; readonly issues: readonly Issue[] };

/**
 * Reads the `fields` of `input`, each by itself: a wrong one keeps no other from being read and compared.
 * JSON null counts as absent, as in Go, in which the runtimes are written. Other keys of `input` are not looked at.
 * @param path Where `input` stands in the configuration; "" for its top.
 */
export function parseFields<F extends Fields>(
  fields: F,
  input: Readonly<Record<string, unknown>>,
  path: string,
): Parsed<F> {
  const values: Record<string, unknown> = {};
  const issues: Issue[] = [];
  for (const [key, field] of Object.entries(fields)) {
    const value = input[key] ?? field.default;
    if (value === undefined) {
      if (field.required) issues.push({ what: `${pathOf(path, key)} is missing`, remedy: `give ${field.expected}` });
      continue;
    }
    const result = z.safeParse(field.schema, value);
    if (result.success) values[key] = result.data;
    else issues.push(...fieldIssues(field, value, pathOf(path, key), result.error));
  }
  // The one cast: TypeScript cannot follow a loop over the keys of F.
  return { complete: issues.length === 0, values, issues } as Parsed<F>;
}

/** Issues for the keys of `input` that are none of `fields`: a typing error must not silently turn something off. */
export function unknownKeys(fields: Fields, input: Readonly<Record<string, unknown>>, path: string): Issue[] {
  const known = Object.keys(fields);
  return Object.keys(input)
    .filter((key) => !known.includes(key))
    .map((key) => {
      const meant = nearest(key, known);
      const remedy = meant === undefined ? `use one of ${known.join(", ")}` : `write ${pathOf(path, meant)}`;
      return { what: `${pathOf(path, key)} is not known`, remedy }; // not its value: it may be a misnamed secret
    });
}

function fieldIssues(field: Field, value: unknown, path: string, error: z.core.$ZodError): Issue[] {
  const found = error.issues.map((issue) => {
    const at = locate(value, path, issue.path);
    if (at.value === undefined) return `${at.path} is missing`;
    return `${at.path} is ${field.secret ? "[secret]" : shown(at.value)}`;
  });
  return [...new Set(found)].map((what) => ({ what, remedy: `give ${field.expected}` }));
}

/** A value may stand for a list of itself alone: then it has no index for a user. */
function locate(value: unknown, path: string, steps: readonly PropertyKey[]): { path: string; value: unknown } {
  let at = { path, value };
  for (const step of steps) {
    if (typeof step !== "number" || !Array.isArray(at.value)) continue;
    at = { path: pathOf(at.path, step), value: at.value[step] };
  }
  return at;
}
