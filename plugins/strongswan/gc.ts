import { collectGarbage } from "../../src/attachment/garbage.ts";
import { isStrongswan } from "../../src/attachment/record.ts";
import type { Call } from "../../src/cni/dispatch.ts";
import { removeAttachment } from "./remove.ts";

/** GC: removes this network's attachments that the runtime does not list, as their DEL would. @throws as that. */
export async function gc(call: Call): Promise<void> {
  await collectGarbage(call, isStrongswan, (directory, record, lock) => {
    const { containerID, ifname, masquerade, netns, args } = record;
    const lockFd = lock.fd;
    return removeAttachment({
      call,
      containerID,
      ifname,
      directory,
      record,
      bridge: undefined,
      masquerade,
      netns,
      args,
      lockFd,
    });
  });
}
