import type { TunnelDriver } from "../../../src/agent/driver.ts";
import { nextKeyFile } from "../../../src/agent/identity.ts";
import { wireguardDriver } from "../../../src/agent/wireguard/driver.ts";
import { readSecretFile } from "../../../src/os/file.ts";
import type { DataPlane } from "../../../src/wireguard/device.ts";
import { readPrivateKey } from "../../../src/wireguard/keys.ts";

// Loaded on a node by mesh-driver.ts.

/** Where the agent has its private key. */
export const MESH_KEY = "/var/lib/podvpn/mesh/wireguard.key";

/** What a test says of the driver. */
export interface WireguardOptions {
  readonly dataplane: DataPlane;
}

/** The driver with the keys that are on disk. */
export function makeDriver(options: unknown): TunnelDriver {
  const { dataplane } = options as WireguardOptions;
  const next = nextKeyFile(MESH_KEY);
  return wireguardDriver({
    interface: "podvpn0",
    port: 51_820,
    dataplane,
    privateKey: () => readPrivateKey("wireguard.privateKeyFile", MESH_KEY),
    nextPrivateKey: () => (readSecretFile(next) === undefined ? undefined : readPrivateKey("the next key", next)),
  });
}
