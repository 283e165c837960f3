import { Code, Fault } from "../fault.ts";
import { findDaemon, startDaemon, stopDaemon } from "../os/daemon.ts";
import { deviceRefusal, findExecutable, mkdirPrivate, readText, removeTree, truncateAbove } from "../os/file.ts";
import type { Pidfd } from "../os/pidfd.ts";
import { requestSocket, SocketFault } from "../os/unix-socket.ts";
import { appeared } from "../os/watch.ts";
import { GET, parseGet } from "./uapi.ts";

// wireguard-go as a process of ours; how it behaves is in docs/facts/wireguard.md.

/** Where every wireguard-go has its socket, which is compiled into it. */
export const SOCKETS = "/var/run/wireguard";

/** Where distributions and `make install` put it. */
const DIRECTORIES = ["/usr/bin", "/usr/local/bin", "/usr/sbin", "/usr/local/sbin"];

/** Bound of the log, in KiB: it stops growing there, and goes on when {@link trimDeviceLog} has cut it. */
const LOG_BOUND = 256;

/** Milliseconds from SIGTERM to SIGKILL. */
const GRACE = 2000;

/** Milliseconds for one answer: it takes 0.1 for each peer. Longer is a wireguard-go that hangs. */
export const ANSWER = 5000;

/** How a wireguard-go is started. */
export interface WireguardGoOptions {
  /** Where its pid file and its log are; private to root. */
  readonly directory: string;
  /** Of the interface that it makes. */
  readonly name: string;
  /** See `DaemonOptions.lockFd`. */
  readonly lockFd?: number;
  /** Milliseconds until its interface is there and its sockets are open. */
  readonly timeout: number;
}

/**
 * Starts a wireguard-go that outlives us, and waits until its interface is there and it listens, on any UDP port. The
 * caller holds the lock on the directory, and has seen that no interface has the name.
 * @throws Fault 101 for what this node lacks, 102 when it gives up; with its last log lines in `details`.
 */
export async function startWireguardGo({ directory, name, lockFd, timeout }: WireguardGoOptions): Promise<void> {
  const file = executable();
  requireTun();
  mkdirPrivate(SOCKETS);
  if (!(await removeStaleSocket(name))) throw socketTaken(name);
  removeTree(logFile(directory));
  const daemon = await startDaemon({
    file,
    args: ["-f", name],
    // WG_PROCESS_FOREGROUND: without the banner which says that the kernel's own is better.
    env: { LOG_LEVEL: "error", WG_PROCESS_FOREGROUND: "1", [IDENTITY]: identity(directory, name) },
    pidFile: pidFile(directory),
    logFile: logFile(directory),
    maxFileSize: LOG_BOUND,
    ...(lockFd === undefined ? {} : { lockFd }),
  });
  const stop = new AbortController();
  daemon.ended.then((how) => stop.abort(died(directory, name, how)));
  try {
    await appeared(socketPath(name), { timeout, signal: stop.signal });
    await listening(name, timeout, stop.signal);
  } catch (cause) {
    if (stop.signal.aborted) throw stop.signal.reason;
    const details = logTail(directory);
    const what = `wireguard-go for ${name} was not ready within ${timeout / 1000} s`;
    throw new Fault(Code.kernel, what, "see its last log lines, and how busy this node is", { details, cause });
  }
}

/** The running wireguard-go of that device, or undefined. */
export function findWireguardGo(directory: string, name: string): Pidfd | undefined {
  return findDaemon(pidFile(directory), `${IDENTITY}=${identity(directory, name)}`);
}

/** Whether one was started for the directory, and not stopped by us: it need not run any more. */
export function hasPidFile(directory: string): boolean {
  return readText(pidFile(directory)) !== undefined;
}

/**
 * Ends the wireguard-go of that device, and with it the interface, wherever that was moved. What a killed one left
 * behind goes as well. Nothing there is fine. @throws Fault 103 when it does not end.
 */
export async function stopWireguardGo(directory: string, name: string): Promise<void> {
  using daemon = findWireguardGo(directory, name);
  if (daemon !== undefined) {
    daemon.signal(SIGCONT); // one that is stopped would take no notice of SIGTERM
    await stopDaemon(daemon, GRACE);
  }
  await removeStaleSocket(name);
  removeTree(logFile(directory));
  removeTree(pidFile(directory));
}

