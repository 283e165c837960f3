import { getSystemErrorMap } from "node:util";
import { Code, Fault } from "../fault.ts";

/** The kernel refused a request, or the socket failed: a Fault 102 that names the errno and its usual remedy. */
export class NetlinkError extends Fault {
  override readonly name = "NetlinkError";
  /** Symbolic name as Node has it: "EEXIST"; "ENOTSUP" for the kernel's EOPNOTSUPP. */
  readonly errno: string;
  /** What was asked for, in words: "add the address 10.1.2.3/32 on link 5". */
  readonly operation: string;

  /** @param options `message`: what the errno means here; `cause` as in Error. */
  constructor(errno: string, operation: string, options: ErrorOptions & { readonly message?: string } = {}) {
    const what = `cannot ${operation}: ${options.message === undefined ? errno : `${options.message} (${errno})`}`;
    super(Code.kernel, what, REMEDIES[errno] ?? "see with `ip` and `dmesg` what the kernel has against it", options);
    this.errno = errno;
    this.operation = operation;
  }
}

const REMEDIES: Record<string, string | undefined> = {
  EPERM: "run as root with CAP_NET_ADMIN in that namespace",
  ENOBUFS: "free memory on this node",
  ENOMEM: "free memory on this node",
  ENODEV: "see that the interface still exists",
  ENOTSUP: "use a kernel that has this feature, or load its module",
  EPROTONOSUPPORT: "use a kernel that has this feature, or load its module",
};

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
