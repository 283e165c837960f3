import { RuntimeError } from "../../../src/cni/runtime.ts";
import { eventually } from "../../netns/support/eventually.ts";
import { KEY_FILE } from "../../netns/support/mesh.ts";
import type { Event } from "./event.ts";
import { charonOf, fillDisk, freeDisks, harm, loseFile, reboot, signalDaemon, WIREGUARD_GO } from "./faults.ts";
import type { Machines } from "./machines.ts";
import type { Pods } from "./pods.ts";
import { type NodeIndex, SLOTS, type Slot, slotsOf } from "./slots.ts";
import { connected, impeded, type State, sound } from "./state.ts";

/** What an event is done to. */
export interface Scene {
  readonly machines: Machines;
  readonly pods: Pods;
  /** Files that events have removed. */
  readonly lost: Set<string>;
}

/** Does an event. @param state After it. @returns What chance has made of it, in words. @throws what must not fail. */
export async function act(scene: Scene, event: Event, state: State): Promise<string> {
  const { machines, pods } = scene;
  switch (event.kind) {
    case "add":
      return add(scene, event.slot, state);
    case "add-killed":
      return (await pods.addKilled(event.slot, event.effect, event.next)) ? "" : "ended before that";
    case "del":
      await pods.del(event.slot, event.netns);
      return "";
    case "del-killed":
      return (await pods.delKilled(event.slot, event.effect)) ? "" : "ended before that";
    case "gc":
      await pods.collect(event.slot);
      return "";
    case "check":
      return checkAll(scene, event.node, state);
    case "charon-killed":
    case "charon-stopped": {
      const pod = pods.podIn(event.slot);
      await signalDaemon(pod.node, charonOf(pod), event.kind === "charon-killed" ? "KILL" : "STOP");
      return "";
    }
    case "wireguard-go-killed":
    case "wireguard-go-stopped":
      await signalDaemon(
        machines.node(event.node),
        WIREGUARD_GO,
        event.kind === "wireguard-go-killed" ? "KILL" : "STOP",
      );
      return "";
    case "hub-killed":
      await machines.hub.kill(event.part);
      return "";
    case "hub-terminated":
      return (await machines.hub.terminate()) ?? "";
    case "hub-started":
      await machines.hub.start();
      return "";
    case "link-down":
    case "link-up":
      await machines.node(event.node).setUnderlay(event.kind === "link-up");
      return "";
    case "reboot":
      await pods.close(event.node);
      await reboot(machines.node(event.node));
      for (const slot of slotsOf(SLOTS, { node: event.node })) await pods.del(slot, "gone");
      return "";
    case "file-lost":
      return fileLost(scene, event.node, event.pick, state);
    case "clock":
      if (event.machine === "hub") await machines.hub.clock.set(event.offset);
      else machines.setOffset(event.machine, event.offset);
      return "";
    case "disk-full":
      await fillDisk(machines.node(event.node), event.mount);
      return "";
    case "disk-freed":
      await freeDisks(machines.node(event.node));
      return "";
    case "harm":
      await harm(pods.podIn(event.slot), event.what);
      return "";
  }
}

/** Where an ADD may fail it must say so by a CNI error, and its DEL must succeed. */
async function add({ pods }: Scene, slot: Slot, state: State): Promise<string> {
  try {
    await pods.add(slot);
    return "";
  } catch (error) {
    if (!impeded(state, slot) || !(error instanceof RuntimeError)) throw error;
    return `refused: ${error.code} ${error.msg}`;
  }
}

/** CHECK of all sound pods of a node, which must be content at the first time of asking. */
async function checkAll({ pods }: Scene, node: NodeIndex, state: State): Promise<string> {
  const slots = slotsOf(sound(state), { node }).filter((slot) => connected(state, slot) || slot.plugin === "wireguard");
  const complaints = await Promise.all(slots.map(async (slot) => [slot.name, await pods.check(slot)] as const));
  const [first] = complaints.filter(([, complaint]) => complaint !== undefined);
  if (first !== undefined) throw new Error(`CHECK of ${first[0]}: ${first[1]}`);
  return `${slots.length} content`;
}

async function fileLost(
  { machines, pods, lost }: Scene,
  index: NodeIndex,
  pick: number,
  state: State,
): Promise<string> {
  const node = machines.node(index);
  const file = await loseFile(node, pick);
  if (file === undefined) return "there is none";
  const { path, text } = file;
  lost.add(path);
  if (/^\/var\/lib\/cni\/networks\/[^/]+\/[\da-f]+[.:]/.test(path)) {
    // host-local (1.1.1) is content with one reservation of two, and would give the address to another pod.
    const owner = slotsOf(pods.live.keys(), { node: index }).find((slot) =>
      text.includes(pods.podIn(slot).containerID),
    );
    if (owner !== undefined && !impeded(state, owner)) await pods.replace(owner);
    return `${path}, and the operator replaces ${owner?.name ?? "nobody"}`;
  }
  if (path !== KEY_FILE) return path;
  // A private key is not made again by anybody: CHECK has to tell, and an operator puts it back.
  const [slot] = slotsOf(sound(state), { node: index, plugin: "wireguard" });
  if (slot !== undefined) {
    await eventually("CHECK tells of the key", 10_000, async () => (await pods.check(slot)) !== undefined);
  }
  await node.writeFile(KEY_FILE, text, 0o600);
  return `${path}, put back by the operator`;
}
