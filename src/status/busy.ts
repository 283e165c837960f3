import { Code, Fault } from "../fault.ts";
import { lockDirectory } from "../os/lock.ts";

/** Whether a plugin is at work in a directory of podvpn's: it holds the lock on it. */
export async function isBusy(directory: string): Promise<boolean> {
  try {
    using _lock = await lockDirectory(directory, { create: false, shared: true, wait: 0 });
    return false;
  } catch (error) {
    return error instanceof Fault && error.code === Code.tryAgainLater;
  }
}
