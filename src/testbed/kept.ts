import { Code, Fault } from "../fault.ts";
import { listDirectory, readText } from "../os/file.ts";
import { run } from "../os/process.ts";
import { KEPT_COMMAND, LABEL_VARIABLE } from "./holder.ts";
import { patience } from "./patience.ts";

/** A node, or the switch, of a testbed that was kept. */
export interface KeptNode {
  readonly name: string;
  /** Its process 1, as we see it. */
  readonly pid: number;
}

/** What runs of the testbeds with this label that were kept. The processes themselves tell: nothing is on disk. */
export function keptNodes(label: string): KeptNode[] {
  return listDirectory("/proc").flatMap((entry) => {
    const name = /^\d+$/.test(entry) ? keptName(entry, label) : undefined;
    return name === undefined ? [] : [{ name, pid: Number(entry) }];
  });
}

/**
 * Ends the kept testbeds with this label, and all that runs in them.
 * Without a pidfd on purpose: that takes a native addon, which the executable would have to write to the disk of a
 * machine that the demo leaves as it was. Looking and killing follow each other at once, so no pid is used again.
 * @returns What there was. @throws Fault 5 when it does not end.
 */
export async function takeDown(label: string): Promise<KeptNode[]> {
  const nodes = keptNodes(label);
  for (const { pid } of nodes) {
    if (keptName(String(pid), label) !== undefined) process.kill(pid, "SIGKILL");
  }
  for (const { name, pid } of nodes) {
    const { code } = await run("tail", [`--pid=${pid}`, "-s", "0.02", "-f", "/dev/null"], { timeout: patience(5000) });
    if (code !== 0)
      throw new Fault(Code.io, `cannot wait for process ${pid} of ${name}`, "see with `ps` if it is there");
  }
  return nodes;
}

/** The node whose process 1 this is, if it is of a kept testbed with this label. */
function keptName(pid: string, label: string): string | undefined {
  if (readText(`/proc/${pid}/cmdline`) !== KEPT_COMMAND) return undefined;
  const prefix = `${LABEL_VARIABLE}=${label}/`;
  const variables = (readText(`/proc/${pid}/environ`) ?? "").split("\0");
  return variables.find((variable) => variable.startsWith(prefix))?.slice(prefix.length);
}
