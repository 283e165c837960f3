import type { ChildProcess } from "node:child_process";
import { Code, Fault } from "../fault.ts";
import { findExecutable } from "./file.ts";

/** A program whose output is read while it runs. */
export interface StreamOptions {
  /** Takes its standard output, in order. What it throws ends the program, and is what `ended` rejects with. */
  readonly onStdout: (chunk: Buffer) => void;
  /** Its whole environment. */
  readonly env: Readonly<Record<string, string>>;
}

/** How a program ended: `code` is null exactly when `signal` is not. */
export interface StreamEnd {
  readonly code: number | null;
  readonly signal: string | null;
  /** Its last 64 KiB of standard error. */
  readonly stderr: string;
}

/** A program that runs beside us. */
export interface Stream extends AsyncDisposable {
  /** Settles when it has ended and all of its output has been taken. Never rejects unhandled. */
  readonly ended: Promise<StreamEnd>;
  /** Its standard error so far, the last 64 KiB of it. */
  readonly stderr: string;
  /**
   * Waits until its standard error so far has what `find` looks for.
   * @param timeout Milliseconds. @throws Fault 5 with what it said, when it ends before that or the time is over.
   */
  said<T>(find: (stderr: string) => T | undefined, timeout: number): Promise<T>;
  /** No effect when it has ended. */
  signal(signal: NodeJS.Signals): void;
  /** Ends it by `signal`, and by SIGKILL after `grace` ms. @returns As `ended`. */
  stop(signal: NodeJS.Signals, grace: number): Promise<StreamEnd>;
}

const SETPRIV_DIRECTORIES = ["/usr/bin", "/bin"];
const STDERR_KEPT = 64 * 1024;

/**
 * Starts a program that leads a process group of its own, so that Ctrl-C in our terminal does not reach it, and ends
 * with us, also when we are killed (PR_SET_PDEATHSIG, by setpriv(1) of util-linux).
 * @param file Absolute path. @throws Fault 101 when it cannot be started.
 */
export async function startStream(file: string, args: readonly string[], options: StreamOptions): Promise<Stream> {
  const { spawn } = await import("node:child_process");
  const setpriv = findExecutable("setpriv", SETPRIV_DIRECTORIES);
  const [program, ...rest] = [...(setpriv === undefined ? [] : [setpriv, "--pdeathsig", "KILL", "--"]), file, ...args];
  const child = spawn(program ?? file, rest, {
    cwd: "/",
    env: options.env,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  if (child.pid === undefined) throw await startFailed(child, file);
  return new Running(file, child, child.pid, options.onStdout);
}

class Running implements Stream {
  readonly ended: Promise<StreamEnd>;
  #stderr = "";
  #over = false;
  readonly #listeners = new Set<() => void>();

  constructor(
    private readonly file: string,
    child: ChildProcess,
    private readonly pid: number,
    onStdout: (chunk: Buffer) => void,
  ) {
    const { promise, resolve, reject } = Promise.withResolvers<StreamEnd>();
    this.ended = promise;
    promise.catch(() => undefined); // who waits for it is told; nobody has to
    child.stdout?.on("data", (chunk: Buffer) => {
      try {
        onStdout(chunk);
      } catch (error) {
        child.stdout?.removeAllListeners("data").resume();
        reject(error);
        this.signal("SIGKILL");
      }
    });
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_KEPT);
      this.#tell();
    });
    child.once("close", (code, signal) => {
      this.#over = true;
      resolve({ code, signal, stderr: this.#stderr });
      this.#tell();
    });
  }

  get stderr(): string {
    return this.#stderr;
  }

  said<T>(find: (stderr: string) => T | undefined, timeout: number): Promise<T> {
    return new Promise((resolve, reject) => {
      const settle = (end: () => void) => {
        clearTimeout(timer);
        this.#listeners.delete(look);
        end();
      };
      const fail = (why: string) => settle(() => reject(this.#fault(why)));
      const look = () => {
        const found = find(this.#stderr);
        if (found !== undefined) settle(() => resolve(found));
        else if (this.#over) fail("ended too early");
      };
      const timer = setTimeout(() => fail(`did not say what was waited for within ${timeout / 1000} s`), timeout);
      this.#listeners.add(look);
      look();
    });
  }

  async stop(signal: NodeJS.Signals, grace: number): Promise<StreamEnd> {
    this.signal(signal);
    const timer = setTimeout(() => this.signal("SIGKILL"), grace);
    try {
      return await this.ended;
    } finally {
      clearTimeout(timer);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop("SIGKILL", 0).catch(() => undefined);
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener();
  }

  signal(signal: NodeJS.Signals): void {
    if (this.#over) return;
    try {
      process.kill(-this.pid, signal); // to its group
    } catch {
      // ESRCH: it ended in the meantime.
    }
  }

  #fault(why: string): Fault {
    const details = this.#stderr.trimEnd();
    return new Fault(Code.io, `${this.file} ${why}`, "see its messages", details === "" ? {} : { details });
  }
}

function startFailed(child: ChildProcess, file: string): Promise<Fault> {
  return new Promise((resolve) => {
    child.once("error", (cause) => {
      resolve(new Fault(Code.missingPart, `${file} cannot be started`, "see that it runs by hand", { cause }));
    });
  });
}
