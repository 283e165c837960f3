import { diffSnapshots } from "../../../src/testbed/snapshot.ts";
import { requireError, requireSilentSuccess } from "../support/outcome.ts";
import { requirements } from "../support/requirement.ts";
import { settled } from "../support/settled.ts";
import type { Subject } from "../support/subject.ts";
import { must, mustBeSame } from "../support/violation.ts";

type Attached = Awaited<ReturnType<Subject["attached"]>>;

/** Section 2, "GC". */
export const gc = requirements(
  "Section 2: GC",
  [
    {
      id: "gc/nothing-to-do",
      level: "SHOULD",
      title: "succeeds with no variable but CNI_PATH when there is nothing to remove, and prints nothing",
      run: async (subject) => {
        await subject.endShared();
        requireSilentSuccess(await collect(subject, []));
      },
    },
    {
      id: "gc/stale",
      level: "SHOULD",
      title: "removes all of an attachment that is not listed as valid, and whose namespace is gone",
      run: async (subject) => {
        await subject.endShared();
        await subject.warmUp();
        await using attached = await subject.attached();
        const before = ofNode(await subject.node.snapshot());
        await attached.added();
        await attached.vanish();
        requireSilentSuccess(await collect(subject, []));
        const left = await settled(async () =>
          diffSnapshots(before, ofNode(await subject.node.snapshot())).filter((line) => !isForeign(subject, line)),
        );
        must(left.length === 0, `after GC there is still: ${left.join("; ")}`);
      },
    },
    {
      id: "gc/valid",
      level: "MUST",
      title: "leaves an attachment that is listed as valid, while it removes another",
      run: async (subject) => {
        await subject.endShared();
        await using stale = await subject.attached();
        await using valid = await subject.attached();
        await stale.added();
        await valid.added();
        await stale.vanish();
        const before = await subject.node.snapshot();
        requireSilentSuccess(await collect(subject, [valid]));
        requireSilentSuccess(await valid.check({ title: "CHECK of the valid attachment after GC" }));
        const pod = `pod ${valid.pod.name}`;
        const changes = diffSnapshots(before, await subject.node.snapshot()).filter((line) => line.includes(pod));
        mustBeSame(changes, [], "what GC changed in the valid container");
      },
    },
    {
      id: "gc/other-network",
      level: "MUST",
      title: "of another network leaves the attachments of this one",
      run: async (subject) => {
        await using attached = await subject.attached();
        await attached.added();
        const before = await subject.node.snapshot();
        requireSilentSuccess(await collect(subject, [], { title: "GC of another network", name: "another-network" }));
        const lost = diffSnapshots(before, await subject.node.snapshot()).filter((line) => line.startsWith("- "));
        mustBeSame(lost, [], "what GC of another network removed");
      },
    },
    {
      id: "gc/delegates",
      level: "MUST",
      scope: "delegating",
      title: "is passed on to the delegates, with the valid attachments",
      run: async (subject) => {
        await subject.endShared();
        await subject.spy.watch(subject.profile.delegates);
        await using attached = await subject.attached();
        await attached.added({ variables: { CNI_PATH: subject.spy.cniPath } });
        requireSilentSuccess(await collect(subject, [attached], { path: subject.spy.cniPath }));
        const calls = (await subject.spy.calls()).filter(({ env }) => env.CNI_COMMAND === "GC");
        for (const type of subject.profile.delegates) {
          const conf = calls.find((call) => call.type === type)?.conf;
          must(conf !== undefined, `${type} should get GC`);
          mustBeSame(conf["cni.dev/valid-attachments"], [entry(attached)], `the valid attachments that ${type} gets`);
        }
      },
    },
    {
      id: "gc/goes-on",
      level: "SHOULD",
      scope: "delegating",
      title: "reports an error of a delegate",
      run: async (subject) => {
        await subject.endShared();
        const [type = ""] = subject.profile.delegates;
        await subject.spy.watch([type], [{ type, command: "GC", code: 140, msg: "told to fail at GC" }]);
        requireError(await collect(subject, [], { path: subject.spy.cniPath }), { names: ["told to fail at GC"] });
      },
    },
  ],
  "1.1.0",
);

interface Collection {
  readonly title?: string;
  readonly name?: string;
  readonly path?: string;
}

function collect(subject: Subject, valid: readonly Attached[], { title = "GC", name, path }: Collection = {}) {
  const changes = { "cni.dev/valid-attachments": valid.map(entry), ...(name === undefined ? {} : { name }) };
  const variables = { CNI_PATH: path ?? subject.path };
  return subject.call({ command: "GC", title, variables, stdin: subject.conf(changes) });
}

function entry({ containerID, ifname }: Attached) {
  return { containerID, ifname };
}

function ofNode(snapshot: ReadonlyMap<string, readonly string[]>) {
  return new Map([...snapshot].filter(([section]) => !section.startsWith("pod ")));
}

/** The namespace's own name, and in a chain what the plugins before ours had made. */
function isForeign(subject: Subject, line: string): boolean {
  return line.includes("/run/netns/") || (subject.chained && line.startsWith("- "));
}
