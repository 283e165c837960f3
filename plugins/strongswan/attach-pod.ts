import type { Vici } from "vici";
import { podAddresses } from "../../src/attachment/addresses.ts";
import { ensureBridge } from "../../src/attachment/bridge.ts";
import { makeLink } from "../../src/attachment/link.ts";
import { type StrongswanAttachment, writeAttachment } from "../../src/attachment/record.ts";
import type { Result } from "../../src/cni/result.ts";
import { chooseDataPlane } from "../../src/dataplane/choose.ts";
import { removeTunnelRule } from "../../src/guard/tunnel-rule.ts";
import { startCharon } from "../../src/ipsec/charon.ts";
import { connectPod, loadPsk } from "../../src/ipsec/pod-tunnel.ts";
import { POD_SETTINGS } from "../../src/ipsec/strongswan-conf.ts";
import { trace } from "../../src/os/trace.ts";
import { together } from "../../src/together.ts";
import { complete } from "./complete.ts";
import { tunnelMtu } from "./mtu.ts";
import { excludeLink, firstRecord, setGuard } from "./prepare.ts";
import { stopTunnel } from "./remove.ts";
import { linkCall, type Work } from "./work.ts";

/** Milliseconds for charon to answer: it takes 10, and half a second when a hundred start at once. */
const CHARON_START = 10_000;

/** `attach: pod`: a charon in the pod's namespace. */
export async function attach(work: Work): Promise<Result> {
  const { call, config, directory, netns, node, undo } = work;
  const dataPlane = await chooseDataPlane(config.dataplane, netns);
  trace("data plane chosen");
  const [first, mtu] = await Promise.all([firstRecord(work, dataPlane), tunnelMtu(config, dataPlane, node)]);
  writeAttachment(directory, first);
  // The guard before any link: a program in the pod may send as soon as there is one.
  const bridge = first.delegate === undefined ? Promise.resolve() : ensureBridge(node, first.delegate);
  await together(setGuard(work, first), bridge);
  trace("record written, guard set, bridge there");

  // Side by side: the bridge spends its time waiting for the kernel, and charon needs no address to start.
  const [link, vici] = await together(
    makeLink(linkCall(work, first), first, call.config.prevResult, undo.link),
    prepareTunnel(work, first, mtu),
  );
  undo.tunnel.defer(() => vici.close());
  trace("link and charon ready");
  const addresses = podAddresses(link, call.ifname);
  const record = await excludeLink(work, first, addresses);

  const { psk, serverID, servers, proposals, espProposals } = config;
  const { virtualIPs } = await connectPod(
    vici,
    {
      servers,
      psk,
      identity: record.identity,
      virtualSubnets: config.virtualSubnets,
      proposals,
      espProposals,
      dpdDelay: config.dpd,
      encap: dataPlane === "userspace",
      ...(serverID === undefined ? {} : { serverID }),
    },
    config.timeout,
  );
  trace("tunnel up");
  const result = await complete(work, { record, link, addresses, virtualIPs, mtu });
  vici.close();
  return result;
}

/** A charon that can be told to connect. */
async function prepareTunnel(work: Work, record: StrongswanAttachment, mtu: number): Promise<Vici> {
  const { config, directory, netns, lock, pod, undo } = work;
  undo.tunnel.defer(() => removeTunnelRule(pod, record.rulePriority));
  undo.tunnel.defer(() => stopTunnel(directory));
  const vici = await startCharon({
    directory,
    netns,
    dataPlane: record.dataPlane,
    logLevel: config.logLevel === "debug" ? 2 : 1,
    routeMtu: mtu,
    settings: { ...POD_SETTINGS, routing_table_prio: record.rulePriority },
    lockFd: lock.fd,
    timeout: CHARON_START,
  });
  trace("charon started");
  await loadPsk(vici, config.psk);
  trace("PSK loaded");
  return vici;
}
