import { existsSync, watch } from "node:fs";
import { basename, dirname } from "node:path";
import { Code, Fault } from "../fault.ts";

/**
 * Waits until the file `path` exists, by inotify(7) on its directory.
 * @param timeout Milliseconds. @param signal Ends the wait early, with the signal's reason.
 * @throws Fault 103 when the time is over.
 */
export function appeared(path: string, { timeout, signal }: { timeout: number; signal?: AbortSignal }): Promise<void> {
  return new Promise((resolve, reject) => {
    const watcher = watch(dirname(path), (_event, name) => {
      if (name === basename(path)) finish(resolve);
    });
    const timer = setTimeout(() => {
      finish(() =>
        reject(new Fault(Code.charon, `${path} did not appear within ${timeout} ms`, "see charon.log beside it")),
      );
    }, timeout);
    const onAbort = () => finish(() => reject(signal?.reason));
    const finish = (end: () => void) => {
      clearTimeout(timer);
      watcher.close();
      signal?.removeEventListener("abort", onAbort);
      end();
    };
    watcher.on("error", (error) => finish(() => reject(error)));
    signal?.addEventListener("abort", onAbort);
    // Looked at after the watch began: a file that came between the two is seen by either.
    if (signal?.aborted) onAbort();
    else if (existsSync(path)) finish(resolve);
  });
}
