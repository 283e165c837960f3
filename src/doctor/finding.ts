/** How a check ended. Only "bad" makes the node unhealthy. */
export type Outcome = "ok" | "warning" | "bad" | "not applicable";

/** What is checked, in the order in which one thing depends on those before it. */
export const CHECKS = [
  "kernel",
  "programs",
  "configuration",
  "agent",
  "clock",
  "overlap",
  "routes",
  "settings",
  "underlay",
  "path MTU",
  "tunnel",
  "encryption",
  "pods",
  "forwarding",
  "source",
  "ESP",
  "leftovers",
] as const;

export type Check = (typeof CHECKS)[number];

/** One thing that was looked at. */
export interface Finding {
  readonly check: Check;
  readonly outcome: Outcome;
  /** The thing and what was measured of it; of a fault also why it matters. Without a full stop. */
  readonly what: string;
  /** A sentence in the imperative, where no command alone mends it, or where one has to know more. */
  readonly remedy?: string;
  /** For `sh -c`: mends it. */
  readonly command?: string;
}

/** What mends a fault. */
export type Mending = Pick<Finding, "remedy" | "command">;

/** The findings of one check are made by these. */
export interface Findings {
  ok(what: string): Finding;
  none(what: string): Finding;
  warning(what: string, mending: Mending): Finding;
  bad(what: string, mending: Mending): Finding;
}

/** Makers of findings of one check. Pure. */
export function findingsOf(check: Check): Findings {
  return {
    ok: (what) => ({ check, outcome: "ok", what }),
    none: (what) => ({ check, outcome: "not applicable", what }),
    warning: (what, mending) => ({ check, outcome: "warning", what, ...mending }),
    bad: (what, mending) => ({ check, outcome: "bad", what, ...mending }),
  };
}

/** Whether nothing is bad. Pure. */
export function isHealthy(findings: readonly Finding[]): boolean {
  return findings.every(({ outcome }) => outcome !== "bad");
}

/** For a shell: as one word, whatever it holds. Pure. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
