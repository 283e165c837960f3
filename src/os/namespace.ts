import { closeSync, openSync, statSync } from "node:fs";
import { Code, Fault } from "../fault.ts";
import { lastErrno, native } from "./native.ts";

const CLONE_NEWNET = 0x40000000;
const OWN = "/proc/self/ns/net";

/** A network namespace held open: it stays usable when its name is removed. Closed by `[Symbol.dispose]`. */
export interface Netns extends Disposable {
  readonly path: string;
  readonly fd: number;
}

/**
 * Opens the network namespace at `path` and tests that it is one, and not the node's own.
 * @throws Fault 8 (invalid network namespace) that names the path and what is wrong with it.
 */
export function openNetns(path: string): Netns {
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch (cause) {
    throw invalid(path, "cannot be opened", cause);
  }
  const netns: Netns = { path, fd, [Symbol.dispose]: () => closeSync(fd) };
  try {
    const own = statSync(OWN);
    const other = statSync(`/proc/self/fd/${fd}`);
    if (own.dev !== other.dev) throw invalid(path, "is not a network namespace");
    if (own.ino === other.ino) throw invalid(path, "is the node's own network namespace");
    inNetns(netns, () => undefined);
    return netns;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/**
 * As {@link openNetns}, but undefined when the namespace is gone: no path, nothing there, or a plain file left behind
 * by a runtime that already unmounted it. The node's own namespace counts as gone as well: nothing may be undone there.
 */
export function openNetnsIfPresent(path: string | undefined): Netns | undefined {
  if (path === undefined || path === "") return undefined;
  try {
    return openNetns(path);
  } catch (error) {
    if (error instanceof Fault && error.code === Code.invalidNetns) return undefined;
    throw error;
  }
}

/**
 * Runs `action` with the calling thread in the network namespace. Sockets and children made inside belong to it, also
 * afterwards. Synchronous on purpose: across an `await` other work of this process would run in the wrong namespace.
 * @throws Fault 8 when the kernel refuses the namespace.
 */
export function inNetns<T>(netns: Netns, action: () => T): T {
  const own = openSync(OWN, "r");
  try {
    enter(netns.fd, netns.path);
    try {
      return action();
    } finally {
      enter(own, OWN);
    }
  } finally {
    closeSync(own);
  }
}

function enter(fd: number, path: string): void {
  if (native().setns(fd, CLONE_NEWNET) === 0) return;
  const errno = lastErrno();
  if (errno === "EPERM") {
    throw new Fault(Code.invalidNetns, `may not enter ${path} (EPERM)`, "run the plugin as root with CAP_SYS_ADMIN");
  }
  throw invalid(path, `cannot be entered (${errno})`);
}

function invalid(path: string, why: string, cause?: unknown): Fault {
  return new Fault(
    Code.invalidNetns,
    `CNI_NETNS "${path}" ${why}`,
    "pass the path of the container's own network namespace",
    { cause },
  );
}
