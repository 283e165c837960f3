import { add } from "../requirements/add.ts";
import { check } from "../requirements/check.ts";
import { del } from "../requirements/del.ts";
import { delegation } from "../requirements/delegation.ts";
import { allOutcomes, errors } from "../requirements/errors.ts";
import { gc } from "../requirements/gc.ts";
import { parameters } from "../requirements/parameters.ts";
import { chained, results } from "../requirements/results.ts";
import { status } from "../requirements/status.ts";
import { version } from "../requirements/version.ts";
import type { Profile } from "./profile.ts";
import type { Requirement, Scope } from "./requirement.ts";
import { atLeast } from "./versions.ts";

/** In the order in which they are asked: what needs a node on which nothing was called comes first. */
export const ALL: readonly Requirement[] = [
  ...add.filter(({ id }) => id === "add/status-not-called"),
  ...version,
  ...parameters,
  ...add.filter(({ id }) => id !== "add/status-not-called"),
  ...results,
  ...chained,
  ...del,
  ...check,
  ...status,
  ...gc,
  ...delegation,
  ...errors,
  ...allOutcomes,
];

/** Those that the specification asks of a plugin in this form and version. Pure. */
export function applicable(profile: Profile): Requirement[] {
  const index = profile.conf.plugins.findIndex(({ type }) => type === profile.type);
  const scopes: readonly Scope[] = [
    "any",
    index > 0 ? "chained" : "interface",
    profile.delegates.length > 0 ? "delegating" : "sole",
  ];
  return ALL.filter(({ scope, since }) => scopes.includes(scope) && atLeast(profile.version, since));
}

/** `Section 2: ADD: MUST: an interface of that name … [add/name-taken]`. */
export function titleOf({ section, level, title, id }: Requirement): string {
  return `${section}: ${level === "form" ? "" : `${level}: `}${title} [${id}]`;
}
