import { ENCRYPTED, KEY_FILE, keyPair, PLAIN, podSubnet, podSubnet6 } from "../../netns/support/mesh.ts";
import { type KubernetesCluster, WORKERS, type WorkerName } from "./cluster.ts";
import type { PodNetwork } from "./network.ts";

const indexOf = (worker: WorkerName) => WORKERS.indexOf(worker) + 1;

/** Each worker with a key and the public keys of the others; pods with the addresses of their bridge. */
export async function wireguard(cluster: KubernetesCluster): Promise<PodNetwork> {
  const publicKeys = new Map<WorkerName, string>();
  for (const name of WORKERS) {
    const { node } = cluster.worker(name);
    const { privateKey, publicKey } = keyPair();
    await node.exec(["mkdir", "-p", "-m", "700", "/var/lib/podvpn/wireguard"]);
    await node.writeFile(KEY_FILE, `${privateKey}\n`, 0o600);
    publicKeys.set(name, publicKey);
  }
  const peer = (name: WorkerName) => ({
    publicKey: publicKeys.get(name),
    endpoint: `${cluster.worker(name).node.address()}:51820`,
    allowedIPs: [podSubnet(indexOf(name)), podSubnet6(indexOf(name))],
  });
  return {
    plain: PLAIN,
    encrypted: ENCRYPTED,
    conflist: (worker) => conflist(indexOf(worker), WORKERS.filter((name) => name !== worker).map(peer)),
    addresses: (worker) => [new RegExp(`^10\\.1\\.${indexOf(worker)}\\.`), new RegExp(`^fd00:1:${indexOf(worker)}:`)],
    knows: async () => true, // nobody but the nodes themselves
    [Symbol.asyncDispose]: async () => {},
  };
}

function conflist(index: number, peers: readonly object[]) {
  const bridge = { bridge: "cni0", isDefaultGateway: true, ipMasq: true };
  const ranges = [[{ subnet: podSubnet(index) }], [{ subnet: podSubnet6(index) }]];
  const log = { logFile: "/var/log/podvpn.log", logLevel: "debug" };
  const plugin = { type: "wireguard", wireguard: { peers }, ...bridge, ipam: { type: "host-local", ranges }, ...log };
  return { cniVersion: "1.0.0", name: "podvpn", plugins: [plugin] };
}
