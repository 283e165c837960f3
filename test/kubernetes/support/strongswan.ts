import { podvpnJson } from "../../netns/support/cli.ts";
import { ENCRYPTED, HUB_ADDRESS, PLAIN, PSK, VIRTUAL_SUBNET, VIRTUAL_SUBNET_6 } from "../../netns/support/cluster.ts";
import { Hub } from "../../netns/support/hub.ts";
import { type KubernetesCluster, WORKERS } from "./cluster.ts";
import type { PodNetwork } from "./network.ts";

const PSK_FILE = "/etc/podvpn/psk";

/** As a kubelet's containerd tells it in CNI_ARGS: a pod that is made again has the same name, and another sandbox. */
const IDENTITY = "{args.K8S_POD_NAMESPACE}.{args.K8S_POD_NAME}.{args.K8S_POD_INFRA_CONTAINER_ID}";

/** Of a pod that is online, or whose virtual IPs are kept for it. */
interface Lease {
  readonly identity: string;
  readonly virtualIPs: readonly string[];
}

/** A hub on a node of its own; each pod with a virtual IP of each family. */
export async function strongswan(cluster: KubernetesCluster): Promise<PodNetwork> {
  const hubNode = await cluster.testbed.node("hub", { addresses: [`${HUB_ADDRESS}/24`, "fd00:9::fe/64"] });
  const config = { virtualSubnets: [VIRTUAL_SUBNET, VIRTUAL_SUBNET_6], pskFile: PSK_FILE, dpd: "3s", leaseTime: "5s" };
  await Hub.configure(hubNode, config, { [PSK_FILE]: PSK });
  const hub = await Hub.start(hubNode);
  for (const node of cluster.nodes) await node.writeFile(PSK_FILE, PSK, 0o600);
  const leases = () => podvpnJson<Lease[]>(hubNode, 0, "hub", "leases");
  return {
    plain: PLAIN,
    encrypted: ENCRYPTED,
    conflist: (worker) => conflist(WORKERS.indexOf(worker) + 1),
    addresses: () => [/^10\.173\./, /^fd00:173:/],
    async knows(pods) {
      const wanted = pods.map(({ pod: { metadata, status }, sandbox }) => {
        const identity = `${metadata.namespace}.${metadata.name}.${sandbox}`;
        return leaseLine({ identity, virtualIPs: (status.podIPs ?? []).map(({ ip }) => ip) });
      });
      const known = (await leases()).map(leaseLine);
      return wanted.toSorted().join() === known.toSorted().join();
    },
    [Symbol.asyncDispose]: () => hub[Symbol.asyncDispose](),
  };
}

const leaseLine = ({ identity, virtualIPs }: Lease) => `${identity} ${virtualIPs.toSorted().join(" ")}`;

function conflist(index: number) {
  const vpn = {
    serverIP: HUB_ADDRESS,
    virtualSubnet: [VIRTUAL_SUBNET, VIRTUAL_SUBNET_6],
    hostSubnet: "10.9.0.0/24",
    pskFile: PSK_FILE,
    identity: IDENTITY,
  };
  const bridge = { bridge: "cni0", isDefaultGateway: true, ipMasq: true, hairpinMode: true };
  const ranges = [[{ subnet: `172.17.${index}.0/24` }], [{ subnet: `fd00:172:17:${index}::/64` }]];
  const log = { logFile: "/var/log/podvpn.log", logLevel: "debug" };
  const plugin = { type: "strongswan", vpn, ...bridge, ipam: { type: "host-local", ranges }, ...log };
  return { cniVersion: "1.0.0", name: "podvpn", plugins: [plugin] };
}
