import { getSystemErrorName } from "node:util";
import { loadAddon } from "./addon.ts";

/** The libc calls that Node has no public API for, called in-process through koffi's addon. */
interface Libc {
  setns(fd: number, nstype: number): number;
  flock(fd: number, operation: number): number;
  /** syscall(2) with four arguments: enough for pidfd_open(2) and pidfd_send_signal(2). */
  syscall(number: number, a: number, b: number, c: number, d: number): number;
  readonly poll: {
    async(fds: Uint8Array, count: number, timeout: number, done: (error: Error | null, result: number) => void): void;
  };
  errno(): number;
}

/** What is used of koffi's raw addon; its own JavaScript costs 10 ms and adds nothing that is needed here. */
interface KoffiAddon {
  load(path: null): { func(prototype: string): unknown };
  errno(): number;
}

let libc: Libc | undefined;

/** Loaded at the first use: VERSION and a refused configuration never pay for it. */
export function native(): Libc {
  if (libc !== undefined) return libc;
  const koffi = loadAddon("koffi") as KoffiAddon;
  const self = koffi.load(null);
  libc = {
    setns: self.func("int setns(int fd, int nstype)"),
    flock: self.func("int flock(int fd, int operation)"),
    syscall: self.func("long syscall(long number, long a, long b, long c, long d)"),
    poll: self.func("int poll(void *fds, unsigned long count, int timeout)"),
    errno: () => koffi.errno(),
  } as Libc;
  return libc;
}

/** Name of the last failed libc call's errno, such as "EINVAL". */
export function lastErrno(): string {
  return getSystemErrorName(-native().errno());
}
