import { expect, test } from "vitest";
import type { DataPlane } from "../../../src/ipsec/strongswan-conf.ts";
import type { Node } from "../../../src/testbed/node.ts";
import type { Pod } from "../../../src/testbed/pod.ts";
import { addedPod, BUILT, conf, VIRTUAL_SUBNET } from "./cluster.ts";
import { failure } from "./failed-add.ts";

type Added = Awaited<ReturnType<typeof addedPod>>;

const stateOf = (pod: Pod) => `/run/podvpn/pods/${pod.containerID}+eth0`;
/** Where the runtime keeps the result of a pod's ADD. */
export const cacheOf = (pod: Pod) => `/var/lib/cni/cache/results/podnet-${pod.containerID}-eth0`;

/** Changes what the runtime remembers of an ADD's result, and hands to CHECK as `prevResult`. */
export async function editResult(
  pod: Pod,
  edit: (result: { ips: object[]; interfaces: object[] }) => object,
): Promise<void> {
  const cached = JSON.parse(await pod.node.readFile(cacheOf(pod)));
  await pod.node.writeFile(cacheOf(pod), JSON.stringify({ ...cached, result: edit(cached.result) }));
}

/** Something that a pod can lose, and what CHECK says to it: VIRTUAL stands for its virtual IP. */
interface Loss {
  readonly name: string;
  readonly lose: (added: Added) => Promise<unknown>;
  /** 108 without it. */
  readonly code?: number;
  readonly msg: string | RegExp;
}

/** What a pod has of kernel ESP alone. */
const OF_KERNEL: readonly Loss[] = [
  {
    name: "the SAs in the kernel",
    lose: ({ pod }) => pod.exec(["ip", "xfrm", "state", "flush"]),
    msg: /missing: ESP SA with SPI [\da-f]{8}; ESP SA with SPI/,
  },
  {
    name: "the policy for what it sends",
    lose: ({ pod, ip }) =>
      pod.exec(["ip", "xfrm", "policy", "delete", "dir", "out", "src", `${ip}/32`, "dst", VIRTUAL_SUBNET]),
    msg: "missing: XFRM policy dir out src VIRTUAL/32",
  },
  {
    name: "the policy of the guard for what comes in",
    lose: ({ pod }) =>
      pod.exec(["ip", "xfrm", "policy", "delete", "dir", "in", "src", VIRTUAL_SUBNET, "dst", "0.0.0.0/0"]),
    msg: `missing: XFRM policy dir in from ${VIRTUAL_SUBNET} to 0.0.0.0/0 block`,
  },
];

/** What a pod has of ESP in user space alone. */
const OF_USERSPACE: readonly Loss[] = [
  {
    name: "the tunnel's device",
    lose: ({ pod }) => pod.exec(["ip", "link", "delete", "ipsec0"]),
    msg: `missing: route to ${VIRTUAL_SUBNET} by the tunnel`,
  },
];

