import { type IkeSa, type Vici, ViciCommandError, ViciError } from "vici";
import { Code, Fault } from "../fault.ts";
import type { Address } from "../net/address.ts";
import { family, parseAddress } from "../net/address.ts";
import type { Prefix } from "../net/prefix.ts";
import { contains } from "../net/prefix.ts";
import type { Secret } from "../secret.ts";
import { POD_CHILD, POD_CONNECTION, type PodConnection, podConnection } from "./connection.ts";
import { type ControlLogLine, charonLostFault, configurationFault, hubsFault, initiateFault } from "./failure.ts";
import { isWaiting, untilAdmitted, waitingFault } from "./waiting.ts";

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
  /** Name of the connection: {@link POD_CONNECTION} without it. */
  readonly name?: string;
}

/** Gives charon the PSK; before the pod has an address, so that nothing is left to do but to connect. */
export async function loadPsk(vici: Vici, psk: Secret): Promise<void> {
  // No owners: any identity that proves the PSK is the hub's; `remote.id` narrows it when vpn.serverID is set.
  await vici.loadShared({ id: "podvpn", type: "IKE", data: psk.reveal() });
}

/**
 * Gives a charon of many pods the PSK of one. The pod alone is its owner, not the hub: charon takes a key when either
 * side's identity owns it and tries all that fit, so that each pod's key would prove any hub to any pod.
 */
export async function loadPskOf(vici: Vici, name: string, identity: string, psk: Secret): Promise<void> {
  await vici.loadShared({ id: name, type: "IKE", data: psk.reveal(), owners: [identity] });
}

/**
 * Asks the hubs for a tunnel, one after the other, and returns when one carries traffic.
 * A charon with `keyingtries = 0` goes on by itself after a timeout, so each failed try is terminated before the next.
 * @param timeout Milliseconds for all hubs together.
 * @throws Fault, see {@link initiateFault}; of several hubs one that tells of each.
 */
export async function connectPod(vici: Vici, request: TunnelRequest, timeout: number): Promise<PodTunnel> {
  const name = request.name ?? POD_CONNECTION;
  const until = performance.now() + timeout;
  const refusals: Fault[] = [];
  for (const [index, server] of request.servers.entries()) {
    const share = Math.max(1000, Math.round((until - performance.now()) / (request.servers.length - index)));
    try {
      return await connectTo(vici, { ...request, name }, server, share);
    } catch (error) {
      if (!(error instanceof Fault) || error.code === Code.charon) throw error; // no other hub helps
      refusals.push(error);
      await giveUp(vici, name);
    }
  }
  throw hubsFault(refusals);
}

/**
 * The SA of a pod as charon has it now, or a Fault that says what of it is missing: the "no lie" of ADD and CHECK.
 * @param name Of the connection. @throws Fault 108.
 */
export async function readTunnel(
  vici: Vici,
  virtualSubnets: readonly Prefix[],
  name: string = POD_CONNECTION,
): Promise<PodTunnel> {
  const sas: IkeSa[] = [];
  // Without `noblock`: with it charon silently leaves out an SA that another thread holds at that moment.
  for await (const sa of vici.listSas({ ike: name })) sas.push(sa);
  return tunnelIn(sas, virtualSubnets, name);
}

/** The same, of what charon has listed already. Pure. @throws Fault 108. */
export function tunnelIn(sas: readonly IkeSa[], virtualSubnets: readonly Prefix[], name: string): PodTunnel {
  for (const sa of sas) {
    if (sa.name !== name || !isUp(sa)) continue;
    if (isWaiting(sa)) throw waitingFault(sa.localId);
    return { server: address(sa.remoteHost), serverID: sa.remoteId, virtualIPs: virtualIPs(sa, virtualSubnets) };
  }
  throw new Fault(
    Code.checkFailed,
    "charon has no established tunnel to the hub",
    "see that the hub runs and is reachable",
  );
}

/** Whether traffic can go by it. Pure. */
export function isUp(sa: Pick<IkeSa, "state" | "childSas">): boolean {
  return (
    sa.state === "ESTABLISHED" && sa.childSas.some(({ name, state }) => name === POD_CHILD && state === "INSTALLED")
  );
}

async function connectTo(
  vici: Vici,
  request: TunnelRequest & { readonly name: string },
  server: Address,
  timeout: number,
): Promise<PodTunnel> {
  const { identity, serverID, name } = request;
  const log: ControlLogLine[] = [];
  const attempt = { server, identity, timeout, ...(serverID === undefined ? {} : { serverID }) };
  try {
    await vici.loadConn(name, podConnection({ ...request, server }));
    const until = performance.now() + timeout;
    await vici.initiate({ ike: name, child: POD_CHILD, timeout, onLog: (line) => log.push(line) });
    await untilAdmitted(vici, name, identity, Math.max(1, until - performance.now()));
    return await readTunnel(vici, request.virtualSubnets, name);
  } catch (error) {
    if (!(error instanceof ViciError)) throw error;
    if (!(error instanceof ViciCommandError)) throw charonLostFault(attempt, log, error);
    throw error.command === "initiate" ? initiateFault(attempt, log, error.errmsg) : configurationFault(error.errmsg);
  }
}

/** After a failure an IKE_SA may be up without a child and hold a lease at the hub (docs/facts/strongswan.md). */
async function giveUp(vici: Vici, name: string): Promise<void> {
  try {
    await vici.terminate({ ike: name, force: true, timeout: 500 });
    await vici.unloadConn(name);
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
