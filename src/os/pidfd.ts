import { closeSync } from "node:fs";
import { Code, Fault } from "../fault.ts";
import { effect } from "./effect.ts";
import { lastErrno, native } from "./native.ts";

/** System call numbers of pidfd_open(2) and pidfd_send_signal(2): the same on every architecture since Linux 5.3. */
const PIDFD_OPEN = 434;
const PIDFD_SEND_SIGNAL = 424;
const POLLIN = 1;

/** One process, safe against reuse of its pid: also when it is not our child. */
export interface Pidfd extends Disposable {
  readonly pid: number;
  /** Sends a signal by number; false when the process has ended. */
  signal(number: number): boolean;
  /** Waits for the end of the process, at most `timeout` ms; true when it has ended. */
  ended(timeout: number): Promise<boolean>;
}

/** Opens the process `pid`; undefined when there is none. @throws Fault 199 when the kernel refuses. */
export function openPidfd(pid: number): Pidfd | undefined {
  const libc = native();
  const fd = libc.syscall(PIDFD_OPEN, pid, 0, 0, 0);
  if (fd < 0) {
    const errno = lastErrno();
    if (errno === "ESRCH") return undefined;
    throw new Fault(Code.internal, `pidfd_open(${pid}): ${errno}`, "run podvpn on Linux 5.3 or newer");
  }
  return {
    pid,
    signal(number) {
      const sent = libc.syscall(PIDFD_SEND_SIGNAL, fd, number, 0, 0) === 0;
      effect(`signal ${number}`);
      return sent;
    },
    ended(timeout) {
      const pollfd = new Uint8Array(8);
      new DataView(pollfd.buffer).setInt32(0, fd, true);
      new DataView(pollfd.buffer).setInt16(4, POLLIN, true);
      return new Promise((resolve, reject) => {
        libc.poll.async(pollfd, 1, timeout, (error, ready) => (error === null ? resolve(ready > 0) : reject(error)));
      });
    },
    [Symbol.dispose]: () => closeSync(fd),
  };
}
