import type { Node } from "../../../src/testbed/node.ts";
import { BUILT } from "./cluster.ts";
import type { Mesh } from "./mesh.ts";
import { killed, wireguardGo } from "./wg.ts";

/** Ends the wireguard-go of the node's device by SIGKILL, or the one whose files are in `directory`. */
export async function killWireguardGo(node: Node, directory?: string): Promise<void> {
  const pid = directory === undefined ? await wireguardGo(node) : await node.readFile(`${directory}/wireguard-go.pid`);
  await killed(node, pid.trim());
}

/** ADD and DEL of a pod that does nothing else: brings the node's device up to the configuration. */
export async function ensureBy(mesh: Mesh, of: number, name: string, configuration = mesh.conf(of)): Promise<void> {
  await using _pod = await mesh.addedPod(of, name, configuration, BUILT);
}

/** Brings the node's device up to date, and takes it away with all around it. */
export async function withoutDevice(mesh: Mesh, of: number, name: string): Promise<void> {
  await ensureBy(mesh, of, name, mesh.conf(of, { wireguard: { removeWithLastPod: true } }));
}

/** What of a booted node is gone: processes, what was made in the kernel, and /run. Files below /var/lib stay. */
const REBOOT = `
for name in $(ip netns list | cut -d' ' -f1); do ip netns del "$name"; done
for pid in $(pgrep -x wireguard-go); do kill -KILL "$pid"; done
while pgrep -x wireguard-go >/dev/null; do sleep 0.01; done
for link in $(ip -o link show group 174 | cut -d: -f2); do ip link del "$link"; done
for link in $(ip -o link show type bridge | cut -d: -f2) $(ip -o link show type veth | cut -d: -f2 | cut -d@ -f1); do
  [ "$link" = eth0 ] || ip link del "$link" 2>/dev/null || true
done
nft flush ruleset
for family in -4 -6; do
  ip $family route flush table all proto 174
  ip $family rule | sed -n 's/^209:.*/209/p' | while read -r priority; do ip $family rule del priority "$priority"; done
done
rm -rf /run/podvpn /run/wireguard`;

/** As if the node had been started anew. */
export async function reboot(node: Node): Promise<void> {
  await node.exec(["sh", "-ec", REBOOT]);
}
