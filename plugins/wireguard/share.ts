import type { Call } from "../../src/cni/dispatch.ts";
import { isObject } from "../../src/config/hub-item.ts";
import { Code, Fault } from "../../src/fault.ts";
import type { Prefix } from "../../src/net/prefix.ts";
import { findAgentsDevice, START } from "./agent.ts";

type Raw = Call["config"]["raw"];

/** A network for documentation (RFC 5737), which no pod gets an address of. */
const NOBODYS: readonly unknown[] = [{ subnet: "192.0.2.0/24" }];

/**
 * The call with the agent's share of the network as host-local's ranges, where `agent` is true and they are not given:
 * so one configuration serves all nodes. Any other call is given back as it is.
 * @throws Fault 11 when the agent has not told its share on this node, so that the runtime tries again.
 */
export function withShare<C extends Call>(call: C): C {
  if (!asksForShare(call.config.raw)) return call;
  const share = findAgentsDevice()?.share;
  if (share === undefined) {
    const what = "ipam gives no subnet, and podvpn agent has not told yet which one is this node's";
    throw new Fault(Code.tryAgainLater, what, START);
  }
  return withRanges(call, rangesOf(share));
}

/**
 * The same for DEL and GC, which must not depend on the agent: host-local finds what it has given by the pod alone, and
 * wants a range all the same.
 */
export function withAnyShare<C extends Call>(call: C): C {
  if (!asksForShare(call.config.raw)) return call;
  const share = findAgentsDevice()?.share;
  return withRanges(call, share === undefined ? [NOBODYS] : rangesOf(share));
}

/** Pure. */
export function asksForShare({ wireguard, ipam }: Raw): boolean {
  if (!isObject(wireguard) || wireguard.agent !== true || !isObject(ipam) || ipam.type !== "host-local") return false;
  return (ipam.subnet ?? ipam.ranges ?? undefined) === undefined;
}

/** One address of each. */
function rangesOf(share: readonly Prefix[]): unknown[] {
  return share.map((subnet) => [{ subnet }]);
}

function withRanges<C extends Call>(call: C, ranges: readonly unknown[]): C {
  const { raw } = call.config;
  const ipam = isObject(raw.ipam) ? { ...raw.ipam, ranges } : { ranges };
  return { ...call, config: { ...call.config, raw: { ...raw, ipam } } };
}
