import type { Node } from "../../../src/testbed/node.ts";
import type { Place } from "../../../src/testbed/place.ts";
import { eventually } from "./eventually.ts";
import { podSubnet, podSubnet6 } from "./mesh.ts";

/** The addresses of a pod on a {@link hostDevice}. */
export interface HostDevice extends AsyncDisposable {
  /** Of the pod. */
  readonly ip: string;
  readonly ip6: string;
  /** Configuration of the plugin `host-device`, which changes no setting of the node, as `bridge` and `ptp` do. */
  readonly main: Record<string, unknown>;
}

/** A link of node `of` whose one end is a pod's, by the plugin `host-device`; the node is the gateway at the other. */
export async function hostDevice(node: Node, of: number): Promise<HostDevice> {
  const at = (host: number) =>
    [podSubnet(of).replace(/0\//, `${host}/`), podSubnet6(of).replace("/", `${host}/`)] as const;
  const [[gateway, gateway6], [ip, ip6]] = [at(1), at(7)];
  const bare = (address: string) => address.slice(0, address.indexOf("/"));
  const lines = [
    "link add hd0 type veth peer name hd1",
    "link set hd0 up",
    `address add ${gateway} dev hd0`,
    `address add ${gateway6} dev hd0 nodad`,
  ];
  await node.exec(["ip", "-batch", "-"], { input: lines.join("\n") });
  const addresses = [
    { address: ip, gateway: bare(gateway) },
    { address: ip6, gateway: bare(gateway6) },
  ];
  return {
    ip: bare(ip),
    ip6: bare(ip6),
    main: { type: "host-device", device: "hd1", ipam: { type: "static", addresses } },
    async [Symbol.asyncDispose]() {
      await node.exec(["ip", "link", "delete", "hd0"]);
    },
  };
}

/** Waits until a pod may use its IPv6 address: `bridge` and `ptp` wait for that (RFC 4862, section 5.4), this one not. */
export function settled({ ip6 }: HostDevice, pod: Place): Promise<void> {
  return eventually("the address is no longer tentative", 10_000, async () => {
    const { stdout } = await pod.exec(["ip", "-6", "-o", "address", "show", "to", ip6]);
    return stdout !== "" && !stdout.includes("tentative");
  });
}
