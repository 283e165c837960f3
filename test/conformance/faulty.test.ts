import { readdirSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { OF_BRIDGE_191, OF_LIBCNI_SOLE, OF_STRONGSWAN } from "./profiles/deviations.ts";
import { FAULTY, faultyProfile } from "./profiles/faulty.ts";
import { Run } from "./support/run.ts";
import { ALL, applicable } from "./support/suite.ts";

/** What the bridge itself does not fulfil (test/conformance/profiles/deviations.ts), masquerading aside. */
const OF_THE_BRIDGE: readonly string[] = [
  "version/echo",
  "parameters/container-id-illegal",
  "error/version",
  "status/exhausted",
  "gc/stale",
  "gc/delegates",
  "gc/goes-on",
  "delegation/add-fails-del",
];

/**
 * By the plugin: what it is asked (ids, or the beginnings of them), and which of that, beside {@link OF_THE_BRIDGE}, it
 * violates. All else that it is asked it fulfils: a requirement finds its own fault, and not everybody's.
 */
const FAULTS: Readonly<Record<string, readonly [asked: readonly string[], violated: readonly string[]]>> = {
  correct: [[""], []],
  "error-as-text": [
    ["error/undecodable", "error/no-name", "parameters/del-missing", "version/list", "errors/"],
    ["error/undecodable", "error/no-name", "parameters/del-missing", "errors/status", "errors/codes", "errors/output"],
  ],
  "error-exit-zero": [
    ["error/undecodable", "error/netns", "parameters/del-missing", "add/interface", "errors/"],
    ["error/undecodable", "error/netns", "parameters/del-missing", "errors/status"],
  ],
  "error-wrong-code": [
    ["error/", "errors/"],
    ["error/version-unsupported", "error/operation-too-new"],
  ],
  "error-reserved-code": [
    [
      "parameters/del-missing",
      "parameters/check-missing",
      "parameters/command-unknown",
      "error/undecodable",
      "errors/",
    ],
    ["parameters/del-missing", "parameters/check-missing", "parameters/command-unknown", "errors/codes"],
  ],
  "error-anonymous": [
    ["parameters/add-missing", "parameters/del-missing", "parameters/command-unknown", "error/no-name"],
    ["parameters/add-missing", "parameters/del-missing", "parameters/command-unknown"],
  ],
  "result-without-version": [["result/"], ["result/each-version"]],
  "result-newest-version": [["result/"], ["result/each-version"]],
  // The bridge's own CHECK goes by the hardware address and the sandbox of prevResult.
  "result-wrong-mac": [["result/"], ["result/interfaces", "result/each-version"]],
  "result-no-sandbox": [
    ["result/"],
    ["result/interfaces", "result/all-interfaces", "result/ips", "result/each-version"],
  ],
  "result-index-out-of-range": [["result/"], ["result/each-version", "result/ips"]],
  "result-other-address": [["result/interfaces", "result/ips", "result/routes"], ["result/ips"]],
  "result-phantom-route": [["result/interfaces", "result/ips", "result/routes"], ["result/routes"]],
  "result-noise": [["version/list", "del/never-added", "errors/"], ["errors/output"]],
  "add-fixed-name": [["add/interface", "add/name-taken", "add/twice"], ["add/interface"]],
  "add-takes-name": [
    ["add/interface", "add/name-taken", "add/twice"],
    ["add/name-taken", "add/twice"],
  ],
  "add-one-at-a-time": [["add/status-not-called", "del/never-added"], ["add/status-not-called"]],
  "del-not-twice": [["del/"], ["del/repeated", "del/never-added", "del/after-failed-add"]],
  "del-needs-netns": [["del/"], ["del/netns-gone", "del/netns-unset"]],
  "del-needs-prev-result": [["del/"], ["del/no-prev-result", "del/never-added", "del/after-failed-add"]],
  "del-forgets-ipam": [
    ["del/"],
    ["del/undoes", "del/interface-missing", "del/netns-gone", "del/netns-unset", "del/no-prev-result"],
  ],
  // Asked this alone: what else it breaks depends on who else is on the node at that moment.
  "del-by-prefix": [["del/similar-names"], ["del/similar-names"]],
  "check-blind": [
    ["check/"],
    [
      "check/no-prev-result",
      "check/consults-prev-result",
      "check/interface-missing",
      "check/address-missing",
      "check/route-missing",
      "check/other-damages",
    ],
  ],
  "check-strict": [["check/"], ["check/later-plugin"]],
  "check-talks": [["check/right-after-add", "check/later-plugin"], ["check/right-after-add"]],
  "status-always-ready": [["status/"], ["status/delegate", "status/prevents-nothing", "status/unavailable"]],
  "status-needs-container": [["status/ready", "parameters/gc-missing"], ["status/ready"]],
  "gc-everything": [
    ["gc/valid", "gc/other-network"],
    ["gc/valid", "gc/other-network"],
  ],
  "gc-talks": [["gc/nothing-to-do", "error/undecodable"], ["gc/nothing-to-do"]],
  "delegate-own-path": [
    ["delegation/calls", "delegation/missing"],
    ["delegation/calls", "delegation/missing"],
  ],
  "delegate-clean-environment": [["delegation/environment", "delegation/configuration"], ["delegation/environment"]],
  "delegate-bare-configuration": [
    ["delegation/environment", "delegation/configuration", "delegation/complete-configuration"],
    ["delegation/configuration", "delegation/complete-configuration"],
  ],
  "delegate-silenced": [["delegation/calls", "delegation/stderr"], ["delegation/stderr"]],
  "delegate-error-swallowed": [["delegation/del-fails", "delegation/check-fails"], ["delegation/del-fails"]],
  "delegate-words-lost": [
    ["delegation/add-fails", "delegation/check-fails", "delegation/del-fails"],
    ["delegation/add-fails", "delegation/check-fails", "delegation/del-fails"],
  ],
  "add-small-input": [["add/configuration", "version/list"], ["add/configuration"]],
  "add-other-dns": [["add/dns", "version/list"], ["add/dns"]],
  "parameters-args-refused": [["parameters/args-unknown", "parameters/del-missing"], ["parameters/args-unknown"]],
  "parameters-no-command": [["parameters/command-"], ["parameters/command-missing"]],
  "parameters-short-id": [["parameters/container-id-"], ["parameters/container-id-long"]],
  "parameters-cut-name": [["parameters/ifname-illegal", "add/interface"], ["parameters/ifname-illegal"]],
  "parameters-own-path": [
    ["parameters/path-needed", "parameters/gc-missing", "parameters/del-missing"],
    ["parameters/path-needed", "parameters/gc-missing"],
  ],
  "version-hides-one": [["version/"], ["version/list", "version/truth"]],
  "version-needs-more": [["version/list", "del/never-added"], ["version/list"]],
  "chained-forgets": [
    ["chained/", "add/adjusts"],
    ["chained/passes-through", "chained/equivalent", "chained/foreign-entries"],
  ],
  "chained-replaces": [["chained/", "add/adjusts"], ["add/adjusts"]],
  "chained-calls": [["chained/", "delegation/none"], ["delegation/none"]],
};

describe.concurrent("the suite, asking a plugin that is wrong in one way, names what is wrong", () => {
  test.for(Object.entries(FAULTS))("%s", { timeout: 600_000 }, async ([type, [asked, violated]], { expect }) => {
    const profile = faultyProfile(type);
    const requirements = applicable(profile).filter(({ id }) => asked.some((prefix) => id.startsWith(prefix)));
    const run = new Run(profile, requirements);
    const found: string[] = [];
    try {
      for (const requirement of requirements) {
        if ((await run.violationOf(requirement)) !== undefined) found.push(requirement.id);
      }
    } finally {
      await run.end();
    }
    const known = OF_THE_BRIDGE.filter((id) => requirements.some((requirement) => requirement.id === id));
    expect(found.sort()).toEqual([...violated, ...known].sort());
  });
});

test("each requirement has a plugin that violates it", () => {
  const violated = Object.values(FAULTS).flatMap(([, ids]) => ids);
  const deviations = [OF_LIBCNI_SOLE, OF_BRIDGE_191, OF_STRONGSWAN].flatMap((ids) => Object.keys(ids));
  expect(ALL.map(({ id }) => id).filter((id) => !violated.includes(id) && !deviations.includes(id))).toEqual([]);
});

test("each faulty plugin is asked", () => {
  const plugins = readdirSync(FAULTY).filter((name) => name !== "common.sh");
  expect(plugins.sort()).toEqual(Object.keys(FAULTS).sort());
});
