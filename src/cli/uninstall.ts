import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { listAttachments, PODS_DIRECTORY, RUN_DIRECTORY } from "../attachment/record.ts";
import { Code, Fault } from "../fault.ts";
import { NODE_CHARON_DIRECTORY } from "../node/charon/directory.ts";
import { nodeDevices, removeNodeDevice } from "../node/remove.ts";
import { addonDirectories } from "../os/addon.ts";
import { type Found, identify, remove } from "../os/executable.ts";
import { listDirectory, removeIfEmpty } from "../os/file.ts";
import { programs } from "../programs.ts";
import { SOCKETS } from "../wireguard/wireguard-go.ts";
import type { Form, Options, Terminal } from "./command.ts";
import { DEFAULT_BIN_DIRECTORY } from "./install.ts";

export const help = `
Usage: podvpn uninstall [--bin-dir DIR] [--force] [--dry-run]

Removes the names that "podvpn install" made, and every trace of podvpn on this
node: WireGuard devices with their routes and rules, the node's charon, its
refusal of virtual subnets, /var/lib/podvpn (with the node's private keys, and a
hub's leases), /run/podvpn. What others put under those names stays.

Refuses while pods are attached or a hub runs: only the plugin can detach a pod.
A node with an agent leaves the mesh first: podvpn agent --leave.

Options:
  --bin-dir DIR  the runtime's directory (${DEFAULT_BIN_DIRECTORY})
  --force        do it all the same; what runs then has to be ended by hand
  --dry-run      only say what would be done

Exit status:
  0  nothing of podvpn is left but what is told of with "keep"
  1  pods are attached, a hub runs, or something could not be removed

Files:
  /opt/cni/bin     the plugins
  /var/lib/podvpn  keys and leases: without them this node is a stranger to its
                   peers, and pods get other virtual IPs
  /run/podvpn      what runs now

Examples:
  podvpn uninstall --dry-run
  systemctl disable --now podvpn; podvpn agent --leave; podvpn uninstall
`;

const OPTIONS = {
  "bin-dir": { type: "string", default: DEFAULT_BIN_DIRECTORY, value: "directory" },
  force: { type: "boolean" },
  "dry-run": { type: "boolean" },
} satisfies Options;

export const forms: readonly Form[] = [{ options: OPTIONS }];

const STATE_DIRECTORY = "/var/lib/podvpn";
const HUB_DIRECTORY = "hub";

export interface UninstallPlan {
  readonly remove: readonly string[];
  /** Lines about what stays. */
  readonly keep: readonly string[];
}

/**
 * @param found What stands at each path that an installation may have made.
 * @param traces Directories that are podvpn's alone and exist.
 */
export function planUninstall(found: ReadonlyMap<string, Found>, traces: readonly string[]): UninstallPlan {
  const names = [...found];
  return {
    remove: [...names.filter(([, what]) => what === "ours").map(([path]) => path), ...traces],
    keep: names.filter(([, what]) => what === "foreign").map(([path]) => `keep ${path}: it is not podvpn's`),
  };
}

export async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: OPTIONS });
  const directory = resolve(values["bin-dir"]);
  const dryRun = values["dry-run"] === true;
  if (!values.force) refuseWhileLive();
  // To ask the kernel leaves traces of its own (the native addons): not where there are none.
  for (const { name, pods } of await nodeDevices(identify(STATE_DIRECTORY) !== "absent")) {
    if (pods > 0) {
      terminal.stdout(`keep the WireGuard device ${name}: ${pods} pods are routed through it\n`);
      continue;
    }
    if (!dryRun) await removeNodeDevice(name);
    terminal.stdout(`${dryRun ? "would " : ""}remove the WireGuard device ${name}\n`);
  }
  if (await endNodeCharon(dryRun)) terminal.stdout(`${dryRun ? "would " : ""}end the node's charon\n`);
  for (const subnet of await nodeRefusals(dryRun)) {
    terminal.stdout(`${dryRun ? "would " : ""}no longer refuse ${subnet}\n`);
  }
  if (!dryRun && removeIfEmpty(SOCKETS)) terminal.stdout(`remove ${SOCKETS}\n`);
  const found = new Map(programs.map((program) => [`${directory}/${program}`, identify(`${directory}/${program}`)]));
  const plan = planUninstall(found, traces(directory));
  for (const path of plan.remove) {
    if (!dryRun) remove(path);
    terminal.stdout(`${dryRun ? "would " : ""}remove ${path}\n`);
  }
  for (const line of plan.keep) terminal.stdout(`${line}\n`);
  if (plan.remove.length === 0) terminal.stdout("nothing of podvpn is installed\n");
  return 0;
}

/** One that no pod needs was left by a plugin that was killed, or its records were cleared away. False when there is none. */
async function endNodeCharon(dryRun: boolean): Promise<boolean> {
  if (listDirectory(NODE_CHARON_DIRECTORY).length === 0) return false;
  if (dryRun) return true;
  const { releaseNodeCharon } = await import("../node/charon/release.ts");
  return await releaseNodeCharon();
}

/** The virtual subnets that the node refuses since it had pods of them. Asked only where podvpn has been. */
async function nodeRefusals(dryRun: boolean): Promise<readonly string[]> {
  if (identify(STATE_DIRECTORY) === "absent" && identify(RUN_DIRECTORY) === "absent") return [];
  const [{ refusedSubnets, removeRefusals }, { openRoute }] = await Promise.all([
    import("../attachment/node.ts"),
    import("../netlink/open.ts"),
  ]);
  using nl = openRoute();
  const subnets = await refusedSubnets(nl);
  if (!dryRun) await removeRefusals(nl);
  return subnets;
}

function traces(directory: string): string[] {
  const addons = [...addonDirectories(), ...addonDirectories(`${directory}/${programs[0]}`)];
  const elsewhere = addons.filter((path) => !path.startsWith(STATE_DIRECTORY) && !path.startsWith(RUN_DIRECTORY));
  const interrupted = listDirectory(directory).filter((name) => /^\.podvpn-\d+-\d+\.tmp$/.test(name));
  const candidates = [STATE_DIRECTORY, RUN_DIRECTORY, ...new Set(elsewhere)];
  return [
    ...candidates.filter((path) => identify(path) !== "absent"),
    ...interrupted.map((name) => `${directory}/${name}`),
  ];
}

/** @throws Fault 11 that names what is alive. */
function refuseWhileLive(): void {
  const records = new Map(listAttachments().map(({ directory, record }) => [directory, record]));
  // By directory, not by record: one that cannot be read belongs to a pod all the same.
  const pods = listDirectory(PODS_DIRECTORY).map((name) => {
    const record = records.get(`${PODS_DIRECTORY}/${name}`);
    return record === undefined ? name : `${record.ifname} of container ${record.containerID}`;
  });
  const live = [...pods, ...listDirectory(RUN_DIRECTORY).filter((name) => name === HUB_DIRECTORY)];
  if (live.length === 0) return;
  throw new Fault(
    Code.tryAgainLater,
    `still attached: ${live.join(", ")}`,
    "remove these pods from the node (and stop `podvpn hub`) first, or say --force",
  );
}
