import { fileURLToPath } from "node:url";
import type { Node } from "../../../src/testbed/node.ts";
import type { DataPlane } from "../../../src/wireguard/device.ts";
import { type PublicKey, parsePublicKey } from "../../../src/wireguard/key.ts";
import type { DriverKind } from "./driver-bed.ts";
import { keyPair } from "./mesh.ts";
import { killed, wireguardGo } from "./wg.ts";
import { MESH_KEY } from "./wireguard-driver.ts";

/** WireGuard, for the suite of drivers. */
export function wireguardKind(dataplane: DataPlane): DriverKind {
  return {
    name: "wireguard",
    module: fileURLToPath(new URL("./wireguard-driver.ts", import.meta.url)),
    options: { dataplane },
    port: 51_820,
    encrypted: "udp port 51820",
    async identity(node) {
      return { wireguard: { publicKey: await writeKey(node, MESH_KEY), port: 51_820 } };
    },
    async kill(node) {
      if (dataplane === "userspace") await killed(node, await wireguardGo(node));
      else await node.exec(["ip", "link", "del", "podvpn0"]); // nobody can kill it
    },
  };
}

/** Makes a key and writes it where the node keeps it; the public one. */
export async function writeKey(node: Node, path: string): Promise<PublicKey> {
  const { privateKey, publicKey } = keyPair();
  await node.exec(["mkdir", "-p", "-m", "700", path.slice(0, path.lastIndexOf("/"))]);
  await node.writeFile(path, `${privateKey}\n`, 0o600);
  const parsed = parsePublicKey(publicKey);
  if (parsed === undefined) throw new TypeError(publicKey);
  return parsed;
}
