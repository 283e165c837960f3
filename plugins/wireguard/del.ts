import { bridgeConfig } from "../../src/attachment/bridge.ts";
import { attachmentDirectory, intactAttachment, isWireguard, LOCK_WAIT } from "../../src/attachment/record.ts";
import type { DelCall } from "../../src/cni/dispatch.ts";
import { lockDirectory } from "../../src/os/lock.ts";
import { removeAttachment } from "./remove.ts";

/**
 * DEL: idempotent, and content with whatever is left. Reads nothing of `wireguard` but the name of the interface: a
 * configuration that has since become wrong, or a key file that is gone, keeps nothing from being removed.
 * @throws Fault for what could not be removed; the record then stays for another try.
 */
export async function del(call: DelCall): Promise<void> {
  const directory = attachmentDirectory(call);
  using lock = await lockDirectory(directory, { create: false, wait: LOCK_WAIT });
  const { containerID, ifname, config } = call;
  await removeAttachment({
    call,
    containerID,
    ifname,
    directory,
    record: lock === undefined ? undefined : intactAttachment(directory, isWireguard),
    // Without a record (a reboot) only the configuration tells a chain: there the IPAM is another plugin's.
    ...(config.raw.ipam === undefined ? {} : { bridge: bridgeConfig(config.raw) }),
    device: deviceName(config.raw.wireguard),
    netns: call.netns,
    args: call.env.CNI_ARGS,
    ...(lock === undefined ? {} : { lockFd: lock.fd }),
  });
}

/** As the schema has it; a path would lead out of the devices' directory. */
function deviceName(wireguard: unknown): string {
  const name: unknown = typeof wireguard === "object" && wireguard !== null ? Reflect.get(wireguard, "interface") : "";
  return typeof name === "string" && /^[^/\s]{1,15}$/.test(name) && !/^\.\.?$/.test(name) ? name : "podvpn0";
}
