import { diffSnapshots } from "../../../src/testbed/snapshot.ts";
import { requireError, requireSuccess } from "../support/outcome.ts";
import { requirements } from "../support/requirement.ts";
import { settled } from "../support/settled.ts";
import type { Subject } from "../support/subject.ts";
import { must } from "../support/violation.ts";

/** Section 2, "DEL". */
export const del = requirements("Section 2: DEL", [
  {
    id: "del/undoes",
    level: "MUST",
    title: "takes back all that ADD made, in the container and on the node, its address reservation too",
    run: async (subject) => {
      await subject.warmUp();
      await using attached = await subject.attached();
      const before = await subject.node.snapshot();
      await attached.added();
      requireSuccess(await attached.del());
      const left = await settled(async () => diffSnapshots(before, await subject.node.snapshot()));
      must(left.length === 0, `after DEL there is still: ${left.join("; ")}`);
    },
  },
  {
    id: "del/repeated",
    level: "MUST",
    title: "succeeds as often as it is called",
    run: async (subject) => {
      await using attached = await subject.attached();
      await attached.added();
      for (const which of ["first", "second", "third"])
        requireSuccess(await attached.del({ title: `the ${which} DEL` }));
    },
  },
  {
    id: "del/never-added",
    level: "MUST",
    title: "succeeds for a container that was never added",
    run: async (subject) => {
      await using attached = await subject.attached();
      requireSuccess(await attached.del({ title: "DEL without an ADD" }));
    },
  },
  {
    id: "del/interface-missing",
    level: "SHOULD",
    title: "succeeds when the interface is gone, and releases the rest",
    run: (subject) =>
      leavesNothing(subject, "DEL without the interface", {}, async (attached) => {
        await attached.pod.exec(["ip", "link", "del", attached.ifname]);
      }),
  },
  {
    id: "del/netns-gone",
    level: "SHOULD",
    title: "succeeds when the namespace is gone and CNI_NETNS still names it, and releases the rest",
    run: (subject) => leavesNothing(subject, "DEL without the namespace", {}, (attached) => attached.vanish()),
  },
  {
    id: "del/netns-unset",
    level: "MUST",
    title: "succeeds without CNI_NETNS, and releases what is on the node",
    run: (subject) =>
      leavesNothing(subject, "DEL without CNI_NETNS", { variables: { CNI_NETNS: undefined } }, (attached) =>
        attached.vanish(),
      ),
  },
  {
    id: "del/no-prev-result",
    level: "SHOULD",
    title: "succeeds without prevResult, and releases all the same",
    run: (subject) =>
      leavesNothing(subject, "DEL without prevResult", { conf: { prevResult: undefined } }, async () => undefined),
  },
  {
    id: "del/after-failed-add",
    level: "MUST",
    title: "succeeds after an ADD that failed, and then nothing is left (section 3)",
    run: async (subject) => {
      await subject.warmUp();
      await using attached = await subject.attached();
      const before = await subject.node.snapshot();
      requireError(await attached.add({ title: "ADD into no namespace", variables: { CNI_NETNS: "/run/netns/none" } }));
      requireSuccess(await attached.del({ title: "DEL after a failed ADD" }));
      const left = await settled(async () => diffSnapshots(before, await subject.node.snapshot()));
      must(left.length === 0, `after a failed ADD and DEL there is still: ${left.join("; ")}`);
    },
  },
  {
    id: "del/similar-names",
    level: "MUST",
    title: "removes the attachment of that CNI_CONTAINERID and CNI_IFNAME, and none that is called alike",
    run: async (subject) => {
      await using one = await subject.attached({ containerID: "alike" });
      await using other = await subject.attached({ containerID: "alike-eth0" });
      await one.added();
      await other.added();
      const state = async () => (await other.pod.exec(["ip", "-o", "address"])).stdout;
      const before = await state();
      requireSuccess(await one.del());
      requireSuccess(await one.del({ title: "a second DEL" }));
      must((await state()) === before, `the other container should keep ${before}`);
    },
  },
]);

type Attached = Awaited<ReturnType<Subject["attached"]>>;

/** ADD, a misfortune, DEL: on the node nothing may be left but what was there. */
async function leavesNothing(
  subject: Subject,
  title: string,
  options: NonNullable<Parameters<Attached["del"]>[0]>,
  misfortune: (attached: Attached) => Promise<void>,
): Promise<void> {
  await subject.warmUp();
  await using attached = await subject.attached();
  const before = ofNode(await subject.node.snapshot());
  await attached.added();
  await misfortune(attached);
  requireSuccess(await attached.del({ title, ...options }));
  // In a chain the interface is another plugin's: its DEL comes after ours.
  const left = await settled(async () =>
    diffSnapshots(before, ofNode(await subject.node.snapshot())).filter((line) => !isForeign(subject, line)),
  );
  must(left.length === 0, `after ${title} there is still: ${left.join("; ")}`);
}

function ofNode(snapshot: ReadonlyMap<string, readonly string[]>) {
  return new Map([...snapshot].filter(([section]) => !section.startsWith("pod ")));
}

/** What the misfortune itself did to what the plugins before ours had made, and the namespace's own name. */
function isForeign(subject: Subject, line: string): boolean {
  return line.includes("/run/netns/") || (subject.chained && line.startsWith("- "));
}
