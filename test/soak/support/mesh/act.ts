import { mkdirSync, readFileSync, renameSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Driver } from "../../../../src/registry/node-record.ts";
import { eventually } from "../../../netns/support/eventually.ts";
import { PODVPN } from "../../../netns/support/hub.ts";
import type { ABSENCES, Damage, MeshEvent } from "./event.ts";
import type { MeshNodes } from "./mesh.ts";
import type { NodeIndex } from "./nodes.ts";
import type { MeshPods } from "./pods.ts";
import { isCalm, type MeshState } from "./state.ts";

/** What an event is done to. */
export interface MeshScene {
  readonly nodes: MeshNodes;
  readonly pods: MeshPods;
  /** Files of the registry as they were before an event took or damaged them. */
  readonly saved: Map<NodeIndex, string>;
}

/** Names of processes. */
const DAEMONS: Readonly<Record<Driver, string>> = { wireguard: "wireguard-go", ipsec: "charon-systemd" };

/** Does an event. @param state After it. @returns What chance has made of it, in words. @throws what must not fail. */
export async function act(scene: MeshScene, event: MeshEvent, state: MeshState): Promise<string> {
  const { nodes, pods } = scene;
  const { bed } = nodes;
  switch (event.kind) {
    case "join":
      await nodes.join(event.node);
      return "";
    case "leave":
      await nodes.leave(event.node);
      return "";
    case "agent-killed":
    case "agent-ended":
      return bed.stop(event.node, event.kind === "agent-killed" ? "SIGKILL" : "SIGTERM");
    case "agent-started":
      scene.saved.delete(event.node); // it knows better
      bed.start(event.node);
      return "";
    case "agent-replaced":
      await bed.stop(event.node, event.signal);
      bed.start(event.node);
      return "";
    case "daemon-killed":
      await bed.at(event.node).exec(["pkill", "-KILL", "-x", DAEMONS[event.driver]]); // of its pid namespace
      return "";
    case "rotate":
      return (await Promise.all(event.nodes.map((node) => rotate(scene, node, isCalm(state))))).join(", ");
    case "cut": {
      const [one, other] = event.pair.nodes;
      const to = event.from === one ? other : one;
      await deafen(nodes, to, event.from);
      if (event.way === "both") await deafen(nodes, event.from, to);
      return "";
    }
    case "healed":
      for (const node of event.pair.nodes) {
        await bed.at(node).exec(["nft", "delete", "table", "inet", "soak"], { check: false });
      }
      return "";
    case "link-down":
    case "link-up":
      await bed.at(event.node).setUnderlay(event.kind === "link-up");
      return "";
    case "moved":
      return nodes.move(event.node, event.family);
    case "file-damaged":
    case "file-removed": {
      const file = bed.file(event.node);
      const text = readFileSync(file, "utf8");
      scene.saved.set(event.node, text);
      if (event.kind === "file-removed") rmSync(file);
      else writeFileSync(file, damaged(text, event.how, prefixesOfAnother(nodes, event.node)));
      return "";
    }
    case "file-restored":
      return restored(scene, event.node);
    case "registry-away":
      takeAway(bed.directory, event.how);
      return "";
    case "registry-back":
      bringBack(bed.directory);
      return "";
    case "configured":
      return configured(nodes, event);
    case "pod-replaced":
      await pods.del(event.node);
      await pods.add(event.node);
      return "";
  }
}

/** With nothing in its way it must come to its end, with a key that is another one. */
async function rotate({ nodes: { bed } }: MeshScene, node: NodeIndex, isAwaited: boolean): Promise<string> {
  const { code, stdout, stderr } = await bed
    .at(node)
    .exec([PODVPN, "rotate", ...(isAwaited ? [] : ["--no-wait"])], { check: false, timeout: 90_000 });
  if (code !== 0) throw new Error(`podvpn rotate on n${node}: exit status ${code}: ${stderr}${stdout}`);
  return stdout.trimEnd().split("\n").at(-1) ?? "";
}

/** From now on a node takes nothing of another one, whatever address that has. */
async function deafen(nodes: MeshNodes, node: NodeIndex, to: NodeIndex): Promise<void> {
  const { stdout } = await nodes.at(to).exec(["cat", "/sys/class/net/eth0/address"]);
  const rules = `table inet soak { chain in { type filter hook input priority -300; ether saddr ${stdout.trim()} drop; }; }`;
  await nodes.at(node).exec(["nft", rules]);
}

function damaged(text: string, how: Damage, prefixes: readonly string[]): string {
  switch (how) {
    case "half":
      return text.slice(0, text.length / 2);
    case "no YAML":
      return `${text}name: [\n`;
    case "a key twice":
      return text.replace(/^name: .*\n/m, "$&$&");
    case "another node's prefix":
      return text.replace(/^podPrefixes:\n(?: +- .*\n)+/m, `podPrefixes: [${prefixes.map((each) => `"${each}"`)}]\n`);
    case "binary":
      return "\0\u0001\0";
    case "empty":
      return "";
  }
}

function prefixesOfAnother({ prefixes, addresses }: MeshNodes, node: NodeIndex): readonly string[] {
  const [other] = [...addresses.keys()].filter((each) => each !== node);
  return (other && prefixes.get(other)) ?? [];
}

/** As from a backup; where the agent has been faster, there is nothing to be done. */
function restored({ nodes: { bed }, saved }: MeshScene, node: NodeIndex): string {
  const text = saved.get(node);
  if (text === undefined) return "its agent has done so";
  writeFileSync(bed.file(node), text);
  return "";
}

/** Moves the nodes' files away, and back. */
function takeAway(directory: string, how: (typeof ABSENCES)[number]): void {
  renameSync(join(directory, "nodes"), join(directory, "elsewhere"));
  if (how === "empty") mkdirSync(join(directory, "nodes"));
}

/** @throws Error when an agent has written into what only seemed to be the registry. */
function bringBack(directory: string): void {
  try {
    rmdirSync(join(directory, "nodes"));
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
  }
  renameSync(join(directory, "elsewhere"), join(directory, "nodes"));
}

/** Returns when the node's record says so. */
async function configured(nodes: MeshNodes, event: MeshEvent & { readonly kind: "configured" }): Promise<string> {
  const { node } = event;
  const changes =
    "label" in event
      ? { labels: { soak: event.label } }
      : "mtu" in event
        ? { mtu: event.mtu }
        : { drivers: event.drivers };
  await nodes.configure(node, changes);
  const told = "label" in event ? `soak: "${event.label}"` : "mtu" in event ? `mtu: ${event.mtu}` : "drivers:";
  if (told === "mtu: auto") return ""; // the record has none then
  await eventually(`the record of n${node} has ${told}`, 30_000, () => {
    return readFileSync(nodes.bed.file(node), "utf8").includes(told);
  });
  return "";
}
