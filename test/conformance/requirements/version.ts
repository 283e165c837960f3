import { printedObject, requireError, requireSuccess, shown } from "../support/outcome.ts";
import { requirements } from "../support/requirement.ts";
import { VERSIONS } from "../support/versions.ts";
import { must, mustBeSame } from "../support/violation.ts";

/** Section 2, "VERSION", and section 5, "VERSION Success". */
export const version = requirements(
  "Section 2: VERSION",
  [
    {
      id: "version/list",
      level: "MUST",
      title: "with no variable but CNI_COMMAND it lists the supported versions, each a Semantic Version",
      run: async (subject) => {
        const outcome = await subject.call({ command: "VERSION", variables: {}, stdin: { cniVersion: "1.0.0" } });
        requireSuccess(outcome);
        const { supportedVersions } = printedObject(outcome);
        const wellFormed =
          Array.isArray(supportedVersions) && supportedVersions.every((item) => /^\d+\.\d+\.\d+$/.test(String(item)));
        must(wellFormed, `supportedVersions should be a list of versions. ${shown(outcome)}`);
        const { versions } = subject.profile;
        if (versions !== undefined) mustBeSame(supportedVersions, versions, "supportedVersions");
      },
    },
    {
      id: "version/echo",
      level: "MUST",
      title: "cniVersion is the one that it was asked in, also where the plugin does not support that",
      run: async (subject) => {
        for (const asked of [...(await subject.supportedVersions()), "9.9.9"]) {
          const call = {
            command: "VERSION",
            title: `VERSION in ${asked}`,
            variables: {},
            stdin: { cniVersion: asked },
          };
          const outcome = await subject.call(call);
          requireSuccess(outcome);
          mustBeSame(printedObject(outcome).cniVersion, asked, `${call.title}: cniVersion`);
        }
      },
    },
    {
      id: "version/truth",
      level: "MUST",
      title: "a released version that is not on the list is refused with code 1",
      run: async (subject) => {
        const supported = await subject.supportedVersions();
        for (const missing of VERSIONS.filter((one) => !supported.includes(one))) {
          await using attached = await subject.attached();
          const stdin = subject.conf({ prevResult: attached.before }, missing);
          const call = { command: "ADD", title: `ADD in ${missing}`, variables: attached.variables, stdin };
          requireError(await subject.call(call), { codes: [1] });
        }
      },
    },
  ],
  "0.2.0",
);
