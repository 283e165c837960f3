import type { Node } from "../../../src/testbed/node.ts";
import type { Place } from "../../../src/testbed/place.ts";
import { eventually } from "./eventually.ts";

/** A device as wg(8) shows it: not as the code that is tested does. */
export interface ShownDevice {
  readonly publicKey: string;
  readonly listenPort: number;
  /** "off", or hexadecimal. */
  readonly fwmark: string;
  /** By public key. */
  readonly peers: ReadonlyMap<string, ShownPeer>;
}

/** A peer as wg(8) shows it. */
export interface ShownPeer {
  /** "(none)" without one. */
  readonly presharedKey: string;
  /** "(none)" without one. */
  readonly endpoint: string;
  /** Sorted. */
  readonly allowedIPs: readonly string[];
  /** Seconds since 1970; 0 when there never was a handshake. */
  readonly latestHandshake: number;
  /** In bytes. */
  readonly received: number;
  readonly sent: number;
  /** "off", or seconds. */
  readonly keepalive: string;
}

/** What `wg show` says of a device. @throws Fault 5 when there is none. */
export async function shownDevice(place: Place, name = "podvpn0"): Promise<ShownDevice> {
  const { stdout } = await place.exec(["wg", "show", name, "dump"]);
  const [device = [], ...peers] = stdout
    .trim()
    .split("\n")
    .map((line) => line.split("\t"));
  const [, publicKey = "", listenPort, fwmark = ""] = device;
  return {
    publicKey,
    listenPort: Number(listenPort),
    fwmark,
    peers: new Map(peers.map(([key = "", ...rest]) => [key, shownPeer(rest)])),
  };
}

function shownPeer(fields: readonly string[]): ShownPeer {
  const [presharedKey = "", endpoint = "", allowedIPs = "", handshake, received, sent, keepalive = ""] = fields;
  return {
    presharedKey,
    endpoint,
    allowedIPs: allowedIPs === "(none)" ? [] : allowedIPs.split(",").sort(),
    latestHandshake: Number(handshake),
    received: Number(received),
    sent: Number(sent),
    keepalive,
  };
}

/** The pid, in the node, of the wireguard-go of a device. */
export async function wireguardGo(node: Node, name = "podvpn0"): Promise<string> {
  return (await node.readFile(`/run/podvpn/devices/${name}/wireguard-go.pid`)).trim();
}

/** Ends a process of the node by SIGKILL, and waits for its end. */
export async function killed(node: Node, pid: string): Promise<void> {
  await node.exec(["kill", "-KILL", pid]);
  await eventually("it has ended", 5000, async () => {
    return (await node.exec(["kill", "-0", pid], { check: false })).code !== 0;
  });
}

/** Stops a process of the node by SIGSTOP, and waits until none of its threads runs any more: kill(2) does not. */
export async function stopped(node: Node, pid: string): Promise<void> {
  await node.exec(["kill", "-STOP", pid]);
  await eventually("it has stopped", 5000, async () => {
    const { stdout } = await node.exec(
      ["sh", "-c", `grep -hv '^State:.T' /proc/${pid}/task/*/status | grep -c ^State:`],
      {
        check: false,
      },
    );
    return stdout.trim() === "0";
  });
}
