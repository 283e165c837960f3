import { bridgeConfig } from "../../src/attachment/bridge.ts";
import { attachmentDirectory, intactAttachment, isStrongswan, LOCK_WAIT } from "../../src/attachment/record.ts";
import type { DelCall } from "../../src/cni/dispatch.ts";
import { lockDirectory } from "../../src/os/lock.ts";
import { removeAttachment } from "./remove.ts";

/**
 * DEL: idempotent, and content with whatever is left. Reads nothing of `vpn`: a configuration that has since become
 * wrong, or a PSK file that is gone, keeps nothing from being removed.
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
    record: lock === undefined ? undefined : intactAttachment(directory, isStrongswan),
    // Without a record (a reboot) only the configuration tells a chain: there the IPAM is another plugin's.
    bridge: config.raw.ipam === undefined ? undefined : bridgeConfig(config.raw),
    masquerade: config.raw.ipMasq === true,
    netns: call.netns,
    args: call.env.CNI_ARGS,
    ...(lock === undefined ? {} : { lockFd: lock.fd }),
  });
}
