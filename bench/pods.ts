import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import type { Command } from "./command.ts";

/** The reference bridge plugin, to which ours delegate. */
export const BRIDGE = "/usr/lib/cni/bridge";

const NETNS_DIRECTORY = "/run/netns/";

let count = 0;

/** Network namespaces as a runtime makes them, each with `lo` up: their paths. */
export function makePods(number: number): string[] {
  mkdirSync("/run/bench", { recursive: true });
  return Array.from({ length: number }, () => {
    count += 1;
    const name = `bench${count}`;
    execFileSync("ip", ["netns", "add", name]);
    execFileSync("ip", ["-n", name, "link", "set", "lo", "up"]);
    return `${NETNS_DIRECTORY}${name}`;
  });
}

/** Removes the namespaces, as a runtime does after DEL. */
export function removePods(pods: readonly string[]): void {
  for (const pod of pods) execFileSync("ip", ["netns", "del", containerID(pod)]);
}

/** A CNI operation on the pod with this namespace, as a runtime calls it. */
export function cni(verb: "ADD" | "DEL", file: string, config: string, netns: string): Command {
  return {
    file,
    input: config,
    env: {
      CNI_COMMAND: verb,
      CNI_CONTAINERID: containerID(netns),
      CNI_NETNS: netns,
      CNI_IFNAME: "eth0",
      CNI_PATH: BRIDGE.slice(0, BRIDGE.lastIndexOf("/")),
    },
  };
}

function containerID(netns: string): string {
  return netns.slice(NETNS_DIRECTORY.length);
}
