import { type IkeSa, type Vici, ViciError } from "vici";
import { Code, Fault } from "../fault.ts";
import { type Address, parseAddress } from "../net/address.ts";
import { isInWaitingRoom } from "../net/waiting-room.ts";

/**
 * Waits while a hub of podvpn's has the pod in its waiting room: it has another tunnel of the same identity, and finds
 * out whether that still lives. When it does not, the hub ends this one, and charon connects again by itself.
 * @param name Of the connection, which is up. @param timeout Milliseconds. @throws Fault 11 when the other one lives on.
 */
export async function untilAdmitted(vici: Vici, name: string, identity: string, timeout: number): Promise<void> {
  if (await isAdmitted(vici, name)) return;
  try {
    await using events = await vici.subscribe(["child-updown"], { signal: AbortSignal.timeout(Math.ceil(timeout)) });
    if (await isAdmitted(vici, name)) return;
    for await (const _ of events) if (await isAdmitted(vici, name)) return;
  } catch (error) {
    if (error instanceof ViciError && error.code === "ABORTED") throw waitingFault(identity);
    throw error;
  }
}

/** For a pod that the hub does not let in. */
export function waitingFault(identity: string): Fault {
  return new Fault(
    Code.tryAgainLater,
    `the hub has another pod online with the identity ${identity}`,
    "give each pod an identity of its own (vpn.identity), or end the other pod",
  );
}

/** Whether one of an SA's virtual IPs only says that the pod has to wait. Pure. */
export function isWaiting({ localVips }: Pick<IkeSa, "localVips">): boolean {
  return localVips
    .map(parseAddress)
    .filter((ip): ip is Address => ip !== undefined)
    .some(isInWaitingRoom);
}

async function isAdmitted(vici: Vici, name: string): Promise<boolean> {
  let admitted = false;
  for await (const sa of vici.listSas({ ike: name })) {
    const isUp = sa.state === "ESTABLISHED" && sa.childSas.some(({ state }) => state === "INSTALLED");
    admitted ||= isUp && !isWaiting(sa);
  }
  return admitted;
}
