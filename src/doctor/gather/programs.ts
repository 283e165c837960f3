import { charonExecutable } from "../../ipsec/charon.ts";
import { findExecutable, readText } from "../../os/file.ts";
import { run } from "../../os/process.ts";
import { programs } from "../../programs.ts";

/** A program as it was found. */
export interface ProgramFacts {
  readonly name: string;
  /** Absent: it is in none of the directories. */
  readonly path?: string;
  /** As it tells itself; absent where it tells none, or cannot be asked. */
  readonly version?: string;
}

/** Those that are looked for. */
export interface ProgramsFacts {
  /** The runtime's directory of plugins. */
  readonly binDirectory: string;
  /** podvpn's own names in it. */
  readonly own: readonly ProgramFacts[];
  /** Plugins that podvpn's configurations call: in that directory. */
  readonly plugins: readonly ProgramFacts[];
  /** Where distributions have plugins that are not in it. */
  readonly elsewhere: readonly ProgramFacts[];
  /** What podvpn starts, or asks. */
  readonly tools: readonly ProgramFacts[];
  /** Whether the package manager is Debian's. */
  readonly hasApt: boolean;
}

const SYSTEM = ["/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/local/bin"];

/** Where Debian, Fedora and others put the reference plugins. */
const PLUGINS_ELSEWHERE = ["/usr/lib/cni", "/usr/libexec/cni", "/opt/cni/bin"];

/** How a program tells its version. charon-systemd is not among them: it takes every argument for a start. */
const TOOLS: Readonly<Record<string, readonly string[]>> = {
  ip: ["-V"],
  ping: ["-V"],
  nft: ["--version"],
  iptables: ["--version"],
  "wireguard-go": ["--version"],
  swanctl: ["--version"],
};

/** Milliseconds: a program that does not answer has no version. */
const ANSWER = 3000;

/** Looks for all of them, side by side. @param types Of the plugins that configurations call. */
export async function readPrograms(binDirectory: string, types: readonly string[]): Promise<ProgramsFacts> {
  const wanted = [...new Set(["bridge", "host-local", ...types])].filter((type) => !isOwn(type));
  const inBin = (name: string): ProgramFacts => located(name, findExecutable(name, [binDirectory]));
  const others = wanted.filter((name) => inBin(name).path === undefined);
  const tools = await Promise.all(Object.entries(TOOLS).map(([name, ask]) => toolFacts(name, ask)));
  return {
    binDirectory,
    own: programs.map(inBin),
    plugins: wanted.map(inBin),
    elsewhere: others.map((name) => located(name, findExecutable(name, PLUGINS_ELSEWHERE))),
    tools: [...tools, located("charon-systemd", charonPath())],
    hasApt: readText("/etc/debian_version") !== undefined,
  };
}

function isOwn(type: string): boolean {
  return programs.some((name) => name === type);
}

function located(name: string, path: string | undefined): ProgramFacts {
  return path === undefined ? { name } : { name, path };
}

function charonPath(): string | undefined {
  try {
    return charonExecutable();
  } catch {
    return undefined; // its own Fault says where it was looked for; the check says what to install
  }
}

async function toolFacts(name: string, ask: readonly string[]): Promise<ProgramFacts> {
  const path = findExecutable(name, SYSTEM);
  if (path === undefined) return { name };
  const version = await versionOf(path, ask);
  return version === undefined ? { name, path } : { name, path, version };
}

async function versionOf(path: string, ask: readonly string[]): Promise<string | undefined> {
  try {
    const { stdout, stderr } = await run(path, ask, { timeout: ANSWER, env: { LC_ALL: "C" } });
    return /\d+(?:\.\d+)+/.exec(`${stdout}${stderr}`)?.[0] ?? /\d{8}/.exec(`${stdout}${stderr}`)?.[0];
  } catch {
    return undefined;
  }
}
