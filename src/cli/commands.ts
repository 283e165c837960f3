import type { Command } from "./command.ts";

/** All commands of `podvpn`, in the order of its help. Each is loaded only when it is called. */
export const commands: readonly Command[] = [
  {
    name: "install",
    summary: "put the plugins into the runtime's CNI directory",
    load: () => import("./install.ts"),
  },
  {
    name: "uninstall",
    summary: "take the plugins and every trace of them away",
    load: () => import("./uninstall.ts"),
  },
  {
    name: "status",
    summary: "list this node's pods and devices, and whether all is well",
    load: () => import("./status.ts"),
  },
  {
    name: "wg",
    summary: "make keys for WireGuard, show its devices and peers",
    load: () => import("./wg.ts"),
  },
  {
    name: "capture",
    summary: "count what leaves this node encrypted, and what in plain",
    load: () => import("./capture.ts"),
  },
  {
    name: "hub",
    summary: "run a hub, or list the pods that are online at one",
    load: () => import("./hub.ts"),
  },
  {
    name: "demo",
    summary: "show the plugins at work, in namespaces of this machine",
    load: () => import("./demo.ts"),
  },
  {
    name: "version",
    summary: "print the version",
    load: () => import("./version.ts"),
  },
];
