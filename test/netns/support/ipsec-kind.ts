import { generateKeyPairSync } from "node:crypto";
import { fileURLToPath } from "node:url";
import type { DataPlane } from "../../../src/ipsec/strongswan-conf.ts";
import type { Node } from "../../../src/testbed/node.ts";
import type { DriverKind } from "./driver-bed.ts";
import { eventually } from "./eventually.ts";
import { type IpsecOptions, MESH_IDENTITY, MESH_KEY } from "./ipsec-driver.ts";

/** Where the charon of the mesh has its files. */
export const MESH_CHARON = "/run/podvpn/mesh";

/** IPsec with raw keys, for the suite of drivers. */
export function ipsecKind(dataPlane: DataPlane): DriverKind {
  const options: IpsecOptions = { dataPlane, by: "key" };
  return {
    name: "ipsec",
    module: fileURLToPath(new URL("./ipsec-driver.ts", import.meta.url)),
    options,
    port: 500,
    encrypted: "esp or udp port 4500",
    async identity(node) {
      return { ipsec: { identity: await writeIdentity(node), publicKey: await writeIpsecKey(node, MESH_KEY) } };
    },
    kill: killMeshCharon,
  };
}

/** A node's IKE identity, where the node has it. */
export async function writeIdentity(node: Node): Promise<string> {
  const identity = `${node.name}.example`;
  await node.writeFile(MESH_IDENTITY, `${identity}\n`);
  return identity;
}

/** Makes a key and writes it where the node keeps it; the public one. */
export async function writeIpsecKey(node: Node, path: string): Promise<string> {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  await node.writeFile(path, privateKey.export({ format: "pem", type: "pkcs8" }), 0o600);
  return publicKey.export({ format: "der", type: "spki" }).toString("base64");
}

/** Ends the charon of the mesh by SIGKILL, and waits for its end. */
export async function killMeshCharon(node: Node): Promise<void> {
  const pid = (await node.readFile(`${MESH_CHARON}/charon.pid`)).trim();
  await node.exec(["kill", "-KILL", pid]);
  await eventually("charon has ended", 5000, async () => {
    return (await node.exec(["kill", "-0", pid], { check: false })).code !== 0;
  });
}
