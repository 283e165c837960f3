import type { Subject } from "./subject.ts";
import type { Version } from "./versions.ts";

/** The words of RFC 2119; "form" is what a structure of the specification is made of, where it says neither. */
export type Level = "MUST" | "SHOULD" | "form";

/** To which plugins a requirement applies. */
export type Scope =
  /** All. */
  | "any"
  /** Those that make an interface: the first of a list. */
  | "interface"
  /** Those that are given a `prevResult`. */
  | "chained"
  /** Those that call other plugins. */
  | "delegating"
  /** Those that do not. */
  | "sole";

/** Something that the specification asks of a plugin, and how to see from outside whether it does it. */
export interface Requirement {
  /** By which profiles and the table in README.md name it. */
  readonly id: string;
  /** Of the specification 1.1.0: "Section 2: ADD". */
  readonly section: string;
  readonly level: Level;
  readonly title: string;
  readonly scope: Scope;
  /** The first version of the specification that has it. */
  readonly since: Version;
  /** @throws Violation. */
  readonly run: (subject: Subject) => Promise<void>;
}

/** What {@link requirements} adds to each. */
export interface Draft {
  readonly id: string;
  readonly level: Level;
  readonly title: string;
  readonly scope?: Scope;
  readonly since?: Version;
  readonly run: (subject: Subject) => Promise<void>;
}

/** Requirements of one section. A scope that is not given is "any", a version the section's. Pure. */
export function requirements(section: string, drafts: readonly Draft[], since: Version = "0.1.0"): Requirement[] {
  return drafts.map((draft) => ({ section, scope: "any", since, ...draft }));
}
