import { diffSnapshots } from "../../../src/testbed/snapshot.ts";
import { requireError, requireSuccess } from "../support/outcome.ts";
import { requirements } from "../support/requirement.ts";
import { DELEGATE_MESSAGE, type DelegateCall } from "../support/spy.ts";
import type { Subject } from "../support/subject.ts";
import { atLeast, FIRST_VERSION } from "../support/versions.ts";
import { must, mustBeSame } from "../support/violation.ts";

/** Not of CNI: "all the same environment variables". */
const EXTRA = { CONFORMANCE_EXTRA: "of the runtime's environment", CNI_ARGS: "IgnoreUnknown=1;FOO=BAR" };
const UNKNOWN_KEY = { "x-unknown": { to: ["everybody"] } };

/** Section 4, "Plugin Delegation". */
export const delegation = requirements("Section 4: Plugin Delegation", [
  {
    id: "delegation/none",
    level: "form",
    scope: "sole",
    title: "a plugin that delegates nothing calls no plugin of CNI_PATH",
    run: async (subject) => {
      const others = ["bridge", "host-local"];
      await subject.spy.watch(others);
      await using attached = await subject.attached();
      const variables = { CNI_PATH: subject.spy.cniPath };
      await attached.added({ variables });
      requireSuccess(await attached.del({ variables }));
      mustBeSame(
        (await subject.spy.calls()).map(({ type }) => type),
        [],
        "calls of other plugins",
      );
    },
  },
  {
    id: "delegation/calls",
    level: "MUST",
    scope: "delegating",
    title: "the delegates, found by CNI_PATH, are executed with ADD, CHECK and DEL",
    run: async (subject) => {
      const calls = await callsOfALife(subject);
      const checks = atLeast(subject.profile.version, FIRST_VERSION.CHECK);
      for (const type of subject.profile.delegates) {
        const commands = calls.filter((call) => call.type === type).map(({ env }) => env.CNI_COMMAND);
        for (const command of checks ? ["ADD", "CHECK", "DEL"] : ["ADD", "DEL"]) {
          must(commands.includes(command), `${type} should get ${command}, and gets ${commands.join(", ")}`);
        }
      }
    },
  },
  {
    id: "delegation/environment",
    level: "MUST",
    scope: "delegating",
    title: "the delegates get all the environment that the plugin got",
    run: async (subject) => {
      for (const call of await callsOfALife(subject)) {
        const wanted: Record<string, string> = { ...EXTRA, CNI_PATH: subject.spy.cniPath, CNI_IFNAME: "eth0" };
        const { CNI_CONTAINERID: id = "", CNI_NETNS: netns } = call.env;
        mustBeSame(netns, `/run/netns/${id}`, `CNI_NETNS of ${call.env.CNI_COMMAND} of ${call.type}`);
        for (const [name, value] of Object.entries(wanted)) {
          mustBeSame(call.env[name], value, `${name} of ${call.env.CNI_COMMAND} of ${call.type}`);
        }
      }
    },
  },
  {
    id: "delegation/configuration",
    level: "MUST",
    scope: "delegating",
    title: "the delegates get the name, the ipam and unknown keys of the configuration",
    run: async (subject) => {
      const { name, ipam } = subject.conf();
      for (const { conf, env, type } of await callsOfALife(subject)) {
        const what = `of ${env.CNI_COMMAND} of ${type}`;
        mustBeSame(conf.name, name, `name ${what}`);
        mustBeSame(conf.ipam, ipam, `ipam ${what}`);
        mustBeSame(conf["x-unknown"], UNKNOWN_KEY["x-unknown"], `the unknown key ${what}`);
      }
    },
  },
  {
    id: "delegation/complete-configuration",
    level: "MUST",
    scope: "delegating",
    title: "the delegates get the complete configuration of the plugin, as it was",
    run: async (subject) => {
      const wanted = subject.conf(UNKNOWN_KEY);
      for (const { conf, env, type } of await callsOfALife(subject)) {
        const { prevResult: _, ...rest } = conf;
        mustBeSame(rest, wanted, `the configuration of ${env.CNI_COMMAND} of ${type}`);
      }
    },
  },
  {
    id: "delegation/stderr",
    level: "SHOULD",
    scope: "delegating",
    title: "what a delegate writes to standard error reaches the plugin's",
    run: async (subject) => {
      await subject.spy.watch(subject.profile.delegates);
      await using attached = await subject.attached();
      const variables = { CNI_PATH: subject.spy.cniPath };
      for (const outcome of [await attached.add({ variables }), await attached.del({ variables })]) {
        requireSuccess(outcome);
        must(outcome.stderr.includes(DELEGATE_MESSAGE), `${outcome.call}: stderr is "${outcome.stderr}"`);
      }
    },
  },
  {
    id: "delegation/add-fails",
    level: "SHOULD",
    scope: "delegating",
    title: "when a delegate fails at ADD the plugin fails with its words, and nothing is left after DEL",
    run: async (subject) => {
      await subject.warmUp();
      for (const type of subject.profile.delegates) {
        await subject.spy.watch([type], [{ type, command: "ADD", code: 140, msg: "told to fail at ADD" }]);
        await using attached = await subject.attached();
        const before = await subject.node.snapshot();
        const variables = { CNI_PATH: subject.spy.cniPath };
        requireError(await attached.add({ variables }), { names: ["told to fail at ADD"] });
        requireSuccess(await attached.del({ variables }));
        const left = diffSnapshots(before, await subject.node.snapshot());
        mustBeSame(left, [], "what is left after DEL");
      }
    },
  },
  {
    id: "delegation/add-fails-del",
    level: "SHOULD",
    scope: "delegating",
    title: "when a delegate fails at ADD the plugin executes it again with DEL before it fails",
    run: async (subject) => {
      for (const type of subject.profile.delegates) {
        await subject.spy.watch([type], [{ type, command: "ADD", code: 140, msg: "told to fail at ADD" }]);
        await using attached = await subject.attached();
        requireError(await attached.add({ variables: { CNI_PATH: subject.spy.cniPath } }));
        const commands = (await subject.spy.calls()).map(({ env }) => env.CNI_COMMAND);
        mustBeSame(commands, ["ADD", "DEL"], `the calls of ${type}`);
      }
    },
  },
  ...(["CHECK", "DEL"] as const).map((command) => ({
    id: `delegation/${command.toLowerCase()}-fails`,
    level: "SHOULD" as const,
    scope: "delegating" as const,
    since: FIRST_VERSION[command],
    title: `when a delegate fails at ${command} the plugin fails with its words`,
    run: async (subject: Subject) => {
      for (const type of subject.profile.delegates) {
        await subject.spy.watch([type]);
        const variables = { CNI_PATH: subject.spy.cniPath };
        await using attached = await subject.attached();
        await attached.added({ variables });
        const msg = `told to fail at ${command}`;
        await subject.spy.refuse([{ type, command, code: 140, msg }]);
        const outcome = command === "DEL" ? await attached.del({ variables }) : await attached.check({ variables });
        await subject.spy.refuse([]);
        requireError(outcome, { names: [msg] });
      }
    },
  })),
  {
    id: "delegation/missing",
    level: "MUST",
    scope: "delegating",
    title: "a delegate that is in no directory of CNI_PATH makes ADD fail, and the error names it",
    run: async (subject) => {
      const [type = ""] = subject.profile.delegates;
      await using attached = await subject.attached();
      requireError(await attached.add({ variables: { CNI_PATH: "/run/netns" } }), { names: [type] });
    },
  },
]);

/** What the delegates are called with by ADD, CHECK and DEL of one container. Once for each subject. */
async function callsOfALife(subject: Subject): Promise<readonly DelegateCall[]> {
  const known = lives.get(subject);
  if (known !== undefined) return known;
  await subject.spy.watch(subject.profile.delegates);
  const options = { variables: { ...EXTRA, CNI_PATH: subject.spy.cniPath }, conf: UNKNOWN_KEY };
  await using attached = await subject.attached();
  await attached.added(options);
  if (atLeast(attached.version, FIRST_VERSION.CHECK)) requireSuccess(await attached.check(options));
  requireSuccess(await attached.del(options));
  const calls = await subject.spy.calls();
  must(calls.length > 0, "the delegates should be called");
  lives.set(subject, calls);
  return calls;
}

const lives = new WeakMap<Subject, readonly DelegateCall[]>();
