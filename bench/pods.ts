import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { HUB_ADDRESS, PSK, VIRTUAL_SUBNET } from "../test/netns/support/cluster.ts";
import type { Command } from "./command.ts";

/** Where the delegates are. */
export const REFERENCE_PLUGINS = "/usr/lib/cni";

let count = 0;

/** Network namespaces as a runtime makes them, each with `lo` up: their paths. */
export function makePods(number: number): string[] {
  mkdirSync("/run/bench", { recursive: true });
  return Array.from({ length: number }, () => {
    count += 1;
    const name = `bench${count}`;
    execFileSync("ip", ["netns", "add", name]);
    execFileSync("ip", ["-n", name, "link", "set", "lo", "up"]);
    return `/run/netns/${name}`;
  });
}

/** The seed's configuration for `strongswan`; the same without its own keys is what `bridge` gets. */
export function configuration(type: "strongswan" | "bridge", ipMasq: boolean): string {
  const vpn = { serverIP: HUB_ADDRESS, virtualSubnet: VIRTUAL_SUBNET, hostSubnet: "10.9.0.0/24", PSK };
  return JSON.stringify({
    cniVersion: "1.0.0",
    name: `bench-${type}`,
    type,
    ...(type === "strongswan" ? { vpn } : {}),
    bridge: `${type}0`.slice(0, 15),
    isDefaultGateway: true,
    forceAddress: false,
    ipMasq,
    hairpinMode: true,
    ipam: { type: "host-local", subnet: type === "strongswan" ? "172.17.1.0/24" : "172.17.2.0/24" },
  });
}

/** A CNI operation on the pod with this namespace, as a runtime calls it. */
export function cni(verb: "ADD" | "DEL", file: string, config: string, netns: string): Command {
  const directory = file.slice(0, file.lastIndexOf("/"));
  return {
    file,
    input: config,
    env: {
      CNI_COMMAND: verb,
      CNI_CONTAINERID: netns.slice(netns.lastIndexOf("/") + 1),
      CNI_NETNS: netns,
      CNI_IFNAME: "eth0",
      CNI_PATH: `${directory}:${REFERENCE_PLUGINS}`,
    },
  };
}
