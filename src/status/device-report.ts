import { ageText, bytesText } from "../hub/lease-table.ts";
import { endpointText } from "../net/endpoint.ts";
import type { DeviceView, PeerView } from "./devices.ts";
import { attachmentName, podName } from "./names.ts";
import { wrapped } from "./text.ts";

/** A device with its peers, in the manner of `wg show`. Pure. @param now Milliseconds since 1970. */
export function deviceText(view: DeviceView, now: number): string {
  const { publicKey, listenPort, fwmark, mtu, problems } = view;
  const lines = [
    `interface: ${view.interface} (${view.ref.of === "node" ? "the node's" : `of ${ownerText(view)}`})`,
    ...problems.map((problem) => field("problem", problem)),
    field("network", view.network),
    field("data plane", planeText(view)),
    ...(publicKey === undefined ? [] : [field("public key", publicKey)]),
    ...(listenPort === 0 ? [] : [field("listening port", String(listenPort))]),
    ...(fwmark === 0 ? [] : [field("fwmark", `0x${fwmark.toString(16)}`)]),
    ...(mtu === undefined ? [] : [field("mtu", String(mtu))]),
  ];
  const peers = view.peers.toSorted((one, other) => (other.latestHandshake ?? 0) - (one.latestHandshake ?? 0));
  return [lines, ...peers.map((peer) => peerLines(peer, now))].map((part) => `${part.join("\n")}\n`).join("\n");
}

/** The same for programs; `podvpn wg --help` tells of the keys. Pure. */
export function deviceObject(view: DeviceView) {
  return { ...deviceIdentity(view), peers: view.peers.map(peerObject), problems: view.problems };
}

/** What a device is, without its peers. Pure. */
export function deviceIdentity(view: DeviceView) {
  const { ref, interface: name, network, dataPlane, publicKey, listenPort, fwmark, mtu, up } = view;
  return {
    interface: name,
    attach: ref.of,
    ...(ref.of === "node" ? {} : ownerObject(ref.record)),
    network,
    dataPlane,
    publicKey: publicKey ?? null,
    listenPort,
    fwmark,
    mtu: mtu ?? null,
    up,
  };
}

/** Whose device it is. Pure. */
export function ownerText({ ref }: Pick<DeviceView, "ref">): string {
  return ref.of === "node" ? "node" : attachmentName(ref.record);
}

/** Where WireGuard is done, in words. Pure. */
export function planeText({ dataPlane }: Pick<DeviceView, "dataPlane">): string {
  return dataPlane === "kernel" ? "kernel" : "user space";
}

/** `12 s ago` and the like. Pure. */
export function agoText(time: number | undefined, now: number): string {
  if (time === undefined) return "never";
  const seconds = Math.max(0, Math.floor((now - time) / 1000));
  return seconds < 60 ? `${seconds} s ago` : `${ageText(seconds)} ago`;
}

function peerLines(peer: PeerView, now: number): string[] {
  const { name, publicKey, endpoint, allowedIPs, persistentKeepalive } = peer;
  const transfer = `${bytesText(BigInt(peer.receivedBytes))} received, ${bytesText(BigInt(peer.sentBytes))} sent`;
  return [
    `peer: ${name ?? publicKey}`,
    ...(name === undefined ? [] : [field("public key", publicKey)]),
    ...(peer.hasPresharedKey ? [field("preshared key", "(hidden)")] : []),
    ...(endpoint === undefined ? [] : [field("endpoint", endpointText(endpoint))]),
    field("allowed ips", allowedIPs.length === 0 ? "(none)" : allowedIPs.join(", ")),
    field("latest handshake", agoText(peer.latestHandshake, now)),
    field("transfer", transfer),
    ...(persistentKeepalive === 0 ? [] : [field("persistent keepalive", `every ${persistentKeepalive} s`)]),
  ];
}

function peerObject(peer: PeerView) {
  const { publicKey, name, endpoint, allowedIPs, latestHandshake, persistentKeepalive } = peer;
  return {
    publicKey,
    ...(name === undefined ? {} : { name }),
    endpoint: endpoint === undefined ? null : endpointText(endpoint),
    allowedIPs,
    latestHandshake: latestHandshake === undefined ? null : new Date(latestHandshake).toISOString(),
    receivedBytes: peer.receivedBytes,
    sentBytes: peer.sentBytes,
    persistentKeepalive,
    hasPresharedKey: peer.hasPresharedKey,
  };
}

function ownerObject({ containerID, ifname, args }: { containerID: string; ifname: string; args?: string }) {
  const pod = podName(args);
  return { containerID, ifname, ...(pod === undefined ? {} : { pod }) };
}

function field(name: string, value: string): string {
  return `  ${wrapped(`${name}: ${value}`, 4)}`;
}
