import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Deviation, Profile } from "./profile.ts";
import { Run } from "./run.ts";
import { applicable, titleOf } from "./suite.ts";
import type { Violation } from "./violation.ts";

/** Milliseconds. A test may have to wait for all that is asked before it. */
const TIMEOUT = 600_000;

/** The tests of plugins, which are called side by side: one for each requirement that applies to it. */
export function conformance(...profiles: readonly Profile[]): void {
  const runs = new Map<Profile, Run>();
  beforeAll(() => {
    for (const profile of profiles) runs.set(profile, new Run(profile, applicable(profile)));
  });
  afterAll(async () => {
    await Promise.all([...runs.values()].map((run) => run.end()));
  }, TIMEOUT);

  describe.each(profiles.map((profile) => ({ profile, name: profile.name })))("$name", ({ profile }) => {
    for (const requirement of applicable(profile)) {
      const deviation = profile.deviations[requirement.id];
      const known = deviation === undefined ? "" : `: known deviation, as ${deviation.why}`;
      const title = `CNI ${profile.version}, ${titleOf(requirement)}${known}`;
      test(title, { timeout: TIMEOUT }, async () => {
        const violation = await runs.get(profile)?.violationOf(requirement);
        if (deviation !== undefined) requireDeviation(violation, deviation);
        else if (violation !== undefined) throw violation;
      });
    }

    test("each known deviation is from a requirement that applies", () => {
      const ids = applicable(profile).map(({ id }) => id);
      expect(Object.keys(profile.deviations).filter((id) => !ids.includes(id))).toEqual([]);
    });
  });
}

/** Passes as long as the requirement is violated in the way that is known: when it is fulfilled, the profile is old. */
function requireDeviation(violation: Violation | undefined, deviation: Deviation): void {
  if (violation === undefined) throw new Error("the plugin fulfils it now: remove the deviation from its profile");
  expect(violation.message).toMatch(deviation.says);
}
