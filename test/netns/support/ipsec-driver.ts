import { createPrivateKey, createPublicKey } from "node:crypto";
import type { TunnelDriver } from "../../../src/agent/driver.ts";
import { type IpsecKey, nextKeyFile } from "../../../src/agent/identity.ts";
import type { IpsecCredentials } from "../../../src/agent/ipsec/credentials.ts";
import { ipsecDriver } from "../../../src/agent/ipsec/driver.ts";
import type { DataPlane } from "../../../src/ipsec/strongswan-conf.ts";
import { readSecretFile, readText } from "../../../src/os/file.ts";
import { Secret } from "../../../src/secret.ts";

// Loaded on a node by mesh-driver.ts.

/** Where the agent has its private key, its certificate with the authority's, and the PSK. */
export const MESH_KEY = "/var/lib/podvpn/mesh/ipsec.key";
export const MESH_CERTIFICATE = "/var/lib/podvpn/mesh/ipsec.pem";
export const MESH_AUTHORITY = "/var/lib/podvpn/mesh/authority.pem";
export const MESH_PSK = "/var/lib/podvpn/mesh/psk";
/** Its IKE identity. */
export const MESH_IDENTITY = "/var/lib/podvpn/mesh/identity";

/** What a test says of the driver. */
export interface IpsecOptions {
  readonly dataPlane: DataPlane;
  readonly by: IpsecCredentials["by"];
}

/** The driver with the credentials that are on disk. */
export function makeDriver(options: unknown): TunnelDriver {
  const { dataPlane, by } = options as IpsecOptions;
  return ipsecDriver({ dataPlane, identity: text(MESH_IDENTITY), credentials: () => credentials(by) });
}

function credentials(by: IpsecOptions["by"]): IpsecCredentials {
  switch (by) {
    case "key": {
      const next = nextKeyFile(MESH_KEY);
      return { by, key: key(MESH_KEY), ...(readSecretFile(next) !== undefined && { next: key(next) }) };
    }
    case "psk":
      return { by, psk: () => new Secret(Buffer.from(text(MESH_PSK))) };
    case "x509":
      return {
        by,
        certificate: Buffer.from(text(MESH_CERTIFICATE)),
        privateKey: key(MESH_KEY).privateKey,
        authorities: [Buffer.from(text(MESH_AUTHORITY))],
      };
  }
}

function key(path: string): IpsecKey {
  const privateKey = createPrivateKey(text(path));
  return {
    privateKey: new Secret(privateKey.export({ format: "der", type: "pkcs8" })),
    publicKey: createPublicKey(privateKey).export({ format: "der", type: "spki" }).toString("base64"),
  };
}

function text(path: string): string {
  const found = readText(path);
  if (found === undefined) throw new TypeError(`${path} is missing`);
  return found.trim();
}
