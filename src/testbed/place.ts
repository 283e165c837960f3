import { Code, Fault } from "../fault.ts";
import { type RunOptions, type RunResult, run } from "../os/process.ts";
import { patience } from "./patience.ts";
import { Program, type ProgramOptions } from "./program.ts";

/** How a command is run in a {@link Place}. */
export interface ExecOptions {
  /** Its standard input; /dev/null without it. */
  readonly input?: string | Uint8Array;
  /** Beside {@link ENVIRONMENT}. */
  readonly env?: Readonly<Record<string, string>>;
  /** Milliseconds on a machine of usual speed, 20,000 unless told. */
  readonly timeout?: number;
  /** False: a command that fails is a result like any other. */
  readonly check?: boolean;
}

/** How a command ended. */
export interface ExecResult {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** All that a program in a testbed inherits: what the caller has in its own environment changes no test. */
export const ENVIRONMENT: Readonly<Record<string, string>> = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  LANG: "C.UTF-8",
};

const NSENTER = "/usr/bin/nsenter";

/** Somewhere to run programs: a node, a pod, the switch. */
export class Place {
  /**
   * @param name As messages and tables show it.
   * @param holder Process whose mount and pid namespaces it has. @param netns File of its network namespace.
   */
  constructor(
    readonly name: string,
    private readonly holder: number,
    private readonly netns: string,
  ) {}

  /** `run` of `src/os/process.ts`, in here: for whoever wants to be given a runner, such as a CNI runtime. */
  readonly run = (file: string, args: readonly string[], options: RunOptions): Promise<RunResult> => {
    return run(NSENTER, this.#argv([file, ...args]), options);
  };

  /** Runs a command to its end. @throws Fault 5 with its messages when it fails and `check` is not false. */
  async exec(argv: readonly [string, ...string[]], options: ExecOptions = {}): Promise<ExecResult> {
    const [file, ...args] = argv;
    const { code, signal, stdout, stderr } = await this.run(file, args, {
      timeout: patience(options.timeout ?? 20_000),
      env: { ...ENVIRONMENT, ...options.env },
      ...(options.input === undefined ? {} : { input: options.input }),
    });
    const result: ExecResult = { code, signal, stdout: stdout.toString(), stderr: stderr.toString() };
    if (code !== 0 && options.check !== false) throw this.#failed(argv, result);
    return result;
  }

  /** Starts a program that runs beside us. It ends with the place, at the latest. */
  spawn(argv: readonly [string, ...string[]], options: Partial<ProgramOptions> = {}): Program {
    const env = { ...ENVIRONMENT, ...options.env };
    return new Program(`${argv[0]} on ${this.name}`, NSENTER, this.#argv(argv), { ...options, env });
  }

  #argv(argv: readonly string[]): string[] {
    return ["--target", String(this.holder), "--mount", "--pid", `--net=${this.netns}`, "--", ...argv];
  }

  #failed(argv: readonly string[], { code, signal, stdout, stderr }: ExecResult): Fault {
    const how = signal === null ? `exit status ${code}` : `killed by ${signal}`;
    const details = `${stderr}${stdout}`.trimEnd();
    return new Fault(Code.io, `\`${argv.join(" ")}\` on ${this.name}: ${how}`, "see its messages", { details });
  }
}
