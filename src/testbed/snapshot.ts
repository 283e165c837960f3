import { readdir, readFile, readlink } from "node:fs/promises";
import type { Node } from "./node.ts";
import type { Place } from "./place.ts";

/** Lines by section ("links", "pod a: routes", …), each section sorted. */
export type Snapshot = ReadonlyMap<string, readonly string[]>;

/**
 * What is new or missing in `after`, as `+ section: line` and `- section: line`; empty when the two are equal. Pure.
 */
export function diffSnapshots(before: Snapshot, after: Snapshot): string[] {
  const sections = new Set([...before.keys(), ...after.keys()]);
  return [...sections].flatMap((section) => {
    const [old, now] = [before.get(section) ?? [], after.get(section) ?? []];
    return [
      ...without(old, now).map((line) => `- ${section}: ${line}`),
      ...without(now, old).map((line) => `+ ${section}: ${line}`),
    ];
  });
}

/** As sets with repetition: a second identical rule is a difference. */
function without(lines: readonly string[], others: readonly string[]): string[] {
  const rest = [...others];
  return lines.filter((line) => {
    const at = rest.indexOf(line);
    if (at >= 0) rest.splice(at, 1);
    return at < 0;
  });
}

/** What a node holds: its kernel's tables, its processes, mounts and files, and the tables of each named namespace. */
export async function snapshotNode(node: Node): Promise<Snapshot> {
  // Before any command of ours runs there.
  const processes = await listProcesses(node.pid);
  const [mounts, files, network] = await Promise.all([listMounts(node.pid), listFiles(node), snapshotNetwork(node)]);
  const pods = await Promise.all(
    [...node.pods.values()].map(async (pod) => {
      const sections = await snapshotNetwork(pod);
      return [...sections].map(([section, lines]) => [`pod ${pod.name}: ${section}`, lines] as const);
    }),
  );
  return new Map([["processes", processes], ["mounts", mounts], ["files", files], ...network, ...pods.flat()]);
}

/** The kernel's tables of one network namespace. Counters, neighbours and the link's carrier are left out. */
export async function snapshotNetwork(place: Place): Promise<Snapshot> {
  const sections = await Promise.all(
    Object.entries(TABLES).map(async ([section, table]) => {
      const { stdout } = await place.exec(table.argv, { check: table.optional !== true });
      return [section, table.lines(stdout).sort()] as const;
    }),
  );
  return new Map(sections);
}

interface Table {
  readonly argv: readonly [string, ...string[]];
  /** The tool may be missing, or the kernel may not have the table. */
  readonly optional?: true;
  lines(output: string): string[];
}

const TABLES: Record<string, Table> = {
  links: { argv: ["ip", "-j", "-d", "link", "show"], lines: (output) => objects(output).map(linkLine) },
  addresses: { argv: ["ip", "-j", "address", "show"], lines: (output) => objects(output).flatMap(addressLines) },
  "IPv4 routes": { argv: ["ip", "-4", "route", "show", "table", "all"], lines: routeLines },
  "IPv6 routes": { argv: ["ip", "-6", "route", "show", "table", "all"], lines: routeLines },
  "IPv4 rules": { argv: ["ip", "-4", "rule", "show"], lines: textLines },
  "IPv6 rules": { argv: ["ip", "-6", "rule", "show"], lines: textLines },
  nftables: { argv: ["nft", "-s", "list", "ruleset"], optional: true, lines: numberedLines },
  "legacy iptables": { argv: ["iptables-legacy-save"], optional: true, lines: iptablesLines },
  "legacy ip6tables": { argv: ["ip6tables-legacy-save"], optional: true, lines: iptablesLines },
  "XFRM states": { argv: ["ip", "xfrm", "state", "list", "nokeys"], optional: true, lines: blockLines },
  "XFRM policies": { argv: ["ip", "xfrm", "policy", "list"], optional: true, lines: blockLines },
};

type JsonObject = Readonly<Record<string, unknown>>;

function objects(output: string): JsonObject[] {
  const parsed: unknown = output.trim() === "" ? [] : JSON.parse(output);
  return Array.isArray(parsed) ? parsed.filter(isObject) : [];
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null;
}

/** Without index and MAC: a bridge takes the MAC of its first port, and loses it with that. */
function linkLine(link: JsonObject): string {
  const info = isObject(link.linkinfo) ? link.linkinfo : {};
  const flags = Array.isArray(link.flags) ? link.flags.filter((flag) => !CARRIER.has(flag)).sort() : [];
  return fields([link.ifname, info.info_kind, "mtu", link.mtu, flags.join(","), link.master, link.ifalias]);
}

