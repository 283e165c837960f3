import { closeSync, constants, openSync, writeSync } from "node:fs";
import { Code, Fault } from "../fault.ts";
import { effect } from "./effect.ts";
import { readText } from "./file.ts";
import { inNetns, type Netns } from "./namespace.ts";

// Below /proc/sys/net everybody sees the settings of the network namespace that the thread is in as it opens them.

/**
 * The value of a kernel setting, or undefined when there is none of that name.
 * @param key Its path below /proc/sys: an interface's name may have dots in it. @throws Fault 5.
 */
export function readSysctl(key: string, netns?: Netns): string | undefined {
  const read = () => readText(`/proc/sys/${key}`)?.trim();
  return netns === undefined ? read() : inNetns(netns, read);
}

/** @throws Fault 102 when the kernel does not take it. */
export function writeSysctl(key: string, value: string, netns?: Netns): void {
  const write = () => writeSetting(`/proc/sys/${key}`, value);
  try {
    if (netns === undefined) write();
    else inNetns(netns, write);
  } catch (cause) {
    if (cause instanceof Fault) throw cause;
    const errno = cause instanceof Error && "code" in cause ? String(cause.code) : "EIO";
    const remedy = REMEDIES[errno] ?? "run as root with /proc/sys writable, or set it beforehand";
    throw new Fault(Code.kernel, `the setting ${key} cannot be set to ${value} (${errno})`, remedy, { cause });
  }
  effect(`set ${key}`);
}

const REMEDIES: Record<string, string | undefined> = {
  ENOENT: "see that the interface still exists, and that the kernel has this protocol",
  EINVAL: "use a kernel that knows this value",
};

/** In one write(2), as such files want it, and without making one that is not there. */
function writeSetting(path: string, value: string): void {
  const fd = openSync(path, constants.O_WRONLY);
  try {
    writeSync(fd, value);
  } finally {
    closeSync(fd);
  }
}
