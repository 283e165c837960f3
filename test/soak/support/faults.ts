import type { Node } from "../../../src/testbed/node.ts";
import type { Pod } from "../../../src/testbed/pod.ts";
import { reboot as rebooted } from "../../netns/support/mesh-device.ts";
import { killed } from "../../netns/support/wg.ts";
import { type Harm, MOUNTS, type Mount } from "./event.ts";

/** As sh(1), in the pod. Of the rules only podvpn's and charon's: without the kernel's own nothing would go anywhere. */
const HARM: Readonly<Record<Harm, string>> = {
  routes: "for f in -4 -6; do for table in main 220; do ip $f route flush table $table 2>/dev/null || true; done; done",
  rules: `for f in -4 -6; do
  ip $f rule | sed -n 's/^\\(2[012][0-9]\\):.*/\\1/p' | while read -r p; do ip $f rule del priority "$p"; done
done`,
  filter: "nft flush ruleset",
  down: "ip link set eth0 down",
  link: "ip link del eth0",
  tunnel: "ip link del ipsec0",
};

/** What a pod with CAP_NET_ADMIN does to itself. */
export async function harm(pod: Pod, what: Harm): Promise<void> {
  await pod.exec(["sh", "-ec", HARM[what]]);
}

/**
 * Ends a daemon of the node, or stops it: then it is there, and does not answer.
 * @param entry Of its environment, which no other process has: its pid file may be lost.
 */
export async function signalDaemon(node: Node, entry: string, signal: "KILL" | "STOP"): Promise<void> {
  const { stdout } = await node.exec(["sh", "-c", 'grep -slzxF "$0" /proc/[0-9]*/environ', entry], { check: false });
  const pid = /^\/proc\/(\d+)\//.exec(stdout)?.[1];
  if (pid === undefined) throw new Error(`no process of ${node.name} has ${entry}`);
  if (signal === "KILL") await killed(node, pid);
  else await node.exec(["kill", "-STOP", pid]);
}

/** What a charon is known by. */
export function charonOf({ containerID }: Pod): string {
  return `STRONGSWAN_CONF=/run/podvpn/pods/${containerID}+eth0/strongswan.conf`;
}

/** What the wireguard-go of a node is known by. */
export const WIREGUARD_GO = "PODVPN_DEVICE=/run/podvpn/devices/podvpn0/podvpn0";

/** Not one page is left. A tmpfs cannot be made smaller than what it holds; size 0 would be without a bound. */
const FILL = `used=$(df -B1 --output=used "$0" | tail -n 1)
mount -n -o "remount,size=$((used + 4096))" "$0"
head -c 1M /dev/zero >"$0/full" 2>/dev/null || true`;

const FREE = `for mount in "$@"; do
  if [ -e "$mount/full" ]; then mount -n -o remount,size=50% "$mount"; rm "$mount/full"; fi
done`;

export async function fillDisk(node: Node, mount: Mount): Promise<void> {
  await node.exec(["sh", "-ec", FILL, mount]);
}

/** Room again, on whichever was full. */
export async function freeDisks(node: Node): Promise<void> {
  await node.exec(["sh", "-ec", FREE, "sh", ...MOUNTS]);
}

/** What does not survive a boot, beside what `rebooted` takes away: the pods' namespaces are closed already. */
const BOOT = `for pid in $(pgrep -x charon-systemd); do kill -KILL "$pid"; done
while pgrep -x charon-systemd >/dev/null; do sleep 0.01; done
for family in -4 -6; do ip $family route flush table all proto 173; done`;

/** As if the node had been started anew. */
export async function reboot(node: Node): Promise<void> {
  await node.exec(["sh", "-ec", BOOT]);
  await rebooted(node);
}

/** Where state is that a node could lose. */
const STATE = ["/run/podvpn", "/var/lib/podvpn", "/var/lib/cni"] as const;

/** A file that is gone, and what was in it: nothing, if it was a socket. */
export interface LostFile {
  readonly path: string;
  readonly text: string;
}

/** Removes the file at `pick`, modulo their number, of all files and sockets of state. */
export async function loseFile(node: Node, pick: number): Promise<LostFile | undefined> {
  const { stdout } = await node.exec(["find", ...STATE, "-not", "-type", "d"], { check: false });
  const files = stdout
    .split("\n")
    .filter((line) => line !== "")
    .sort();
  const path = files[pick % files.length];
  if (path === undefined) return undefined;
  const text = await node.readFile(path).catch(() => "");
  await node.exec(["rm", path]);
  return { path, text };
}
