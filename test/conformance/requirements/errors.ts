import { printedObject, requireError, shown, WELL_KNOWN_CODES } from "../support/outcome.ts";
import { requirements } from "../support/requirement.ts";
import type { Subject } from "../support/subject.ts";
import { atLeast, FIRST_VERSION } from "../support/versions.ts";
import { must, mustBeSame } from "../support/violation.ts";

const COMMANDS = ["ADD", "DEL", "CHECK", "GC", "STATUS"] as const;

/** Section 5, "Error", and what section 2 says of errors. */
export const errors = requirements("Section 5: Error", [
  {
    id: "error/undecodable",
    level: "form",
    title: "a configuration that is no JSON gives code 6",
    run: async (subject) => {
      for (const stdin of ["{", "", "not JSON"]) {
        const outcome = await callWith(subject, "ADD", `ADD of ${JSON.stringify(stdin)}`, stdin);
        requireError(outcome, { codes: [6] });
      }
    },
  },
  {
    id: "error/no-name",
    level: "form",
    title: "a configuration without a name, or with one that is illegal (section 1), gives code 7",
    run: async (subject) => {
      for (const name of [undefined, "", "../net", "-net", "a/b"]) {
        const title = `ADD of a network called ${JSON.stringify(name)}`;
        requireError(await callWith(subject, "ADD", title, subject.conf({ name })), { codes: [7] });
      }
    },
  },
  {
    id: "error/version-unsupported",
    level: "MUST",
    title: "a cniVersion that the plugin does not support gives code 1, for each operation",
    run: async (subject) => {
      const commands = COMMANDS.filter((command) => atLeast(subject.profile.version, FIRST_VERSION[command]));
      for (const command of commands) {
        const stdin = subject.conf({ prevResult: {}, "cni.dev/valid-attachments": [] }, "9.9.9");
        requireError(await callWith(subject, command, `${command} in 9.9.9`, stdin), { codes: [1] });
      }
    },
  },
  {
    id: "error/operation-too-new",
    level: "form",
    title: "an operation that the configuration's version does not have gives code 1",
    run: async (subject) => {
      const supported = await subject.supportedVersions();
      for (const command of COMMANDS) {
        const older = supported.filter((version) => !atLeast(version, FIRST_VERSION[command]));
        const newest = older.at(-1);
        // A plugin that knows no such operation at all finds fault with the command.
        const knows = supported.some((version) => atLeast(version, FIRST_VERSION[command]));
        if (newest === undefined) continue;
        const stdin = subject.conf({ prevResult: { cniVersion: newest } }, newest);
        const title = `${command} in ${newest}`;
        requireError(await callWith(subject, command, title, stdin), { codes: knows ? [1] : [1, 4] });
      }
    },
  },
  {
    id: "error/version",
    level: "SHOULD",
    title: "an error has the cniVersion of the configuration, in each supported version",
    run: async (subject) => {
      for (const version of await subject.supportedVersions()) {
        const variables = {
          CNI_CONTAINERID: "",
          CNI_NETNS: "/run/netns/nobody",
          CNI_IFNAME: "eth0",
          CNI_PATH: subject.path,
        };
        const title = `ADD without CNI_CONTAINERID in ${version}`;
        const outcome = await subject.call({ command: "ADD", title, variables, stdin: subject.conf({}, version) });
        mustBeSame(requireError(outcome).cniVersion, version, `${title}: cniVersion of the error`);
      }
    },
  },
  {
    id: "error/netns",
    level: "form",
    title: "ADD into a namespace that does not exist, or a file that is none, fails, and DEL after it succeeds",
    run: async (subject) => {
      await using attached = await subject.attached();
      await subject.node.writeFile("/run/no-namespace", "");
      for (const path of ["/run/netns/no-such", "/run/no-namespace"]) {
        requireError(await attached.add({ title: `ADD into ${path}`, variables: { CNI_NETNS: path } }));
      }
    },
  },
]);

/** To be asked after all others: about everything that the plugin has said. */
export const allOutcomes = requirements("Section 2: Errors", [
  {
    id: "errors/status",
    level: "MUST",
    title: "in all calls so far exit status 0 is a success, and any other comes with one error object",
    run: async ({ outcomes }) => {
      for (const outcome of outcomes) {
        if (outcome.status !== 0) requireError(outcome);
        else must(!/"code"\s*:/.test(outcome.stdout), `success has no error. ${shown(outcome)}`);
      }
    },
  },
  {
    id: "errors/codes",
    level: "MUST",
    title: "in all calls so far the codes below 100 are those that the specification knows",
    run: async ({ outcomes }) => {
      for (const outcome of outcomes.filter(({ status }) => status !== 0)) {
        const { code } = requireError(outcome);
        must(code >= 100 || WELL_KNOWN_CODES.includes(code), `code ${code} is reserved. ${shown(outcome)}`);
      }
    },
  },
  {
    id: "errors/output",
    level: "MUST",
    title: "in all calls so far standard output is empty or one JSON object, and nothing else",
    run: async ({ outcomes }) => {
      for (const outcome of outcomes.filter(({ stdout }) => stdout.trim() !== "")) printedObject(outcome);
    },
  },
]);

function callWith(subject: Subject, command: string, title: string, stdin: Parameters<Subject["call"]>[0]["stdin"]) {
  const variables = {
    CNI_CONTAINERID: "nobody",
    CNI_NETNS: "/run/netns/nobody",
    CNI_IFNAME: "eth0",
    CNI_PATH: subject.path,
  };
  return subject.call({ command, title, variables, stdin });
}
