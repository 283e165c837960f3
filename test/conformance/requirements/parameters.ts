import { requireError, requireSuccess, shown } from "../support/outcome.ts";
import { requirements } from "../support/requirement.ts";
import type { Subject } from "../support/subject.ts";
import { atLeast, FIRST_VERSION } from "../support/versions.ts";
import { must } from "../support/violation.ts";

/** What the operation must have, beside CNI_COMMAND. */
const REQUIRED = {
  ADD: ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
  DEL: ["CNI_CONTAINERID", "CNI_IFNAME"],
  CHECK: ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
  GC: ["CNI_PATH"],
} as const;

const ILLEGAL_IDS = ["-a", "../a", "a/b", "a b", "ä"];
/** Sixteen bytes, and what names of interfaces cannot be. */
const ILLEGAL_NAMES = ["abcdefghijklmnop", ".", "..", "a/b", "a:b", "a b"];

/** Section 2, "Parameters": the environment. */
export const parameters = requirements("Section 2: Parameters", [
  {
    id: "parameters/command-missing",
    level: "MUST",
    title: "a call without CNI_COMMAND gives code 4, or tells a human on standard error only what it is",
    run: async (subject) => {
      const outcome = await subject.call({ command: undefined, variables: {}, stdin: subject.conf() });
      if (outcome.status !== 0) {
        requireError(outcome, { codes: [4], names: ["CNI_COMMAND"] });
        return;
      }
      must(outcome.stdout === "", `nothing is to be taken for a result. ${shown(outcome)}`);
    },
  },
  {
    id: "parameters/command-unknown",
    level: "MUST",
    title: "an unknown CNI_COMMAND gives code 4, and the error names CNI_COMMAND",
    run: async (subject) => {
      for (const command of ["add", "UPDATE"]) {
        const { variables } = attachment(subject);
        const title = `CNI_COMMAND "${command}"`;
        const outcome = await subject.call({ command, title, variables, stdin: subject.conf() });
        requireError(outcome, { codes: [4], names: ["CNI_COMMAND"] });
      }
    },
  },
  ...(["ADD", "DEL", "CHECK", "GC"] as const).map((command) => ({
    id: `parameters/${command.toLowerCase()}-missing`,
    level: "MUST" as const,
    since: FIRST_VERSION[command],
    title: `${command} without ${REQUIRED[command].join(", ")} gives code 4, and the error names what is missing`,
    run: async (subject: Subject) => {
      for (const name of REQUIRED[command]) {
        const variables = { ...attachment(subject).variables, [name]: undefined };
        const stdin = subject.conf(command === "CHECK" ? { prevResult: { cniVersion: subject.profile.version } } : {});
        const title = `${command} without ${name}`;
        requireError(await subject.call({ command, title, variables, stdin }), { codes: [4], names: [name] });
      }
    },
  })),
  {
    id: "parameters/container-id-illegal",
    level: "MUST",
    title: "a CNI_CONTAINERID with illegal characters gives code 4 that names it, and nothing is made",
    run: (subject) => refuses(subject, "CNI_CONTAINERID", ILLEGAL_IDS),
  },
  {
    id: "parameters/container-id-long",
    level: "MUST",
    title: "a CNI_CONTAINERID of 64 characters, and one with all legal kinds of characters, is accepted",
    run: async (subject) => {
      for (const containerID of ["0123456789abcdef".repeat(4), "A.b_c-9"]) {
        await using attached = await subject.attached({ containerID });
        await attached.added({ title: `ADD with CNI_CONTAINERID "${containerID}"` });
        requireSuccess(await attached.del());
      }
    },
  },
  {
    id: "parameters/ifname-illegal",
    level: "MUST",
    title: "a CNI_IFNAME that no interface can have gives an error, and nothing is made",
    run: (subject) => refuses(subject, "CNI_IFNAME", ILLEGAL_NAMES),
  },
  {
    id: "parameters/args-unknown",
    level: "MUST",
    title: "CNI_ARGS that the plugin does not know are accepted, when IgnoreUnknown is among them",
    run: async (subject) => {
      await using attached = await subject.attached();
      const variables = { CNI_ARGS: "IgnoreUnknown=1;FOO=BAR;ABC=123" };
      await attached.added({ variables, title: "ADD with CNI_ARGS" });
      requireSuccess(await attached.del({ variables, title: "DEL with CNI_ARGS" }));
    },
  },
  {
    id: "parameters/path-optional",
    level: "form",
    scope: "sole",
    title: "a plugin that delegates nothing needs no CNI_PATH for ADD, CHECK and DEL",
    run: async (subject) => {
      await using attached = await subject.attached();
      const variables = { CNI_PATH: undefined };
      await attached.added({ variables, title: "ADD without CNI_PATH" });
      if (atLeast(attached.version, FIRST_VERSION.CHECK)) {
        requireSuccess(await attached.check({ variables, title: "CHECK without CNI_PATH" }));
      }
      requireSuccess(await attached.del({ variables, title: "DEL without CNI_PATH" }));
    },
  },
  {
    id: "parameters/path-needed",
    level: "form",
    scope: "delegating",
    title: "a plugin that delegates fails without CNI_PATH, and nothing is left",
    run: async (subject) => {
      await using attached = await subject.attached();
      requireError(await attached.add({ variables: { CNI_PATH: undefined }, title: "ADD without CNI_PATH" }));
      requireSuccess(await attached.del());
    },
  },
]);

/** Of a container that is not there: for calls that must be refused before anybody looks. */
function attachment(subject: Subject) {
  return {
    variables: {
      CNI_CONTAINERID: "nobody",
      CNI_NETNS: "/run/netns/nobody",
      CNI_IFNAME: "eth0",
      CNI_PATH: subject.path,
    },
  };
}

async function refuses(subject: Subject, name: "CNI_CONTAINERID" | "CNI_IFNAME", values: readonly string[]) {
  await using attached = await subject.attached();
  const links = async () => (await attached.pod.exec(["ip", "-o", "link"])).stdout;
  const before = await links();
  for (const value of values) {
    const title = `ADD with ${name} "${value}"`;
    const outcome = await attached.call("ADD", {
      title,
      variables: { [name]: value },
      conf: { prevResult: attached.before },
    });
    requireError(outcome, name === "CNI_CONTAINERID" ? { codes: [4], names: [name] } : {});
    must((await links()) === before, `${title} should leave the container as it is`);
  }
}
