import { type IkeSa, type Vici, ViciCommandError, ViciError } from "vici";
import { Code, Fault } from "../fault.ts";
import type { Address } from "../net/address.ts";
import { family, parseAddress } from "../net/address.ts";
import type { Prefix } from "../net/prefix.ts";
import { contains } from "../net/prefix.ts";
import type { Secret } from "../secret.ts";
import { POD_CHILD, POD_CONNECTION, type PodConnection, podConnection } from "./connection.ts";
import { type ControlLogLine, charonLostFault, configurationFault, hubsFault, initiateFault } from "./failure.ts";

/** What the hub gave a pod. */
export interface PodTunnel {
  readonly server: Address;
  readonly serverID: string;
  /** One per family of the virtual subnets, IPv4 first. */
  readonly virtualIPs: readonly Address[];
}

/** What to ask for, and of which hubs, in order. */
export interface TunnelRequest extends Omit<PodConnection, "server"> {
  readonly servers: readonly [Address, ...Address[]];
  readonly psk: Secret;
}

/** Gives charon the PSK; before the pod has an address, so that nothing is left to do but to connect. */
export async function loadPsk(vici: Vici, psk: Secret): Promise<void> {
  // No owners: any identity that proves the PSK is the hub's; `remote.id` narrows it when vpn.serverID is set.
  await vici.loadShared({ id: "podvpn", type: "IKE", data: psk.reveal() });
}

/**
 * Asks the hubs for a tunnel, one after the other, and returns when one carries traffic.
 * A charon with `keyingtries = 0` goes on by itself after a timeout, so each failed try is terminated before the next.
 * @param timeout Milliseconds for all hubs together.
 * @throws Fault, see {@link initiateFault}; of several hubs one that tells of each.
 */
export async function connectPod(vici: Vici, request: TunnelRequest, timeout: number): Promise<PodTunnel> {
  const until = performance.now() + timeout;
  const refusals: Fault[] = [];
  for (const [index, server] of request.servers.entries()) {
    const share = Math.max(1000, Math.round((until - performance.now()) / (request.servers.length - index)));
    try {
      return await connectTo(vici, request, server, share);
    } catch (error) {
      if (!(error instanceof Fault) || error.code === Code.charon) throw error; // no other hub helps
      refusals.push(error);
      await giveUp(vici);
    }
  }
  throw hubsFault(refusals);
}

/**
 * The SA of a pod as charon has it now, or a Fault that says what of it is missing: the "no lie" of ADD and CHECK.
 * @throws Fault 108.
 */
export async function readTunnel(vici: Vici, virtualSubnets: readonly Prefix[]): Promise<PodTunnel> {
  // Without `noblock`: with it charon silently leaves out an SA that another thread holds at that moment.
  for await (const sa of vici.listSas({ ike: POD_CONNECTION })) {
    if (sa.state !== "ESTABLISHED") continue;
    if (!sa.childSas.some((child) => child.name === POD_CHILD && child.state === "INSTALLED")) continue;
    return { server: address(sa.remoteHost), serverID: sa.remoteId, virtualIPs: virtualIPs(sa, virtualSubnets) };
  }
  throw new Fault(
    Code.checkFailed,
    "charon has no established tunnel to the hub",
    "see that the hub runs and is reachable",
  );
}

async function connectTo(vici: Vici, request: TunnelRequest, server: Address, timeout: number): Promise<PodTunnel> {
  const { identity, serverID } = request;
  const log: ControlLogLine[] = [];
  const attempt = { server, identity, timeout, ...(serverID === undefined ? {} : { serverID }) };
  try {
    await vici.loadConn(POD_CONNECTION, podConnection({ ...request, server }));
    await vici.initiate({ ike: POD_CONNECTION, child: POD_CHILD, timeout, onLog: (line) => log.push(line) });
    return await readTunnel(vici, request.virtualSubnets);
  } catch (error) {
    if (!(error instanceof ViciError)) throw error;
    if (!(error instanceof ViciCommandError)) throw charonLostFault(attempt, log, error);
    throw error.command === "initiate" ? initiateFault(attempt, log, error.errmsg) : configurationFault(error.errmsg);
  }
}

/** After a failure an IKE_SA may be up without a child and hold a lease at the hub (docs/facts/strongswan.md). */
async function giveUp(vici: Vici): Promise<void> {
  try {
    await vici.terminate({ ike: POD_CONNECTION, force: true, timeout: 500 });
    await vici.unloadConn(POD_CONNECTION);
  } catch (error) {
    if (!(error instanceof ViciError)) throw error; // why the tunnel failed is told; charon is about to be ended
  }
}

function virtualIPs(sa: IkeSa, virtualSubnets: readonly Prefix[]): Address[] {
  const given = sa.localVips.map(address);
  return [...new Set(virtualSubnets.map(family))].sort().map((wanted) => {
    const ip = given.find((candidate) => family(candidate) === wanted);
    if (ip === undefined) {
      throw new Fault(
        Code.tryAgainLater,
        `the hub gave no virtual IPv${wanted} address`,
        `add an IPv${wanted} pool to the hub, or take the IPv${wanted} prefix out of vpn.virtualSubnet`,
      );
    }
    if (!virtualSubnets.some((subnet) => contains(subnet, ip))) {
      throw new Fault(
        Code.trafficSelectors,
        `the hub gave ${ip}, which is not in vpn.virtualSubnet (${virtualSubnets.join(", ")})`,
        "make vpn.virtualSubnet and the hub's pool agree",
      );
    }
    return ip;
  });
}

function address(text: string): Address {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new Fault(Code.internal, `charon reports the address "${text}"`, "report this");
  return parsed;
}
