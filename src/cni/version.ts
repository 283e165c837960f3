import { Code, Fault } from "../fault.ts";

/** The versions of the CNI specification that podvpn speaks, oldest first. */
export const supportedVersions = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] as const;

/** A version of the CNI specification that podvpn speaks. */
export type CniVersion = (typeof supportedVersions)[number];

/** What we answer in when the other side has not said what it speaks. */
export const newestVersion: CniVersion = "1.1.0";

/**
 * The version that a configuration asks for. Absent means 0.1.0 (as libcni has it: the field came with 0.2.0).
 * @param field Where `text` stands, for the message: `cniVersion`.
 * @throws Fault 1 that names the value and the supported versions.
 */
export function parseVersion(text: unknown, field: string): CniVersion {
  if (text === undefined || text === null || text === "") return "0.1.0";
  const version = knownVersion(text);
  if (version !== undefined) return version;
  throw new Fault(
    Code.incompatibleVersion,
    `${field} is ${JSON.stringify(text)}`,
    `set it to one of ${supportedVersions.join(", ")}`,
  );
}

/** `text` when it is a version that podvpn speaks. */
export function knownVersion(text: unknown): CniVersion | undefined {
  return supportedVersions.find((version) => version === text);
}

/** Whether `version` is `least` or newer. */
export function atLeast(version: CniVersion, least: CniVersion): boolean {
  return supportedVersions.indexOf(version) >= supportedVersions.indexOf(least);
}

/** The newest version in `offered` that we speak as well and that is `least` or newer. */
export function highestCommon(offered: readonly unknown[], least: CniVersion): CniVersion | undefined {
  return supportedVersions.findLast((version) => atLeast(version, least) && offered.includes(version));
}

/** The operations that a configuration is passed to, with the version in which each came. */
export const FIRST_VERSION = {
  ADD: "0.1.0",
  DEL: "0.1.0",
  CHECK: "0.4.0",
  GC: "1.1.0",
  STATUS: "1.1.0",
} as const satisfies Record<string, CniVersion>;
