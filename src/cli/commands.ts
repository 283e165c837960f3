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
    summary: "tell how this node is: agent, peers, pods, devices",
    load: () => import("./status.ts"),
  },
  {
    name: "doctor",
    summary: "find what keeps pods apart, and the command that mends it",
    load: () => import("./doctor.ts"),
  },
  {
    name: "wg",
    summary: "make keys for WireGuard, show its devices and peers",
    load: () => import("./wg.ts"),
  },
  {
    name: "graph",
    summary: "show the mesh: its nodes, its tunnels, and how they are",
    load: () => import("./graph.ts"),
  },
  {
    name: "capture",
    summary: "count what leaves this node encrypted, and what in plain",
    load: () => import("./capture.ts"),
  },
  {
    name: "agent",
    summary: "join this node with all others, and keep it joined",
    load: () => import("./agent.ts"),
  },
  {
    name: "rotate",
    summary: "give this node new keys, without losing a packet",
    load: () => import("./rotate.ts"),
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
    name: "completion",
    summary: "print a script that completes podvpn's commands in a shell",
    load: () => import("./completion.ts"),
  },
  {
    name: "version",
    summary: "print the version",
    load: () => import("./version.ts"),
  },
];
