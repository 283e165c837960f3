import { readFileSync } from "node:fs";
import type { Node } from "../../../src/testbed/node.ts";

const MOUNT = "/sys/fs/cgroup";

/**
 * The controllers of the machine's version 1 hierarchies, as /proc/self/cgroup names them (cgroups(7)). Pure.
 * @throws Error where there are none.
 */
export function controllers(procSelfCgroup: string): string[] {
  const found = procSelfCgroup.split("\n").flatMap((line) => {
    const names = line.split(":")[1] ?? "";
    return names === "" || names.includes("=") ? [] : [names];
  });
  if (found.length > 0) return found;
  throw new Error("this machine has cgroup v2 alone: boot it with systemd.unified_cgroup_hierarchy=0");
}

/**
 * Mounts the hierarchies on a node so that its own cgroup is the root of each: two kubelets on one machine do not see
 * each other's containers, and what is left of them can be found. `$1` is its name, the rest are the
 * controllers. cpuset wants its CPUs and memory to be told; what runc makes below takes them over.
 */
const MOUNT_CGROUPS = `
name=$1; shift
mount -t tmpfs -o mode=755 cgroup ${MOUNT}
for controller; do
  mkdir ${MOUNT}/$controller
  mount -t cgroup -o $controller cgroup ${MOUNT}/$controller
  mkdir ${MOUNT}/$controller/$name
  case $controller in *cpuset*)
    for file in cpuset.cpus cpuset.mems; do cat ${MOUNT}/$controller/$file >${MOUNT}/$controller/$name/$file; done
  esac
  echo 0 >${MOUNT}/$controller/$name/cgroup.procs
done
exec unshare --cgroup sh -ec 'for controller; do
  umount ${MOUNT}/$controller
  mount -t cgroup -o $controller cgroup ${MOUNT}/$controller
done' sh "$@"`;

/** Gives a node control groups of its own; they outlive it, until `removeCgroup` of scripts/kubernetes.mjs. */
export async function mountCgroups(node: Node, name: string): Promise<void> {
  await node.exec(["sh", "-ec", MOUNT_CGROUPS, "sh", name, ...controllers(readFileSync("/proc/self/cgroup", "utf8"))]);
}

/** Before a command of a node with control groups: puts it into them, at the root of what it then sees. */
export function cgroupWrapper(): string[] {
  const enter = `for group in ${MOUNT}/*/; do echo 0 >$group/cgroup.procs; done; exec unshare --cgroup "$@"`;
  return ["sh", "-ec", enter, "sh"];
}
