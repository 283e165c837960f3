import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";

/** A program to be measured, started directly: no shell and no wrapper between it and us. */
export interface Command {
  readonly file: string;
  readonly args?: readonly string[];
  /** Its whole environment beside PATH. */
  readonly env?: Readonly<Record<string, string>>;
  /** Its standard input, in a file: a pipe would be written by our own event loop. */
  readonly input?: string;
}

/** One run of a program, from our spawn to the event of its end. */
export interface Run {
  readonly milliseconds: number;
  /** CLOCK_MONOTONIC at the spawn, in ms: the clock of `PODVPN_TRACE`. */
  readonly start: number;
  readonly stdout: string;
}

const PATH = "/usr/sbin:/usr/bin:/sbin:/bin";
const DIRECTORY = "/run/bench";

let count = 0;

/**
 * Runs a program to its end.
 * @param watch Called with the process right after its start, for whoever looks at its memory.
 * @throws Error with what it printed when it fails: a failure is no measurement.
 */
export async function timed(command: Command, watch?: (child: ChildProcess) => void): Promise<Run> {
  count += 1;
  const name = `${DIRECTORY}/${count}`;
  writeFileSync(`${name}.in`, command.input ?? "");
  const [stdin, output] = [openSync(`${name}.in`, "r"), openSync(`${name}.out`, "w")];
  const env = { PATH, ...command.env };
  const start = now();
  const child = spawn(command.file, [...(command.args ?? [])], { env, cwd: "/", stdio: [stdin, output, output] });
  closeSync(stdin);
  closeSync(output);
  watch?.(child);
  const code = await new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", resolve);
  });
  const milliseconds = now() - start;
  const stdout = readFileSync(`${name}.out`, "utf8");
  for (const suffix of ["in", "out"]) rmSync(`${name}.${suffix}`);
  if (code !== 0) throw new Error(`${command.file} ${command.env?.CNI_COMMAND ?? ""}: exit status ${code}: ${stdout}`);
  return { milliseconds, start, stdout };
}

/** CLOCK_MONOTONIC in ms. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
