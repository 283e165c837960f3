import type { AgentConfig } from "../config/agent.ts";
import { Code, Fault } from "../fault.ts";
import { MESH_DIRECTORY } from "../node/guards.ts";
import { AGENT_NETWORK, listDeviceRecords } from "../node/record.ts";
import { listDirectory, readSecretFile } from "../os/file.ts";
import type { Driver } from "../registry/node-record.ts";
import { Secret } from "../secret.ts";
import type { TunnelDriver } from "./driver.ts";
import type { IpsecCredentials } from "./ipsec/credentials.ts";
import { ipsecDriver } from "./ipsec/driver.ts";
import type { OwnIdentity } from "./own-identity.ts";
import { wireguardDriver } from "./wireguard/driver.ts";

/** The drivers of a configuration, the preferred one first. Nothing is made yet. @throws Fault 7 for a file that has gone. */
export function openDrivers(config: AgentConfig, identity: OwnIdentity): TunnelDriver[] {
  return config.drivers.map((driver) => OPEN[driver](config, identity));
}

/** What an agent with another configuration has made on this node: to be removed. @throws Fault 5. */
export function leftoverDrivers({ drivers, wireguard }: AgentConfig): TunnelDriver[] {
  const isWanted = (name: string) => drivers.includes("wireguard") && name === wireguard.interface;
  const devices = listDeviceRecords().filter(({ network, interface: name }) => {
    return network === AGENT_NETWORK && !isWanted(name);
  });
  const privateKey = () => missingKey("wireguard");
  const credentials = () => missingKey("ipsec");
  const hasCharon = !drivers.includes("ipsec") && listDirectory(MESH_DIRECTORY).length > 0;
  return [
    ...devices.map(({ interface: name }) => wireguardDriver({ ...deviceOf(wireguard), interface: name, privateKey })),
    ...(hasCharon ? [ipsecDriver({ dataPlane: "auto", identity: "", credentials })] : []),
  ];
}

const OPEN: Readonly<Record<Driver, (config: AgentConfig, identity: OwnIdentity) => TunnelDriver>> = {
  wireguard: ({ wireguard }, identity) =>
    wireguardDriver({
      ...deviceOf(wireguard),
      privateKey: () => identity.keys.wireguard?.privateKey ?? missingKey("wireguard"),
      nextPrivateKey: () => identity.keys.nextWireguard?.privateKey,
    }),
  ipsec: (config, identity) => {
    const { dataplane, identity: own } = config.ipsec;
    return ipsecDriver({ dataPlane: dataplane, identity: own, credentials: credentialsOf(config, identity) });
  },
};

/** All but the file of its key, which is the identity's. */
function deviceOf({ interface: name, port, dataplane }: AgentConfig["wireguard"]) {
  return { interface: name, port, dataplane };
}

/** Files are read once: a certificate that is replaced counts when the configuration is read anew. */
function credentialsOf({ ipsec: { authentication } }: AgentConfig, identity: OwnIdentity): () => IpsecCredentials {
  switch (authentication.by) {
    case "key":
      return () => {
        const { ipsec: key = missingKey("ipsec"), nextIpsec: next } = identity.keys;
        return { by: "key", key, ...(next && !identity.isHeldBack && { next }) };
      };
    case "psk":
      return () => ({ by: "psk", psk: () => authentication.psk });
    case "x509": {
      const given: IpsecCredentials = {
        by: "x509",
        certificate: bytesOf("certificateFile", authentication.certificateFile),
        privateKey: new Secret(bytesOf("privateKeyFile", authentication.privateKeyFile)),
        authorities: authentication.caFiles.map((file) => bytesOf("caFiles", file)),
      };
      return () => given;
    }
  }
}

/** The configuration has been checked: only what has gone since can be missing. */
function bytesOf(key: string, path: string): Uint8Array {
  const file = readSecretFile(path);
  if (file !== undefined) return file.bytes;
  throw new Fault(Code.invalidConfig, `ipsec.${key} is "${path}", which does not exist`, "put the file back");
}

function missingKey(driver: Driver): never {
  throw new TypeError(`the driver ${driver} asks for a key that was never made`);
}
