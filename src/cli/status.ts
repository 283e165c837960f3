import { parseArgs } from "node:util";
import type { Terminal } from "./command.ts";

export const help = `
Usage: podvpn status [--json]

Lists the pods that podvpn has attached to this node, with address, state of
the tunnel and time since they were attached, and the node's WireGuard devices
with the peers that have been heard of in the last 3 minutes, of all.

A pod of type strongswan is up when its charon (with vpn.attach "node" the
node's, which is told by itself) runs and answers, its tunnel is
established with the virtual IPs that it was attached with, these are on its
interface, and its guard is whole. A pod of type wireguard is up when its
device, its guard and its routes are. A device is up when its interface is, it
answers, its guard on the node is whole, and, where peers have a keep-alive, at
least one has been heard of. A pod that is being attached at this very moment
counts as neither ("adding").

  --json  an object instead of tables: healthy; attachments: type, network,
          containerID, ifname, pod (in Kubernetes: namespace, name), addresses,
          state (up, down, adding), since, server (the hub) or interface (the
          device), problems; devices: as "podvpn wg show --json" has them, but
          peers: total, alive, and hints; charon (with vpn.attach "node"):
          state, pods, problems; damage: records that cannot be read

Firewalls of others that refuse forwarded packets are told with the command that
mends it ("hints"). They make nothing unhealthy: podvpn cannot tell whether
they let the pods' packets pass all the same.

Exit status: 0 when all is up, 1 when something is not.
`;

export async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: { json: { type: "boolean" } } });
  const [{ isHealthy, readStatus }, { statusJson, statusText }, { COLUMNS }, { isatty }] = await Promise.all([
    import("../status/status.ts"),
    import("../status/report.ts"),
    import("../status/text.ts"),
    import("node:tty"),
  ]);
  const now = Date.now();
  const status = await readStatus(now);
  terminal.stdout(values.json ? statusJson(status, now) : statusText(status, now, isatty(1) ? COLUMNS : undefined));
  return isHealthy(status) ? 0 : 1;
}
