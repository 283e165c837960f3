import { Code, Fault } from "../fault.ts";
import { listDirectory, readText } from "../os/file.ts";
import { openPidfd, type Pidfd } from "../os/pidfd.ts";
import { KEPT_COMMAND, LABEL_VARIABLE } from "./holder.ts";

/** A node, or the switch, of a testbed that was kept. */
export interface KeptNode {
  readonly name: string;
  /** Its process 1, as we see it. */
  readonly pid: number;
}

const SIGKILL = 9;

/** What runs of the testbeds with this label that were kept. The processes themselves tell: nothing is on disk. */
export function keptNodes(label: string): KeptNode[] {
  return findKept(label).map(({ name, process }) => {
    using _process = process;
    return { name, pid: process.pid };
  });
}

/** Ends the kept testbeds with this label, and all that runs in them. @returns What there was. @throws Fault 199. */
export async function takeDown(label: string): Promise<KeptNode[]> {
  const found = findKept(label);
  for (const { process } of found) process.signal(SIGKILL);
  for (const { name, process } of found) {
    using _process = process;
    if (await process.ended(5000)) continue;
    throw new Fault(Code.internal, `process ${process.pid} of ${name} does not end`, "see with `ps` what it waits for");
  }
  return found.map(({ name, process: { pid } }) => ({ name, pid }));
}

function findKept(label: string): { name: string; process: Pidfd }[] {
  const pids = listDirectory("/proc").filter((entry) => /^\d+$/.test(entry));
  return pids.flatMap((entry) => {
    if (readText(`/proc/${entry}/cmdline`) !== KEPT_COMMAND) return [];
    const process = openPidfd(Number(entry));
    if (process === undefined) return [];
    // Read after it was opened: then it is about this process, not about a later one with its pid.
    const prefix = `${LABEL_VARIABLE}=${label}/`;
    const variables = (readText(`/proc/${entry}/environ`) ?? "").split("\0");
    const variable = variables.find((each) => each.startsWith(prefix));
    if (variable !== undefined) return [{ name: variable.slice(prefix.length), process }];
    process[Symbol.dispose]();
    return [];
  });
}
