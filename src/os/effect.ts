/** True only in the bundle of the undo tests (`dist/bundle-faults.cjs`); the executable has no trace of it. */
declare const PODVPN_KILL_AFTER_ENABLED: boolean;

let count = 0;

/**
 * Marks that the world outside this process has just been changed (file, process, kernel, daemon).
 * Called from the few functions of `src/os`, `src/netlink` and `src/ipsec` through which every change goes,
 * so that a new step is covered by the undo tests without being listed anywhere.
 * In the tests' bundle, PODVPN_KILL_AFTER=k ends the process by SIGKILL after its k-th effect, and
 * PODVPN_EFFECTS=path appends the name of each effect to that file.
 */
export function effect(name: string): void {
  if (typeof PODVPN_KILL_AFTER_ENABLED === "undefined" || !PODVPN_KILL_AFTER_ENABLED) return;
  count += 1;
  const log = process.env.PODVPN_EFFECTS;
  if (log !== undefined) process.getBuiltinModule("node:fs").appendFileSync(log, `${count} ${name}\n`);
  if (String(count) === process.env.PODVPN_KILL_AFTER) process.kill(process.pid, "SIGKILL");
}
