import { type ChildProcess, spawn } from "node:child_process";
import { Code, Fault } from "../fault.ts";
import { readText } from "../os/file.ts";
import { patience } from "./patience.ts";

/** A program that runs beside us. */
export interface ProgramOptions {
  readonly env: Readonly<Record<string, string>>;
  /** Takes the standard output as bytes; without it the output is read line by line. */
  readonly onStdout?: (chunk: Buffer) => void;
}

interface Waiter {
  readonly pattern: RegExp;
  resolve(line: string): void;
  reject(reason: unknown): void;
}

/** Enough for a message about what went wrong; a program may run for hours. */
const LINES_KEPT = 2000;

/**
 * A running program, its output as lines (standard output and standard error together, in the order of arrival), its
 * end as a promise. It leads a process group of its own: Ctrl-C in our terminal does not reach it, `stop` does.
 */
export class Program implements AsyncDisposable {
  /** The last lines that it wrote. */
  readonly lines: string[] = [];
  /** How it ended: "exit status 0", "killed by SIGTERM". Settles when its output has ended as well. */
  readonly ended: Promise<string>;
  /** Undefined for a program that could not be started; then `ended` says why. */
  readonly pid: number | undefined;
  readonly #name: string;
  readonly #child: ChildProcess;
  readonly #waiters = new Set<Waiter>();
  #end: string | undefined;

  constructor(name: string, file: string, args: readonly string[], options: ProgramOptions) {
    this.#name = name;
    this.#child = spawn(file, [...args], { env: options.env, cwd: "/", detached: true, stdio: "pipe" });
    this.pid = this.#child.pid;
    const { stdin, stdout, stderr } = this.#child;
    stdin?.on("error", () => undefined); // EPIPE: it has ended, and `ended` tells
    if (options.onStdout !== undefined) stdout?.on("data", options.onStdout);
    else this.#readLines(stdout);
    this.#readLines(stderr);
    this.ended = new Promise((resolve) => {
      this.#child.once("error", (error) => this.#finish(error.message, resolve));
      this.#child.once("close", (code, signal) => {
        this.#finish(signal === null ? `exit status ${code}` : `killed by ${signal}`, resolve);
      });
    });
  }

  /**
   * The first line that matches, of those already written and those to come.
   * @param timeout Milliseconds. @throws Fault 5 when the time is over or the program ended without it.
   */
  async line(pattern: RegExp, timeout: number): Promise<string> {
    const written = this.lines.find((line) => pattern.test(line));
    if (written !== undefined) return written;
    if (this.#end !== undefined) throw this.#fault(`ended (${this.#end})`, pattern);
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const waiter: Waiter = { pattern, resolve, reject };
    this.#waiters.add(waiter);
    const timer = setTimeout(() => reject(this.#fault(`did not within ${timeout} ms`, pattern)), timeout);
    return promise.finally(() => {
      clearTimeout(timer);
      this.#waiters.delete(waiter);
    });
  }

  /** Writes to its standard input; the promise settles when the kernel has it, or when nobody reads any more. */
  write(text: string): Promise<void> {
    return new Promise((resolve) => {
      if (this.#child.stdin?.writable) this.#child.stdin.write(text, () => resolve());
      else resolve();
    });
  }

  /** Lets go of it: it may outlive us, and we may end before it. */
  release(): void {
    for (const stream of [this.#child.stdin, this.#child.stdout, this.#child.stderr]) stream?.destroy();
    this.#child.unref();
  }

  /** Ends it and all that it started: by `signal`, two seconds later by SIGKILL. Idempotent. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<string> {
    this.signal(signal);
    return this.#endedOrKilled();
  }

  /** Ends a program that ends when its standard input does; SIGKILL two seconds later. Idempotent. */
  async finish(): Promise<string> {
    this.#child.stdin?.end();
    return this.#endedOrKilled();
  }

  async #endedOrKilled(): Promise<string> {
    const timer = setTimeout(() => this.signal("SIGKILL"), patience(2000));
    try {
      return await this.ended;
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Sends a signal to what it started, or to itself if that is nothing; no effect when it has ended.
   * nsenter(1) is spared because it is the parent from which its program is reaped: without it the dead program would
   * stay in its pid namespace until the machine's init looks, and hold up the end of the namespace.
   */
  signal(signal: NodeJS.Signals): void {
    if (this.pid === undefined || this.#end !== undefined) return;
    const started = descendants(this.pid);
    for (const pid of started.length > 0 ? started : [this.pid]) {
      try {
        process.kill(pid, signal);
      } catch {
        // ESRCH: it ended in the meantime.
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #readLines(stream: NodeJS.ReadableStream | null): void {
    let rest = "";
    stream?.setEncoding("utf8").on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.#take(line);
    });
  }

  #take(line: string): void {
    this.lines.push(line);
    if (this.lines.length > LINES_KEPT) this.lines.shift();
    for (const waiter of this.#waiters) if (waiter.pattern.test(line)) waiter.resolve(line);
  }

  #finish(how: string, resolve: (how: string) => void): void {
    this.#end ??= how;
    for (const waiter of this.#waiters) waiter.reject(this.#fault(`ended (${this.#end})`, waiter.pattern));
    resolve(this.#end);
  }

  #fault(what: string, pattern: RegExp): Fault {
    const details = this.lines.slice(-10).join("\n");
    return new Fault(Code.io, `${this.#name} should have written ${pattern}, but ${what}`, "see its last lines", {
      details,
    });
  }
}

function descendants(pid: number): number[] {
  const children = (readText(`/proc/${pid}/task/${pid}/children`) ?? "").split(" ").filter((child) => child !== "");
  return children.map(Number).flatMap((child) => [child, ...descendants(child)]);
}
