import type { Vici } from "vici";
import type { StrongswanAttachment } from "../../src/attachment/record.ts";
import { openVici } from "../../src/ipsec/charon.ts";
import { POD_CHILD, POD_CONNECTION } from "../../src/ipsec/connection.ts";
import type { Address } from "../../src/net/address.ts";
import { hostPrefix } from "../../src/net/prefix.ts";
import { openXfrm } from "../../src/netlink/open.ts";
import { listPolicies, listStates, type Policy, type XfrmState } from "../../src/netlink/xfrm.ts";
import { NODE_CHARON_DIRECTORY, tunnelName } from "../../src/node/charon/directory.ts";
import { inNetns, type Netns } from "../../src/os/namespace.ts";

/** Milliseconds that charon gets to answer. */
const VICI_TIMEOUT = 2000;

/** What of a pod's SAs and policies the kernel has. */
export interface InKernel {
  readonly states: readonly Pick<XfrmState, "spi">[];
  readonly policies: readonly Pick<Policy, "direction" | "src" | "dst" | "templates">[];
}

/**
 * What of a pod's tunnel the kernel does not have although its charon has it, in words. charon does not look again at
 * what it has once installed: after `ip xfrm state flush` it takes the tunnel for established, and nothing passes.
 * @throws ViciError, NetlinkError.
 */
export async function missingEsp(directory: string, record: StrongswanAttachment, netns: Netns): Promise<string[]> {
  const ifId = record.shared?.ifId;
  // What the node's charon has for a pod is in the node's namespace, with the number of the pod's interface.
  await using vici = await openVici(ifId === undefined ? directory : NODE_CHARON_DIRECTORY, VICI_TIMEOUT);
  using nl = ifId === undefined ? inNetns(netns, openXfrm) : openXfrm();
  const ike = ifId === undefined ? POD_CONNECTION : tunnelName(record);
  const look = async () => {
    const spis = await installedSpis(vici, ike);
    const [states, policies] = [await listStates(nl), await listPolicies(nl)];
    return missingOf(record.virtualIPs, spis, {
      states: states.filter((state) => state.ifId === ifId),
      policies: policies.filter((policy) => policy.ifId === ifId),
    });
  };
  // A rekey may have come between the two questions: of what is really missing the second look tells as well.
  return (await look()).length === 0 ? [] : await look();
}

/** The same, of what was read. Pure. */
export function missingOf(
  virtualIPs: readonly Address[],
  spis: readonly number[],
  { states, policies }: InKernel,
): string[] {
  const lost = spis.filter((spi) => !states.some((state) => state.spi === spi));
  const wanted = virtualIPs.flatMap((ip) => [
    { direction: "in" as const, end: "dst" as const, ip },
    { direction: "out" as const, end: "src" as const, ip },
  ]);
  const open = wanted.filter(({ direction, end, ip }) => {
    const found = (policy: InKernel["policies"][number]) =>
      policy.direction === direction && policy.templates > 0 && policy[end] === hostPrefix(ip);
    return !policies.some(found);
  });
  return [
    ...lost.map((spi) => `ESP SA with SPI ${spi.toString(16).padStart(8, "0")}`),
    ...open.map(({ direction, end, ip }) => `XFRM policy dir ${direction} ${end} ${hostPrefix(ip)}`),
  ];
}

/** Of the CHILD_SAs by which traffic goes, both directions. */
async function installedSpis(vici: Vici, ike: string): Promise<number[]> {
  const spis: number[] = [];
  for await (const sa of vici.listSas({ ike })) {
    if (sa.state !== "ESTABLISHED") continue;
    for (const { name, state, spiIn, spiOut } of sa.childSas) {
      if (name !== POD_CHILD || state !== "INSTALLED") continue;
      spis.push(...[spiIn, spiOut].flatMap((spi) => (spi === undefined ? [] : [Number.parseInt(spi, 16)])));
    }
  }
  return spis;
}
