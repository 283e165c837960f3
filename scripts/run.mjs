// What the scripts have in common. Node's own modules only: the scripts run before anything is installed.
import { spawn } from "node:child_process";
import { constants } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

/** The project's directory, without a slash at its end. */
export const root = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");

/** A program that npm installed. */
export const bin = (name) => join(root, "node_modules/.bin", name);

/** Node 24, whichever Node runs the scripts. */
export const node = bin("node");

/** A failure to tell in one sentence, without a stack. */
export class Failure extends Error {}

/**
 * Runs a program to its end.
 * @param {string} file
 * @param {string[]} args
 * @param {{ env?: object, capture?: boolean, timeout?: number }} options `capture`: what it prints is returned, not
 *   shown; `timeout` in milliseconds: then it and all that it started are killed.
 * @returns {Promise<{ code: number, output: string, timedOut: boolean }>} A death by signal N is code 128 + N.
 */
export function run(file, args, { env = process.env, capture = false, timeout } = {}) {
  return new Promise((resolve, reject) => {
    // A process group of its own, so that it can be ended with all its children.
    const child = spawn(file, args, {
      cwd: root,
      env,
      detached: true,
      stdio: ["ignore", capture ? "pipe" : "inherit", capture ? "pipe" : "inherit"],
    });
    let output = "";
    child.stdout?.on("data", (data) => (output += data));
    child.stderr?.on("data", (data) => (output += data));

    const signalGroup = (signal) => {
      try {
        process.kill(-child.pid, signal);
      } catch {
        // It has just ended.
      }
    };
    let timedOut = false;
    const expire = () => {
      timedOut = true;
      signalGroup("SIGKILL");
    };
    const timer = timeout === undefined ? undefined : setTimeout(expire, timeout);
    // Ctrl-C reaches only our own group: pass it on and wait for the child's own clean-up; the second time, do not.
    let asked = false;
    const forwards = ["SIGINT", "SIGTERM", "SIGHUP"].map((signal) => {
      const forward = () => {
        signalGroup(asked ? "SIGKILL" : signal);
        asked = true;
      };
      process.on(signal, forward);
      return () => process.off(signal, forward);
    });
    const settle = (action) => {
      clearTimeout(timer);
      for (const off of forwards) off();
      action();
    };
    child.on("error", (error) => settle(() => reject(error)));
    child.on("close", (code, signal) =>
      settle(() => resolve({ code: code ?? 128 + constants.signals[signal], output, timedOut })),
    );
  });
}

/** Whether a module is the program that runs, and not imported by it. @param {string} url Its `import.meta.url`. */
export const isProgram = (url) => process.argv[1] !== undefined && url === pathToFileURL(process.argv[1]).href;

/** Runs `action` as the script's whole work: a {@link Failure} becomes one sentence and exit status 1. */
export async function script(action) {
  try {
    process.exitCode = (await action()) ?? 0;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}
