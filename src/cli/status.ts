import { parseArgs } from "node:util";
import type { Look, Screen } from "../status/watching.ts";
import type { Form, Options, Terminal } from "./command.ts";

export const help = `
Usage: podvpn status [--json] [--watch]

Tells how this node is: its agent, where it has one, with the nodes that it is
joined with; the pods that podvpn has attached, with address, state of the
tunnel and time since they were attached; and the node's WireGuard devices with
the peers that have been heard of in the last 3 minutes, of all.

Of the agent: where the node is reached, the registry with all records that are
refused (file, line, reason), the drivers (working, failing, unused; unused has
no peers), a rotation of keys that is at work, and each peer in one line: where
it is now, its state, the time there and back and the share of lost packets
inside the tunnel (smoothed; the worse direction), the age of the handshake or
of the security association, the bytes received and sent, and the tunnel's MTU.
A peer is up, degraded (packets are lost), down, or unknown: too early to tell.

A pod of type strongswan is up when its charon (with vpn.attach "node" the
node's, which is told by itself) runs and answers, its tunnel is
established with the virtual IPs that it was attached with, these are on its
interface, and its guard is whole. A pod of type wireguard is up when its
device, its guard and its routes are. A device is up when its interface is, it
answers, its guard on the node is whole, and, where peers have a keep-alive, at
least one has been heard of. A pod that is being attached at this very moment
counts as neither ("adding").

Firewalls of others that refuse forwarded packets are told with the command that
mends it ("hints"). They make nothing unhealthy: podvpn cannot tell whether
they let the pods' packets pass all the same.

Colours only on a terminal, and not where NO_COLOR is set.

Options:
  --json   an object instead of tables
  --watch  again each second, until Ctrl-C; on a terminal in the same place

With --json:
  healthy      whether the exit status is 0
  agent        only on a node with one; state: running, silent or stopped
    of one that does not run or answer:
      problem       in words
    of one that runs, times as ISO 8601, durations in seconds, sizes in bytes:
      node          name, version, pid, startedAt, site, gateway, podPrefixes,
                    addresses, underlay (private, public), publicKeys (by
                    driver)
      healthy, ready, problems (in words)
      registry      where, version, changedAt, nodes (how many), error,
                    publishError, refusals: where, name, what, remedy, kept
      drivers       name (wireguard, ipsec), state (working, failing, unused),
                    dataPlane (kernel, userspace), peers (how many), error
                    (what, since, failures), obstacles, restarts
      peers         name, driver, state (up, degraded, down, unknown), since,
                    reason, prefixes, device, endpoint, roundTripSeconds, loss
                    (out, in: 0 to 1), clockOffsetSeconds, establishedAt,
                    receivedBytes, sentBytes, mtu
      unreachable   name, reason
      rotation      only while there is one: startedAt, waitsFor
  attachments  type, network, containerID, ifname, pod (in Kubernetes:
               namespace, name), addresses, state (up, down, adding), since,
               server (the hub) or interface (the device), problems
  devices      as "podvpn wg show --json" has them, but peers: total, alive;
               and hints
  charon       only with vpn.attach "node": state, pods, problems
  damage       records that cannot be read, in words

Exit status:
  0  all is well
  1  something is not: a pod, a device, a peer, a record, or the agent does not
     run although there is /etc/podvpn/agent.yaml, or its device
     (with --watch: at the last look)

Files:
  /run/podvpn/agent/socket  over which the agent is asked
  /run/podvpn/              records of what is attached

Examples:
  podvpn status --watch
  podvpn status --json | jq -r '.agent.peers[] | select(.state != "up") | .name'
  podvpn status >/dev/null || podvpn doctor
`;

const OPTIONS = { json: { type: "boolean" }, watch: { type: "boolean" } } satisfies Options;

export const forms: readonly Form[] = [{ options: OPTIONS }];

export async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: OPTIONS });
  const [{ isHealthy, readStatus }, { statusJson, statusText }, { paintFor }, { COLUMNS }, { isatty }] =
    await Promise.all([
      import("../status/status.ts"),
      import("../status/report.ts"),
      import("../status/paint.ts"),
      import("../status/text.ts"),
      import("node:tty"),
    ]);
  const width = isatty(1) ? COLUMNS : undefined;
  const paint = paintFor(isatty(1), process.env);
  const look = async (): Promise<Look> => {
    const now = Date.now();
    const status = await readStatus(now);
    const text = values.json ? statusJson(status, now) : statusText(status, now, width, paint);
    return { text, isHealthy: isHealthy(status) };
  };
  if (values.watch) return watching(look, terminal, isatty(1) && !values.json);
  const { text, isHealthy: isWell } = await look();
  terminal.stdout(text);
  return isWell ? 0 : 1;
}

async function watching(look: () => Promise<Look>, terminal: Terminal, isScreen: boolean): Promise<number> {
  const { watch } = await import("../status/watching.ts");
  const screen: Screen = {
    write: (text) => terminal.stdout(text),
    rows: () => (isScreen ? process.stdout.getWindowSize()[1] : undefined),
  };
  const stop = new AbortController();
  const onSignal = () => stop.abort();
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  try {
    const last = await watch(look, screen, stop.signal);
    return last.isHealthy ? 0 : 1;
  } finally {
    process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
  }
}