/** CHECK tells what a pod has lost, with either data plane. @param node On which to add the pods. */
export function strongswanCheckSuite(plane: DataPlane, node: () => Node): void {
  const checked = conf({ cniVersion: "1.0.0", vpn: { dataplane: plane } });

  /** What can be lost of a pod, and what CHECK says to it. */
  const LOSSES: readonly Loss[] = [
    {
      name: "charon",
      lose: async ({ pod }) => {
        const pid = (await node().readFile(`${stateOf(pod)}/charon.pid`)).trim();
        await node().exec(["kill", "-KILL", pid]);
      },
      msg: "the pod's charon does not run; delete the pod, so that it is added again",
    },
    {
      name: "the tunnel",
      lose: ({ pod }) =>
        node().exec(["swanctl", "--terminate", "--ike", "pod", "--uri", `unix://${stateOf(pod)}/vici`, "--force"]),
      msg: "charon has no established tunnel to the hub",
    },
    {
      name: "its charon's socket",
      lose: ({ pod }) => node().exec(["rm", `${stateOf(pod)}/vici`]),
      msg: "the pod's charon does not answer (ENOENT); delete the pod, so that it is added again",
    },
    {
      name: "its charon's attention",
      lose: async ({ pod }) => {
        const pid = (await node().readFile(`${stateOf(pod)}/charon.pid`)).trim();
        await node().exec(["kill", "-STOP", pid]);
      },
      msg: "the pod's charon does not answer (TIMEOUT)",
    },
    {
      name: "the rule that leads to the tunnel",
      lose: ({ pod }) => pod.exec(["ip", "rule", "delete", "priority", "220"]),
      msg: `missing: route to ${VIRTUAL_SUBNET} by the tunnel`,
    },
    {
      name: "the virtual IP on eth0",
      lose: ({ pod, ip }) => pod.exec(["ip", "address", "delete", `${ip}/32`, "dev", "eth0"]),
      msg: "missing: VIRTUAL on eth0",
    },
    {
      name: "the guard's filter",
      lose: ({ pod }) => pod.exec(["nft", "delete", "table", "inet", "podvpn-eth0"]),
      msg: "missing: nft table inet podvpn-eth0",
    },
    {
      name: "the guard's rule",
      lose: ({ pod }) => pod.exec(["ip", "rule", "delete", "priority", "221"]),
      msg: `missing: routing rule 221 to ${VIRTUAL_SUBNET} blackhole (IPv4)`,
    },
    {
      name: "the guard's route",
      lose: ({ pod }) => pod.exec(["ip", "route", "delete", "blackhole", VIRTUAL_SUBNET]),
      msg: `missing: blackhole route to ${VIRTUAL_SUBNET}`,
    },
    {
      name: "the node's route to it",
      lose: ({ ip }) => node().exec(["ip", "route", "delete", `${ip}/32`]),
      msg: "missing: unicast route to VIRTUAL/32 on the node",
    },
    {
      name: "the node's refusal of the virtual subnet",
      lose: () => node().exec(["ip", "route", "delete", "unreachable", VIRTUAL_SUBNET]),
      msg: `missing: unreachable route to ${VIRTUAL_SUBNET} on the node`,
    },
    {
      name: "its masquerading",
      lose: ({ pod }) => node().exec(["nft", "delete", "table", "ip", `podvpn-masq-${pod.containerID}-eth0`]),
      msg: "missing: the masquerading of the pod's address",
    },
    ...(plane === "kernel" ? OF_KERNEL : OF_USERSPACE),
    {
      name: "its link",
      lose: ({ pod }) => pod.exec(["ip", "link", "delete", "eth0"]),
      msg: /missing: (?:route to \S+ by the tunnel; )?interface eth0;/, // with kernel ESP that is charon's way
    },
    {
      name: "its virtual IP in the runtime's result",
      lose: ({ pod }) => editResult(pod, (result) => ({ ...result, ips: result.ips.slice(1) })),
      msg: "missing: VIRTUAL in prevResult",
    },
    {
      name: "its default route, which is for the bridge plugin to tell",
      lose: ({ pod }) => pod.exec(["ip", "route", "delete", "default"]),
      code: 999,
      msg: "Expected Route",
    },
    {
      name: "its state",
      lose: ({ pod }) => node().exec(["rm", "-rf", stateOf(pod)]),
      code: 3,
      msg: "no attachment of eth0 for container",
    },
  ];

  test.each(LOSSES)("is content after ADD, and tells when a pod has lost $name", async ({ name, lose, code, msg }) => {
    await using added = await addedPod(node(), name.replaceAll(/\W/g, "-"), checked);
    await added.pod.check(checked, BUILT);
    await lose(added);
    const error = await failure(added.pod.check(checked, BUILT));
    if (typeof msg === "string") expect(error.msg).toContain(msg.replace("VIRTUAL", added.ip));
    else expect(error.msg).toMatch(msg);
    expect(error.code).toBe(code ?? 108);
  });
}
