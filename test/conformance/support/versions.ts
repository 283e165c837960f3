/** The released versions of the specification, oldest first. */
export const VERSIONS = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] as const;

/** A released version of the specification. */
export type Version = (typeof VERSIONS)[number];

/** `text` when it is a released version. */
export function releasedVersion(text: unknown): Version | undefined {
  return VERSIONS.find((version) => version === text);
}

/** Whether `version` is `least` or newer. */
export function atLeast(version: Version, least: Version): boolean {
  return VERSIONS.indexOf(version) >= VERSIONS.indexOf(least);
}

/** The version in which each operation came. */
export const FIRST_VERSION = {
  ADD: "0.1.0",
  DEL: "0.1.0",
  VERSION: "0.2.0",
  CHECK: "0.4.0",
  GC: "1.1.0",
  STATUS: "1.1.0",
} as const satisfies Record<string, Version>;
