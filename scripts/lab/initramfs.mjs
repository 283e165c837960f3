// What the kernel has in memory at its start: busybox, modules, and `init`, which makes the host's root its own.
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Archive } from "./archive.mjs";

/** Without these there is no root file system, and no way to talk. */
const FIRST = ["virtio_pci", "9pnet_virtio", "9p", "overlay", "virtio_console"];

/**
 * Loaded at the start, all that tests use: that is sooner than one by one on demand, where each is a process that
 * searches the index. What is not here is loaded on demand.
 */
const SOON = [
  "crc32c_generic", // libcrc32c asks for it by its algorithm, which modules.dep does not know
  ...["bridge", "veth", "tun", "dummy", "sch_netem", "wireguard"],
  ...["esp4", "esp6", "xfrm_user", "xfrm_interface", "aesni_intel", "gcm", "ctr", "ghash-generic", "seqiv", "drbg"],
  ...["cmac", "echainiv", "authenc", "sha256_generic", "sha512_generic"],
  ...["nf_tables", "nft_chain_nat", "nft_ct", "nft_masq", "nft_nat", "nft_compat", "nft_fib_inet", "nft_reject_inet"],
  ...["xt_comment", "xt_MASQUERADE", "xt_conntrack", "xt_mark", "xt_nat", "xt_addrtype", "xt_multiport"],
  ...["ip_tables", "iptable_filter", "iptable_nat", "ip6_tables", "ip6table_filter", "ip6table_nat"],
  ...["af_packet_diag", "udp_diag", "tcp_diag", "inet_diag"],
];

/**
 * Writes the initramfs.
 * @param {string} file
 * @param {string} modules A kernel's directory of modules, with its modules.dep.
 * @param {string[]} inMemory Files that the guest has as they are now, see memory.mjs.
 */
export function writeInitramfs(file, modules, inMemory) {
  const archive = new Archive(file);
  for (const name of ["bin", "proc", "sys", "dev", "host", "modules", "root", "upper", "work"]) archive.directory(name);
  archive.file("bin/busybox", "/bin/busybox");
  archive.file("init", fileURLToPath(new URL("init.sh", import.meta.url)), 0o755);
  const dependencies = readDependencies(modules);
  const first = inOrder(FIRST, dependencies);
  const soon = inOrder(SOON, dependencies, new Set(first));
  for (const [name, paths] of Object.entries({ first, soon })) {
    archive.text(`modules/${name}`, paths.map((path) => `${basename(path)}\n`).join(""));
    for (const path of paths) archive.file(`modules/${basename(path)}`, join(modules, path));
  }
  for (const path of inMemory) archive.fileAt(`upper${path}`, path);
  archive.end();
}

/** modules.dep: each module's file and those that it needs, by the module's name. */
function readDependencies(modules) {
  const found = new Map();
  for (const line of readFileSync(join(modules, "modules.dep"), "utf8").split("\n")) {
    const [path, needed = ""] = line.split(":");
    if (path !== "") found.set(basename(path, ".ko"), { path, needed: needed.split(" ").filter(Boolean) });
  }
  return found;
}

/** Files of modules with all that they need, each after what it needs; none that a kernel has built in. */
function inOrder(names, dependencies, had = new Set()) {
  const order = [];
  const add = (name) => {
    const module = dependencies.get(name);
    if (module === undefined || had.has(module.path)) return;
    had.add(module.path);
    for (const path of module.needed) add(basename(path, ".ko"));
    order.push(module.path);
  };
  for (const name of names) add(name);
  return order;
}
