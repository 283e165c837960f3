import { parseEndpoint } from "../src/net/endpoint.ts";
import { parsePrefix } from "../src/net/prefix.ts";
import { lockDirectory } from "../src/os/lock.ts";
import { requestSocket } from "../src/os/unix-socket.ts";
import { Secret } from "../src/secret.ts";
import type { Device, DeviceSettings, Peer } from "../src/wireguard/device.ts";
import { diff } from "../src/wireguard/diff.ts";
import { parsePublicKey } from "../src/wireguard/key.ts";
import { randomPublicKey } from "../src/wireguard/keys.ts";
import { ensureDevice, removeDevice } from "../src/wireguard/open.ts";
import { socketPath } from "../src/wireguard/wireguard-go.ts";
import { now } from "./command.ts";
import { type BenchPeer, benchPeers, MANY_PEERS } from "./networks.ts";
import type { Series } from "./rounds.ts";

/** Names of what is measured of a device with {@link MANY_PEERS} peers. */
export const DEVICE_SERIES = {
  raw: "one raw UAPI replace of all peers",
  full: "read, diff and apply of all peers, on an empty device",
  read: "read of all peers",
  one: "read, diff and apply of one changed peer",
  none: "read and diff when nothing has changed",
} as const;

const NAME = "bench5";
const DIRECTORY = `/run/podvpn/devices/${NAME}`;
const KEY = Buffer.alloc(32, 0x42);

/**
 * Milliseconds by round, with a wireguard-go of its own. All rounds count, also the first one, in which none of our
 * functions has been called before.
 */
export async function measureDevice(rounds: number): Promise<Series> {
  using lock = await lockDirectory(DIRECTORY, { create: true, wait: 10_000 });
  if (lock === undefined) throw new Error(`${DIRECTORY} was not made`);
  const options = { name: NAME, directory: DIRECTORY };
  const { device: made } = await ensureDevice({ ...options, dataplane: "userspace", lockFd: lock.fd });
  using device = made;
  const peers = benchPeers(MANY_PEERS);
  const series: Record<string, number[]> = {};
  const measure = async (name: string, work: () => Promise<unknown>) => {
    const start = now();
    await work();
    series[name] = [...(series[name] ?? []), now() - start];
  };
  await settle(device, settings([]));
  for (let round = 0; round < rounds; round += 1) {
    const replacement = rawReplace(peers);
    await measure(DEVICE_SERIES.raw, () => request(NAME, replacement));
    await request(NAME, rawReplace([]));
    await measure(DEVICE_SERIES.full, () => settle(device, settings(peers)));
    await measure(DEVICE_SERIES.read, () => device.read());
    const changed = peers.with(MANY_PEERS / 2, elsewhere(peers[MANY_PEERS / 2]));
    const wanted = settings(changed);
    await measure(DEVICE_SERIES.one, () => settle(device, wanted));
    await measure(DEVICE_SERIES.none, () => settle(device, wanted));
    await request(NAME, rawReplace([]));
  }
  await removeDevice(options);
  return series;
}

/** As an ADD does it. */
async function settle(device: Device, wanted: DeviceSettings): Promise<void> {
  const change = diff(wanted, await device.read(), { now: Date.now(), dummy: randomPublicKey });
  await device.apply(change);
}

function elsewhere(peer: BenchPeer | undefined): BenchPeer {
  if (peer === undefined) throw new RangeError("no such peer");
  return { ...peer, endpoint: peer.endpoint.replace(/\d+$/, "51821") };
}

function settings(peers: readonly BenchPeer[]): DeviceSettings {
  return { privateKey: new Secret(KEY), listenPort: 0, fwmark: 0, peers: peers.map(wantedPeer) };
}

function wantedPeer(peer: BenchPeer): Peer {
  const publicKey = parsePublicKey(peer.publicKey);
  const endpoint = parseEndpoint(peer.endpoint);
  if (publicKey === undefined || endpoint === undefined || !("address" in endpoint)) throw new TypeError("no peer");
  const allowedIPs = peer.allowedIPs.map(parsePrefix).filter((prefix) => prefix !== undefined);
  return { publicKey, endpoint, persistentKeepalive: 0, allowedIPs };
}

/** What `wg setconf` would write: all in one operation, with nothing read or compared. */
export function rawReplace(peers: readonly BenchPeer[]): string {
  const lines = peers.flatMap(({ publicKey, endpoint, allowedIPs }) => [
    `public_key=${Buffer.from(publicKey, "base64").toString("hex")}`,
    `endpoint=${endpoint}`,
    "persistent_keepalive_interval=0",
    ...allowedIPs.map((prefix) => `allowed_ip=${prefix}`),
  ]);
  return `${["set=1", "replace_peers=true", ...lines].join("\n")}\n\n`;
}

/** One operation of the UAPI, on the wireguard-go of that name. @throws Error when it is refused. */
export async function request(name: string, operation: string): Promise<void> {
  const answer = await requestSocket(socketPath(name), operation, { timeout: 20_000 });
  if (answer.toString() !== "errno=0\n\n") throw new Error(`wireguard-go refuses: ${answer.toString()}`);
}
