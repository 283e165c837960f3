import type { Snapshot } from "../../../src/testbed/snapshot.ts";

/** Where a pod's network has files. What kubelet and containerd write elsewhere is their own. */
const FILES = /^\/(?:run\/(?:podvpn|netns)|var\/lib\/(?:cni|podvpn))\//;

/** What is started for pods. The daemons of a node come and go by other reasons. */
const PROCESSES = /^\S*(?:charon|wireguard-go|containerd-shim|strongswan|wireguard|bridge|host-local)/;

/** Of what a node holds, all that pods may leave behind. Pure. */
export function onlyPods(snapshot: Snapshot): Snapshot {
  const kept = [...snapshot].flatMap(([section, lines]): [string, readonly string[]][] => {
    if (section === "mounts") return []; // the namespaces' are in "files", below /run/netns
    if (section === "files") return [[section, lines.filter((line) => FILES.test(line))]];
    if (section === "processes") return [[section, lines.filter((line) => PROCESSES.test(line))]];
    return [[section, lines]];
  });
  return new Map(kept);
}

/** What only a pod that is there has: its shim, and the name of its namespace. Pure. */
export function podsOf(snapshot: Snapshot): string[] {
  const shims = (snapshot.get("processes") ?? []).filter((line) => line.includes("containerd-shim"));
  const namespaces = (snapshot.get("files") ?? []).filter((line) => /^\/run\/netns\/./.test(line));
  return [...shims, ...namespaces];
}
