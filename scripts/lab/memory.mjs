// Which of the host's files the guest has in memory from its start. All others come by 9p, where each start of a program
// asks the host for every library and page: `ip link` takes twice as long.
import { existsSync, readdirSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { node, root, run } from "../run.mjs";

/** What testbed, daemons and tests start again and again. */
const PROGRAMS = [
  ...["bash", "sh", "cat", "cp", "cut", "grep", "kill", "ln", "ls", "mkdir", "readlink", "rm", "sed", "sleep", "tail"],
  ...["mount", "umount", "nsenter", "unshare", "setpriv", "timeout", "flock", "pgrep", "ps", "sysctl"],
  ...["ip", "ss", "tc", "nft", "iptables", "ip6tables", "ping", "tcpdump", "socat", "iperf3"],
  ...["wg", "wireguard-go", "charon-systemd", "swanctl"],
];

/** Directories of what those load, or of plugins. */
const DIRECTORIES = ["/usr/lib/ipsec", "/usr/lib/ipsec/plugins", "/usr/lib/x86_64-linux-gnu/xtables"];

const OTHERS = ["/usr/lib/cni/bridge", "/usr/lib/cni/host-local", "/usr/lib/cni/loopback", "/etc/ld.so.cache"];

/** @returns {Promise<string[]>} Absolute paths without symbolic links. */
export async function filesInMemory() {
  const path = `${process.env.PATH}:/usr/sbin:/sbin`.split(":");
  const found = PROGRAMS.flatMap((name) => path.map((directory) => join(directory, name)).find(existsSync) ?? []);
  const objects = [...found, ...DIRECTORIES.flatMap(filesOf), node];
  // One for which ldd fails is linked statically.
  const { output } = await run("ldd", objects, { capture: true });
  const libraries = [...output.matchAll(/(?:=> |^\s)(\/\S+) \(0x/gm)].map(([, file]) => file);
  const all = [...objects, ...libraries, ...OTHERS.filter(existsSync), ...filesOf(join(root, "dist"))];
  return [...new Set(all.map((file) => realpathSync(file)))].sort();
}

function filesOf(directory) {
  if (!existsSync(directory)) return [];
  const files = readdirSync(directory, { withFileTypes: true }).filter((entry) => entry.isFile());
  return files.map(({ name }) => join(directory, name));
}
