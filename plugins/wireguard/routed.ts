import { podAddresses } from "../../src/attachment/addresses.ts";
import { writeAttachment } from "../../src/attachment/record.ts";
import type { Result } from "../../src/cni/result.ts";
import { Code, Fault } from "../../src/fault.ts";
import { overlaps } from "../../src/net/prefix.ts";
import { getLink } from "../../src/netlink/links.ts";
import { lookupRoute } from "../../src/netlink/routes.ts";
import { openNode } from "../../src/node/forwarding.ts";
import { trace } from "../../src/os/trace.ts";
import { together } from "../../src/together.ts";
import { addPodRoutes, planPodRoutes, removePodRoutes, withRoutes } from "./pod-routes.ts";
import type { Work } from "./work.ts";

/** A pod's link, and the tunnel that it is to be routed through. */
export interface Linked {
  readonly link: Result;
  /** Of the tunnel, in bytes. */
  readonly mtu: number;
  /** Called when the pod is routed, and before it is noted as ready. */
  readonly done?: () => Promise<void>;
}

/** Routes a pod through a device of the node: what `attach: node` is, whoever makes the device. */
export async function attachRouted(work: Work, makeLinked: () => Promise<Linked>): Promise<Result> {
  const { call, directory, config, pod, undo } = work;
  requireOutside(work);
  writeAttachment(directory, work.record);
  const { link, mtu, done } = await makeLinked();
  const podRoutes = planPodRoutes(link, call.ifname, config.meshPrefixes, mtu);
  const record = { ...work.record, linkResult: link, podRoutes };
  writeAttachment(directory, record);
  undo.defer(() => removePodRoutes(pod, call.ifname, podRoutes));
  await together(addPodRoutes(pod, call.ifname, podRoutes), openNodeFor(work, link));
  await done?.();
  writeAttachment(directory, { ...record, phase: "ready" });
  trace("routes set");
  return withRoutes(link, podRoutes);
}

/** In a chain the addresses are another plugin's choice; else the configuration's own `ipam` was compared already. */
function requireOutside({ call, config }: Work): void {
  const { prevResult } = call.config;
  if (prevResult === undefined) return;
  for (const { subnet } of podAddresses(prevResult, call.ifname)) {
    const mesh = config.meshPrefixes.find((prefix) => overlaps(prefix, subnet));
    if (mesh === undefined) continue;
    throw new Fault(
      Code.invalidConfig,
      `prevResult.ips has an address in ${subnet}, which overlaps "${mesh}" of the peers' allowedIPs`,
      "give the pods of this node a subnet of their own, which no peer has",
    );
  }
}

/** Lets the node forward between the pod's interface on the node and the device. */
async function openNodeFor({ node, config, call, log }: Work, link: Result): Promise<void> {
  const addresses = podAddresses(link, call.ifname);
  const [first] = addresses;
  const route = first === undefined ? undefined : await lookupRoute(node, first.address);
  const podLink = route?.oif === undefined ? undefined : await getLink(node, route.oif);
  const subnets = addresses.map(({ subnet }) => subnet);
  const reports = await openNode(node, {
    device: config.interface,
    subnets,
    ...(podLink === undefined ? {} : { podInterface: podLink.name }),
  });
  for (const report of reports) log.write("error", report);
}
