import { mkdirSync, rmSync } from "node:fs";
import { startCharon, stopCharon } from "../src/ipsec/charon.ts";
import { POD_CONNECTION } from "../src/ipsec/connection.ts";
import { connectPod, loadPsk } from "../src/ipsec/pod-tunnel.ts";
import { POD_SETTINGS } from "../src/ipsec/strongswan-conf.ts";
import { parseAddress } from "../src/net/address.ts";
import { parsePrefix } from "../src/net/prefix.ts";
import { openNetns } from "../src/os/namespace.ts";
import { Secret } from "../src/secret.ts";
import { HUB_ADDRESS, PSK, VIRTUAL_SUBNET } from "../test/netns/support/cluster.ts";
import { now } from "./command.ts";

/** Milliseconds of the parts of {@link charonAlone}. */
export interface CharonTimes {
  /** From the configuration file to the first answer of VICI. */
  readonly start: number;
  /** PSK, connection, `initiate`, and reading the SA back. */
  readonly connect: number;
}

/**
 * A charon in a pod that has its address already, as the plugin starts it, up to its tunnel to the hub; then it is
 * stopped. No process of ours is started: what charon itself and the hub cost.
 */
export async function charonAlone(path: string): Promise<CharonTimes> {
  const server = parseAddress(HUB_ADDRESS);
  const subnet = parsePrefix(VIRTUAL_SUBNET);
  if (server === undefined || subnet === undefined) throw new TypeError("the cluster's addresses are none");
  const directory = `/run/bench/charon-${path.slice(path.lastIndexOf("/") + 1)}`;
  mkdirSync(directory, { mode: 0o700 });
  using netns = openNetns(path);
  const begin = now();
  await using vici = await startCharon({
    directory,
    netns,
    dataPlane: "userspace",
    logLevel: 1,
    settings: POD_SETTINGS,
    timeout: 10_000,
  });
  const started = now();
  const psk = new Secret(Buffer.from(PSK));
  await loadPsk(vici, psk);
  const request = {
    servers: [server] as const,
    psk,
    identity: directory,
    virtualSubnets: [subnet],
    proposals: ["aes128gcm16-prfsha256-x25519"],
    espProposals: ["aes128gcm16-x25519"],
    dpdDelay: 5,
    encap: true,
  };
  await connectPod(vici, request, 10_000);
  const connected = now();
  await vici.terminate({ ike: POD_CONNECTION, force: true, timeout: 1000 });
  await stopCharon(directory);
  rmSync(directory, { recursive: true });
  return { start: started - begin, connect: connected - started };
}
