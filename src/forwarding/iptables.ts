import type { Family } from "../net/address.ts";
import { type Prefix, parsePrefix } from "../net/prefix.ts";
import { findExecutable } from "../os/file.ts";
import type { Netns } from "../os/namespace.ts";
import { run } from "../os/process.ts";

/** iptables has two sets of tables in the kernel, and a program for each: x_tables, and nf_tables. */
export type Backend = "legacy" | "nft";

/** A rule of ours in FORWARD: accepts what goes between the device and a subnet of pods. */
export interface AcceptRule {
  readonly device: string;
  /** "in": from the device to the subnet. */
  readonly direction: "in" | "out";
  readonly subnet: Prefix;
}

/** The chain FORWARD of the table `filter`, as far as it matters here. */
export interface ForwardChain {
  /** What no rule speaks of is dropped or rejected: by the policy, or by a rule for everything. */
  readonly refuses: boolean;
  /** The rules of ours, of all devices. */
  readonly accepts: readonly AcceptRule[];
}

/** By it our rules are found again. */
const COMMENT = "podvpn";

/** Where the programs are; kubelet and its like have a short PATH. */
const DIRECTORIES = ["/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin"];
const ENVIRONMENT = { PATH: DIRECTORIES.join(":"), LC_ALL: "C" };

/** Milliseconds; and seconds that it waits for others who change the tables. */
const TIMEOUT = 10_000;
const LOCK_WAIT = "5";

/** What lets packets pass between the device and these subnets. Pure. */
export function acceptRules(device: string, subnets: readonly Prefix[]): AcceptRule[] {
  return [...new Set(subnets)].flatMap((subnet): AcceptRule[] => [
    { device, direction: "in", subnet },
    { device, direction: "out", subnet },
  ]);
}

/** Whether the two are the same rule. Pure. */
export function isSameRule(one: AcceptRule, other: AcceptRule): boolean {
  return one.device === other.device && one.direction === other.direction && one.subnet === other.subnet;
}

/** The rule as iptables is told it. Pure. */
export function ruleArguments({ device, direction, subnet }: AcceptRule): string[] {
  const which = direction === "in" ? ["-i", device, "-d", subnet] : ["-o", device, "-s", subnet];
  return [...which, "-m", "comment", "--comment", COMMENT, "-j", "ACCEPT"];
}

/** What `iptables -S FORWARD` wrote; undefined when it cannot read the table. Pure. */
export function parseForward(listing: string): ForwardChain | undefined {
  // iptables-nft writes this, a wrong policy, and exits with 0.
  if (/^# Table .* incompatible/m.test(listing)) return undefined;
  const lines = listing.split("\n");
  return {
    refuses: lines.some((line) => line === "-P FORWARD DROP" || REFUSES_ALL.test(line)),
    accepts: lines.map(parseAccept).filter((rule) => rule !== undefined),
  };
}

const REFUSES_ALL = /^-A FORWARD(?: -m comment --comment (?:"(?:[^"\\]|\\.)*"|\S+))? -j (?:DROP|REJECT)(?: |$)/;
const ACCEPTS = new RegExp(`^-A FORWARD -([sd]) (\\S+) -([io]) (\\S+) -m comment --comment "?${COMMENT}"? -j ACCEPT$`);

function parseAccept(line: string): AcceptRule | undefined {
  const [, end, prefix = "", side, device = ""] = ACCEPTS.exec(line) ?? [];
  const subnet = parsePrefix(prefix);
  if (subnet === undefined || (end === "d") !== (side === "i")) return undefined;
  return { device, direction: side === "i" ? "in" : "out", subnet };
}

/** The program for the backend and family, with its path; undefined when this node has none. @throws Fault 5. */
export async function findIptables(backend: Backend, family: Family): Promise<string | undefined> {
  const name = family === 4 ? "iptables" : "ip6tables";
  const exact = findExecutable(`${name}-${backend}`, DIRECTORIES);
  if (exact !== undefined) return exact;
  const plain = findExecutable(name, DIRECTORIES);
  if (plain === undefined) return undefined;
  // "iptables v1.8.9 (nf_tables)"; before 1.8 there was only one, which says nothing of it.
  const { stdout } = await run(plain, ["--version"], { timeout: TIMEOUT, env: ENVIRONMENT });
  return stdout.toString().includes("nf_tables") === (backend === "nft") ? plain : undefined;
}

/** The chain; undefined when the program cannot read the table. @throws Fault 5 or 101. */
export async function readForward(program: string, netns: Netns | undefined): Promise<ForwardChain | undefined> {
  const { code, stdout } = await iptables(program, ["-S", "FORWARD"], netns);
  return code === 0 ? parseForward(stdout.toString()) : undefined;
}

/**
 * Inserts a rule at the head of FORWARD, or deletes it.
 * @returns What the program said when it failed. @throws Fault 5 or 101.
 */
export async function changeForward(
  program: string,
  operation: "-I" | "-D",
  rule: AcceptRule,
  netns: Netns | undefined,
): Promise<string | undefined> {
  const { code, stderr } = await iptables(program, [operation, "FORWARD", ...ruleArguments(rule)], netns);
  return code === 0 ? undefined : stderr.toString().trim() || `exit status ${code}`;
}

function iptables(program: string, args: readonly string[], netns: Netns | undefined) {
  const options = { timeout: TIMEOUT, env: ENVIRONMENT };
  return run(program, ["-w", LOCK_WAIT, ...args], netns === undefined ? options : { ...options, netns });
}