const CARRIER = new Set<unknown>(["LOWER_UP", "NO-CARRIER", "M-DOWN"]);

function addressLines(link: JsonObject): string[] {
  const addresses = Array.isArray(link.addr_info) ? link.addr_info.filter(isObject) : [];
  return addresses
    .filter((address) => !(address.family === "inet6" && address.scope === "link")) // made from the MAC
    .map(({ local, prefixlen, scope }) => fields([link.ifname, `${local}/${prefixlen}`, scope]));
}

function fields(values: readonly unknown[]): string {
  return values.filter((value) => value !== undefined && value !== "").join(" ");
}

function textLines(output: string): string[] {
  return output.split("\n").filter((line) => line.trim() !== "");
}

/** Without what comes and goes with a link's carrier or its MAC, and without a node's refusals of virtual subnets. */
function routeLines(output: string): string[] {
  return textLines(output)
    .filter((line) => !/^(?:local |anycast |multicast )?(?:fe80:|ff00:)/.test(line) && !REFUSAL.test(line))
    .map((line) => line.replace(/ (?:linkdown|dead|expires \d+sec|pref medium)/g, "").trim());
}

/** Outlives the pods on purpose (src/attachment/node.ts), and has tests of its own. */
const REFUSAL = /^unreachable \S+ (?:dev lo )?proto 173 metric 4000\b/;

/** With their place, since sorting would lose which chain a rule is in. */
function numberedLines(output: string): string[] {
  const scope: string[] = [];
  return textLines(output).flatMap((text) => {
    const line = text.trim();
    if (line === "}") {
      scope.pop();
      return [];
    }
    const path = [...scope, line.replace(/ \{$/, "")].join(" / ");
    if (line.endsWith("{")) scope.push(line.slice(0, -2));
    return [path];
  });
}

function iptablesLines(output: string): string[] {
  let table = "";
  return textLines(output).flatMap((line) => {
    if (line.startsWith("*")) table = line.slice(1);
    const kept = /^(?:-A|:)/.test(line);
    return kept ? [`${table} ${line.replace(/ ?\[\d+:\d+\]/g, "")}`] : [];
  });
}

/** `ip xfrm` indents all but the first line of an entry. */
function blockLines(output: string): string[] {
  return output
    .split(/\n(?=\S)/)
    .map((entry) => entry.replace(/\s+/g, " ").trim())
    .filter((entry) => entry !== "");
}

/** Command lines of all processes in the pid namespace whose process 1 is `pid`, but for that one. */
async function listProcesses(pid: number): Promise<string[]> {
  const namespace = await readlink(`/proc/${pid}/ns/pid`);
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name) && name !== String(pid));
  const lines = await Promise.all(
    pids.map(async (other) => {
      try {
        if ((await readlink(`/proc/${other}/ns/pid`)) !== namespace) return [];
        const cmdline = await readFile(`/proc/${other}/cmdline`, "utf8");
        return [cmdline.split("\0").join(" ").trim() || `[${(await readFile(`/proc/${other}/comm`, "utf8")).trim()}]`];
      } catch {
        return []; // it ended while we looked
      }
    }),
  );
  return lines.flat().sort();
}

async function listMounts(pid: number): Promise<string[]> {
  const mountinfo = await readFile(`/proc/${pid}/mountinfo`, "utf8");
  return textLines(mountinfo)
    .map((line) => {
      const [head = "", tail = ""] = line.split(" - ");
      return `${head.split(" ")[4]} ${tail.split(" ")[0]}`;
    })
    .sort();
}

const STATE_DIRECTORIES = ["/run", "/var/lib/cni", "/var/lib/podvpn", "/etc/cni"];

async function listFiles(node: Node): Promise<string[]> {
  const found = await Promise.all(STATE_DIRECTORIES.map((directory) => walk(node, directory)));
  return found.flat().sort();
}

async function walk(node: Node, directory: string): Promise<string[]> {
  let entries: import("node:fs").Dirent[];
  try {
    entries = await readdir(node.path(directory), { withFileTypes: true });
  } catch {
    return []; // gone while we looked, or never there
  }
  const nested = entries.map(async (entry) => {
    const path = `${directory}/${entry.name}`;
    return entry.isDirectory() ? [`${path}/`, ...(await walk(node, path))] : [path];
  });
  return (await Promise.all(nested)).flat();
}
