import { readFileSync } from "node:fs";
import type { Node } from "../../../src/testbed/node.ts";

const MOUNT = "/sys/fs/cgroup";

/**
 * The machine's version 1 hierarchies, as /proc/self/cgroup names them (cgroups(7)): "memory", "cpu,cpuacct",
 * "name=systemd". Pure. @throws Error where there are none.
 */
export function hierarchies(procSelfCgroup: string): string[] {
  const found = procSelfCgroup.split("\n").flatMap((line) => line.split(":")[1] || []);
  if (found.length > 0) return found;
  throw new Error("this machine has cgroup v2 alone: boot it with systemd.unified_cgroup_hierarchy=0");
}

/**
 * Mounts the hierarchies on a node so that its own cgroup is the root of each: two kubelets on one machine do not see
 * each other's containers, and what is left of them can be found. `$1` is its name, the rest are the hierarchies.
 * All of them, also those without a controller: runc sees that the machine has them.
 * cpuset wants its CPUs and memory to be told; what runc makes below takes them over.
 */
const MOUNT_CGROUPS = `
name=$1; shift
mount -t tmpfs -o mode=755 cgroup ${MOUNT}
for hierarchy; do
  at=${MOUNT}/\${hierarchy#name=}
  mkdir $at
  mount -t cgroup -o "\${hierarchy/#name=/none,name=}" cgroup $at
  mkdir $at/$name
  if [ -e $at/cpuset.cpus ]; then
    for file in cpuset.cpus cpuset.mems; do cat $at/$file >$at/$name/$file; done
  fi
  echo 0 >$at/$name/cgroup.procs
done
exec unshare --cgroup bash -ec 'for hierarchy; do
  at=${MOUNT}/\${hierarchy#name=}
  umount $at
  mount -t cgroup -o "\${hierarchy/#name=/none,name=}" cgroup $at
done' bash "$@"`;

/** Gives a node control groups of its own; they outlive it, until `removeCgroup` of scripts/kubernetes.mjs. */
export async function mountCgroups(node: Node, name: string): Promise<void> {
  const names = hierarchies(readFileSync("/proc/self/cgroup", "utf8"));
  await node.exec(["bash", "-ec", MOUNT_CGROUPS, "bash", name, ...names]);
}

/** Before a command of a node with control groups: puts it into them, at the root of what it then sees. */
export function cgroupWrapper(): string[] {
  const enter = `for group in ${MOUNT}/*/; do echo 0 >$group/cgroup.procs; done; exec unshare --cgroup "$@"`;
  return ["sh", "-ec", enter, "sh"];
}
