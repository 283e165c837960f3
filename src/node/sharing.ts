import { Code, Fault } from "../fault.ts";
import { diff, isEmpty } from "../wireguard/diff.ts";
import { randomPublicKey } from "../wireguard/keys.ts";
import { openDevice } from "../wireguard/open.ts";
import { sameGuard, sameLink } from "./next-record.ts";
import { AGENT_NETWORK, type DeviceRecord, deviceDirectory } from "./record.ts";
import { usersOf } from "./remove.ts";
import type { EnsureRequest } from "./request.ts";
import { deviceSettings } from "./settings.ts";

/**
 * The agent's device has what the agent's plan says, and nobody's configuration. @throws Fault 7 for a configuration
 * that would have a device of that name with peers of its own.
 */
export function requireNotAgents({ config }: EnsureRequest, previous: DeviceRecord | undefined): void {
  if (previous?.network !== AGENT_NETWORK) return;
  throw new Fault(
    Code.invalidConfig,
    `wireguard.interface is "${config.interface}", and that is the device of podvpn agent on this node`,
    'give wireguard {"agent": true} and nothing else, or an interface (and a listenPort) of the network\'s own',
  );
}

/**
 * Whether pods of other networks use the device: then it has their configuration, and no other. Also when the network
 * that came first has no pods any more: those that share the device are still there.
 */
export function isOfOthers({ network, config, attachment }: EnsureRequest, previous: DeviceRecord): boolean {
  if (previous.network === network) return false;
  return usersOf(config.interface, attachment).some((record) => record.network !== network);
}

/**
 * Of two networks that share a device the first one's configuration holds, and the second must have the very same.
 * @throws Fault 7.
 */
export async function requireSame(
  { config, privateKey }: EnsureRequest,
  record: DeviceRecord,
  previous: DeviceRecord,
): Promise<void> {
  const name = config.interface;
  using device = await openDevice({ name, directory: deviceDirectory(name) });
  const wanted = deviceSettings(config, privateKey, new Map());
  const change =
    device === undefined ? undefined : diff(wanted, await device.read(), { now: Date.now(), dummy: randomPublicKey });
  if (sameGuard(record, previous) && sameLink(record, previous) && (change === undefined || isEmpty(change))) return;
  throw new Fault(
    Code.invalidConfig,
    `wireguard.interface is "${name}", which pods of network ${previous.network} use with another configuration`,
    "give each network an interface (and a listenPort) of its own, or the very same wireguard object",
  );
}
