import { agoText } from "../../status/device-report.ts";
import { type Finding, findingsOf, type Mending } from "../finding.ts";
import type { MeshDevice } from "../gather/devices.ts";
import type { Closed } from "../gather/local-chains.ts";
import type { PathFacts } from "../gather/paths.ts";
import { trafficOf, verdictOf } from "../verdict.ts";
import { opened, type UnderlayContext } from "./underlay.ts";

const { ok, none, bad } = findingsOf("tunnel");

/** Whether each device works, its guard is whole, and each peer answers through it. Pure. */
export function checkTunnels(
  devices: readonly MeshDevice[],
  paths: readonly PathFacts[],
  { now, firewalls }: Pick<UnderlayContext, "now" | "firewalls">,
  mendOf: (device: MeshDevice) => Mending,
): Finding[] {
  if (devices.length === 0) return [none("this node has no device of podvpn's")];
  return devices.flatMap((device) => [
    ...ofDevice(device, mendOf(device)),
    ...paths
      .filter((path) => path.device === device)
      .map((path) => ofPeer(path, now, opened(firewalls.find((facts) => facts.device === device)?.input))),
  ]);
}

function ofDevice(device: MeshDevice, mending: Mending): Finding[] {
  const { name, kind, dataPlane, link, problems, unguarded, record } = device;
  const isDown = link !== undefined && !link.up;
  const broken = problems.map((problem) =>
    bad(
      `${name}: ${problem}`,
      isDown || device.isAgents
        ? mending
        : { remedy: "make or check a pod: its ADD or CHECK starts the device again, with all peers" },
    ),
  );
  const open = unguarded.map((what) => bad(`${name}: ${what}: packets for the mesh may leave in plain`, mending));
  if (broken.length + open.length > 0) return [...broken, ...open];
  const plane = dataPlane === "kernel" ? "in the kernel" : "in user space";
  const protocol = kind === "wireguard" ? "WireGuard" : "IPsec";
  return [ok(`${name}: ${protocol} ${plane}, MTU ${link?.mtu}; ${record.guarded.length} prefixes are guarded`)];
}

/** @param closed What keeps answers of the node itself from coming in. */
function ofPeer(path: PathFacts, now: number, closed: Closed | undefined): Finding {
  const { peer, after, pings } = path;
  const session = `latest session ${agoText(after?.established, now)}`;
  const { answered } = trafficOf(path);
  const targets = pings.map(({ target }) => target).join(", ");
  const silent = pings.filter(({ received }) => received === 0).map(({ target }) => target);
  const unanswered = (what: string) =>
    closed === undefined
      ? bad(what, { remedy: `run on ${peer.name}: podvpn doctor` })
      : bad(`${what}; ${closed.what}`, { command: closed.command, remedy: `run on ${peer.name} too: podvpn doctor` });
  switch (verdictOf(path, now)) {
    case "plain":
    case "answers": {
      const who = answered.map(({ target, received, sent }) => `${target} (${received} of ${sent})`).join(", ");
      const what = `${peer.name}: ${who} answered; ${session}`;
      if (silent.length === 0) return ok(what);
      if (!peer.isSure) return ok(`${what}; nobody at ${silent.join(", ")} did`);
      return unanswered(`${what}; ${silent.join(", ")} did not`);
    }
    case "alive": {
      const what = `${peer.name}: the tunnel is up (${session})`;
      if (pings.length === 0) return ok(what);
      if (!peer.isSure) return ok(`${what}; nobody is at ${targets} to answer a ping`);
      return unanswered(`${what}, and ${targets} does not answer`);
    }
    case "untried":
      return none(`${peer.name}: ${session}; no address of a pod is on this node to try it from`);
    case "silent":
      return bad(`${peer.name}: nothing comes back from ${targets || "it"}; ${session}`, {
        remedy: "mend first what is bad above this",
      });
  }
}
