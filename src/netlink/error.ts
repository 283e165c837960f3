import { getSystemErrorMap } from "node:util";

/** The kernel refused a request, or the socket failed. Callers turn it into a Fault that names the remedy. */
export class NetlinkError extends Error {
  override readonly name = "NetlinkError";
  /** Symbolic name as Node has it: "EEXIST"; "ENOTSUP" for the kernel's EOPNOTSUPP. */
  readonly errno: string;
  /** What was asked for, in words: "add the address 10.1.2.3/32 on link 5". */
  readonly operation: string;

  /** @param options `message`: what the errno means here; `cause` as in Error. */
  constructor(errno: string, operation: string, options: ErrorOptions & { readonly message?: string } = {}) {
    super(`cannot ${operation}: ${options.message === undefined ? errno : `${options.message} (${errno})`}`, options);
    this.errno = errno;
    this.operation = operation;
  }
}

/** From the kernel's positive error number. One that Node does not know keeps its number: "errno 512". */
export function netlinkError(errno: number, operation: string): NetlinkError {
  const [name, message] = getSystemErrorMap().get(-errno) ?? [`errno ${errno}`];
  return new NetlinkError(name, operation, message === undefined ? {} : { message });
}

/** True when `change` was made, false when the kernel refused it with one of `errnos`: those that mean "already so". */
export async function changed(change: Promise<void>, ...errnos: readonly string[]): Promise<boolean> {
  const made = change.then(() => true);
  return (await unless(made, ...errnos)) ?? false;
}

/** The answer, or undefined when the kernel refused with one of `errnos`: those that mean "there is none". */
export async function unless<T>(answer: Promise<T>, ...errnos: readonly string[]): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof NetlinkError && errnos.includes(error.errno)) return undefined;
    throw error;
  }
}
