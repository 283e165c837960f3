import { connect, type Vici, ViciError } from "vici";
import { Code, Fault } from "../fault.ts";
import { findDaemon, startDaemon, stopDaemon } from "../os/daemon.ts";
import { effect } from "../os/effect.ts";
import { findExecutable, readText, removeTree, truncateAbove, writeAtomic } from "../os/file.ts";
import type { Netns } from "../os/namespace.ts";
import type { Pidfd } from "../os/pidfd.ts";
import { appeared } from "../os/watch.ts";
import { type CharonOptions, charonLog, strongswanConf, viciSocket } from "./strongswan-conf.ts";

/** Where distributions put `charon-systemd`, the charon that needs no starter and no pid file of its own. */
const CHARON_DIRECTORIES = [
  "/usr/sbin",
  "/usr/local/sbin",
  "/usr/libexec/strongswan",
  "/usr/lib/strongswan",
  "/usr/libexec/ipsec",
  "/usr/lib/ipsec",
];

/** Bound of a charon's log, in KiB: it stops growing there, and goes on when CHECK has cut it. */
const LOG_BOUND = 1024;

/** Milliseconds from SIGTERM to SIGKILL. */
const GRACE = 2000;

/** Milliseconds that the kernel gets to clear a killed process away. */
const CLEARING = 20_000;

const SIGKILL = 9;

/** Path of the installed charon-systemd. @throws Fault 101 when there is none. */
export function charonExecutable(): string {
  const path = findExecutable("charon-systemd", CHARON_DIRECTORIES);
  if (path !== undefined) return path;
  throw new Fault(
    Code.missingPart,
    `charon-systemd is in none of ${CHARON_DIRECTORIES.join(", ")}`,
    "install strongSwan (Debian: charon-systemd libcharon-extra-plugins)",
  );
}

/**
 * Starts a charon that outlives us and waits until its VICI answers.
 * @param lockFd See `DaemonOptions.lockFd`. @param timeout Milliseconds.
 * @throws Fault 101 or 103, with charon's last log lines in `details`.
 */
export async function startCharon(
  options: CharonOptions & { readonly netns?: Netns; readonly lockFd?: number; readonly timeout: number },
): Promise<Vici> {
  const { directory, netns, lockFd } = options;
  const configuration = configurationFile(directory);
  writeAtomic(configuration, strongswanConf(options));
  removeTree(viciSocket(directory)); // one left behind by a killed charon would be taken for the new one's
  const daemon = await startDaemon({
    file: charonExecutable(),
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", STRONGSWAN_CONF: configuration },
    pidFile: pidFile(directory),
    maxFileSize: LOG_BOUND,
    ...(netns === undefined ? {} : { netns }),
    ...(lockFd === undefined ? {} : { lockFd }),
  });
  const stop = new AbortController();
  daemon.ended.then((how) => stop.abort(died(directory, how)));
  try {
    await appeared(viciSocket(directory), { timeout: options.timeout, signal: stop.signal });
    return await open(directory, options.timeout, stop.signal);
  } catch (error) {
    throw stop.signal.aborted ? stop.signal.reason : withLog(directory, error);
  }
}

/** Connects to the VICI of the charon in `directory`. @param timeout Milliseconds. @throws ViciError. */
export async function openVici(directory: string, timeout: number): Promise<Vici> {
  return observed(await connect({ path: viciSocket(directory), timeout }));
}

/** The running charon of `directory`, or undefined. */
export function findCharon(directory: string): Pidfd | undefined {
  return findDaemon(pidFile(directory), `STRONGSWAN_CONF=${configurationFile(directory)}`);
}

/**
 * The charon of `directory`, if it runs and answers. One that does not answer (stopped, deadlocked) is killed: with ESP in
 * the kernel that cuts no traffic. @param timeout Milliseconds. @throws Fault 103 for one that cannot be killed.
 */
