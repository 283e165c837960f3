import { collectGarbage } from "../../src/attachment/garbage.ts";
import { isWireguard } from "../../src/attachment/record.ts";
import type { Call } from "../../src/cni/dispatch.ts";
import { removeAttachment } from "./remove.ts";

/** GC: removes this network's attachments that the runtime does not list, as their DEL would. @throws as that. */
export async function gc(call: Call): Promise<void> {
  await collectGarbage(call, isWireguard, (directory, record, lock) => {
    const { containerID, ifname, netns, args } = record;
    return removeAttachment({ call, containerID, ifname, directory, record, netns, args, lockFd: lock.fd });
  });
}