/** Empties a log that is half-way to its bound, so that there is room for what comes. */
export function trimDeviceLog(directory: string): void {
  truncateAbove(logFile(directory), LOG_BOUND * 512);
}

/** The last lines of its log, or "" when it has none. */
export function logTail(directory: string, count = 5): string {
  return (readText(logFile(directory)) ?? "").trimEnd().split("\n").slice(-count).join("\n");
}

/** Of the UAPI socket. */
export function socketPath(name: string): string {
  return `${SOCKETS}/${name}.sock`;
}

/** The fault of one that does not answer. */
export function silent(directory: string, name: string, cause: unknown): Fault {
  const why = cause instanceof SocketFault ? ` (${cause.errno})` : "";
  const remedy = "stop it: the next ADD or CHECK starts it anew";
  const details = logTail(directory);
  return new Fault(Code.kernel, `wireguard-go for ${name} does not answer${why}`, remedy, { details, cause });
}

/** @throws Fault 101 when there is no wireguard-go, or no usable /dev/net/tun. */
export function requireWireguardGo(): void {
  executable();
  requireTun();
}

const IDENTITY = "PODVPN_DEVICE";
const SIGCONT = 18;

/** Names of interfaces are the same in many network namespaces, directories are not. */
function identity(directory: string, name: string): string {
  return `${directory}/${name}`;
}

function pidFile(directory: string): string {
  return `${directory}/wireguard-go.pid`;
}

function logFile(directory: string): string {
  return `${directory}/wireguard-go.log`;
}

function executable(): string {
  const path = findExecutable("wireguard-go", DIRECTORIES);
  if (path !== undefined) return path;
  throw new Fault(
    Code.missingPart,
    `wireguard-go is in none of ${DIRECTORIES.join(", ")}`,
    "install it (Debian: wireguard-go), or use a kernel with WireGuard",
  );
}

function requireTun(): void {
  const refusal = deviceRefusal("/dev/net/tun");
  if (refusal === undefined) return;
  throw new Fault(
    Code.missingPart,
    `/dev/net/tun cannot be opened (${refusal})`,
    "load the kernel module tun (`modprobe tun`)",
  );
}

/** Removes the socket that a killed wireguard-go left; false when somebody listens there, who has to keep it. */
async function removeStaleSocket(name: string): Promise<boolean> {
  try {
    await requestSocket(socketPath(name), "", { timeout: ANSWER });
    return false;
  } catch (error) {
    if (!(error instanceof SocketFault) || error.errno === "ETIMEDOUT") return false;
    if (error.errno !== "ENOENT") removeTree(socketPath(name));
    return true;
  }
}

function socketTaken(name: string): Fault {
  return new Fault(
    Code.kernel,
    `a wireguard-go that podvpn did not start has ${socketPath(name)}`,
    "stop it, or give another wireguard.interface",
  );
}

/**
 * Waits until it has opened its UDP socket, which nothing tells: a fraction of a millisecond after its other one. A
 * port that is set before then and cannot be had would not be refused, but replaced by another.
 */
async function listening(name: string, timeout: number, signal: AbortSignal): Promise<void> {
  for (const until = performance.now() + timeout; ; ) {
    signal.throwIfAborted();
    if ((await listenPort(name)) !== 0) return;
    if (performance.now() > until) throw new SocketFault("ETIMEDOUT", socketPath(name));
  }
}

/** 0: none yet. The socket's name appears at bind(2), an instant before listen(2): until then the kernel refuses. */
async function listenPort(name: string): Promise<number> {
  try {
    const answer = await requestSocket(socketPath(name), GET, { timeout: ANSWER });
    return parseGet(answer.toString("latin1")).listenPort;
  } catch (error) {
    if (error instanceof SocketFault && error.errno === "ECONNREFUSED") return 0;
    throw error;
  }
}

function died(directory: string, name: string, how: string): Fault {
  if (how === "exit status 73") {
    return new Fault(Code.io, `${pidFile(directory)} could not be written`, "free space on that file system");
  }
  const details = logTail(directory);
  if (/not permitted/.test(details)) {
    const what = `wireguard-go may not make the interface ${name}`;
    return new Fault(Code.missingPart, what, "run podvpn as root with CAP_NET_ADMIN", { details });
  }
  return new Fault(Code.kernel, `wireguard-go for ${name} ended (${how})`, "see its last log lines", { details });
}