export async function adoptCharon(directory: string, timeout: number): Promise<Vici | undefined> {
  using charon = findCharon(directory);
  if (charon === undefined) return undefined;
  await using undo = new AsyncDisposableStack();
  try {
    const vici = undo.use(await openVici(directory, timeout));
    await vici.version({ timeout });
    undo.move();
    return vici;
  } catch (error) {
    if (!(error instanceof ViciError)) throw error;
  }
  // Not by SIGTERM: what it would do then is to say good-bye to all peers.
  if (!charon.signal(SIGKILL) || (await charon.ended(CLEARING))) return undefined;
  throw new Fault(Code.charon, `process ${charon.pid} does not end`, "see with `ps` what it waits for");
}

/**
 * Ends the charon of `directory`, if there is one. Its DELETEs leave on SIGTERM, unacknowledged.
 * @param options `grace`: milliseconds from SIGTERM to SIGKILL, {@link GRACE} without it. @throws Fault 103.
 */
export async function stopCharon(directory: string, options: { readonly grace?: number } = {}): Promise<void> {
  using charon = findCharon(directory);
  if (charon !== undefined) await stopDaemon(charon, options.grace ?? GRACE);
}

/** The last `count` lines of a charon's log, or "" when it has none. */
export function logTail(directory: string, count = 5): string {
  return (readText(charonLog(directory)) ?? "").trimEnd().split("\n").slice(-count).join("\n");
}

function configurationFile(directory: string): string {
  return `${directory}/strongswan.conf`;
}

function pidFile(directory: string): string {
  return `${directory}/charon.pid`;
}

/** The socket's name appears at bind(2), an instant before listen(2): until then the kernel refuses. */
async function open(directory: string, timeout: number, signal: AbortSignal): Promise<Vici> {
  const until = performance.now() + timeout;
  for (;;) {
    try {
      return observed(await connect({ path: viciSocket(directory), timeout, signal }));
    } catch (error) {
      const early = error instanceof ViciError && error.code === "ECONNREFUSED" && performance.now() < until;
      if (!early) throw error;
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  }
}

/** Commands that change nothing. Those that list by events are none either. */
const READING: ReadonlySet<string> = new Set([
  "version",
  "stats",
  "subscribe",
  "getConns",
  "getKeys",
  "getShared",
  "getPools",
]);

/**
 * Counts each command that may change something as an effect, also one that charon refused: what it was told is outside of
 * this process. Around the whole object, so that no command of the package can be forgotten.
 */
function observed(vici: Vici): Vici {
  return new Proxy(vici, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== "function" || typeof name !== "string") return member;
      return (...args: unknown[]) => {
        const result: unknown = member.apply(target, args);
        if (READING.has(name)) return result;
        return result instanceof Promise ? result.finally(() => effect(`vici ${name}`)) : result;
      };
    },
  });
}

function died(directory: string, how: string): Fault {
  const [what, remedy] = EXITS[how] ?? [`charon ended (${how})`, `see ${charonLog(directory)}`];
  return new Fault(Code.charon, what, remedy, { details: logTail(directory) });
}

const EXITS: Record<string, [string, string] | undefined> = {
  "exit status 66": [
    "charon could not be initialised (exit status 66)",
    "see that strongSwan's plugins are installed (Debian: libstrongswan-standard-plugins libcharon-extra-plugins)",
  ],
  "exit status 73": ["charon's pid could not be written", "free space on /run"],
  "exit status 134": ["charon aborted", "see that /dev/net/tun works on this node (`modprobe tun`)"],
  "killed by SIGABRT": ["charon aborted", "see that /dev/net/tun works on this node (`modprobe tun`)"],
};

function withLog(directory: string, error: unknown): Fault {
  const what = error instanceof Fault ? error.what : `charon's VICI does not answer: ${String(error)}`;
  return new Fault(Code.charon, what, `see ${charonLog(directory)}`, { details: logTail(directory), cause: error });
}

/** In bytes: half of a charon's bound. */
const TRIM_AT = LOG_BOUND * 512;

/**
 * Empties a log that is half-way to its bound, so that a charon which lives for months can still say why it fails.
 * charon appends (`append = yes`), so it goes on at the new end.
 */
export function trimLog(directory: string): void {
  truncateAbove(charonLog(directory), TRIM_AT);
}
