import { requireError, requireSilentSuccess, requireSuccess } from "../support/outcome.ts";
import { requirements } from "../support/requirement.ts";
import type { Subject } from "../support/subject.ts";

const UNAVAILABLE = [50, 51];

/** Section 2, "STATUS". */
export const status = requirements(
  "Section 2: STATUS",
  [
    {
      id: "status/ready",
      level: "MUST",
      title: "succeeds with no variable but CNI_PATH when the plugin can serve ADD, and prints nothing",
      run: async (subject) => requireSilentSuccess(await ask(subject, "STATUS", {})),
    },
    {
      id: "status/unavailable",
      level: "MUST",
      title:
        "fails when the plugin knows that no ADD can succeed: a part of it is missing, the addresses are all given",
      run: async (subject) => {
        for (const { what, conf } of subject.profile.unavailabilities) {
          const changed = conf(subject.conf());
          const title = `STATUS when ${what}`;
          requireError(await ask(subject, title, changed));
        }
      },
    },
    {
      id: "status/exhausted",
      level: "SHOULD",
      title: "fails when the addresses are all given",
      run: async (subject) => {
        const conf = onlyOneAddress(subject);
        if (conf === undefined) return;
        await using attached = await subject.attached();
        await attached.added({ conf, title: "ADD of the only address" });
        requireError(await ask(subject, "STATUS when all addresses are given", conf), { codes: UNAVAILABLE });
      },
    },
    {
      id: "status/delegate",
      level: "MUST",
      scope: "delegating",
      title: "asks the delegates, and fails when one of them does",
      run: async (subject) => {
        const [type = ""] = subject.profile.delegates;
        await subject.spy.watch([type], [{ type, command: "STATUS", code: 50, msg: "told to be unavailable" }]);
        const outcome = await ask(subject, "STATUS when a delegate is unavailable", {}, subject.spy.cniPath);
        requireError(outcome, { codes: UNAVAILABLE });
      },
    },
    {
      id: "status/prevents-nothing",
      level: "SHOULD",
      scope: "delegating",
      title: "an ADD and a DEL succeed although STATUS has failed",
      run: async (subject) => {
        const [type = ""] = subject.profile.delegates;
        await subject.spy.watch([type], [{ type, command: "STATUS", code: 51, msg: "told to be unavailable" }]);
        requireError(await ask(subject, "STATUS when a delegate is unavailable", {}, subject.spy.cniPath));
        const variables = { CNI_PATH: subject.spy.cniPath };
        await using attached = await subject.attached();
        await attached.added({ variables });
        requireSuccess(await attached.del({ variables }));
      },
    },
  ],
  "1.1.0",
);

function ask(subject: Subject, title: string, changes: object, path = subject.path) {
  const stdin = { ...subject.conf(), ...changes };
  return subject.call({ command: "STATUS", title, variables: { CNI_PATH: path }, stdin });
}

/** Of an IPAM that is host-local a range can be made so small; undefined for any other. */
function onlyOneAddress(subject: Subject) {
  const { ipam, bridge } = subject.conf();
  const isHostLocal = typeof ipam === "object" && ipam !== null && Reflect.get(ipam, "type") === "host-local";
  if (!isHostLocal) return undefined;
  const range = { subnet: "172.20.0.0/24", rangeStart: "172.20.0.5", rangeEnd: "172.20.0.5" };
  const other = typeof bridge === "string" ? { bridge: "cni9" } : {}; // a bridge has one gateway address
  return { name: "exhausted", ipam: { type: "host-local", ranges: [[range]] }, ...other };
}
