import { type Attachment, listAttachments } from "../../src/attachment/record.ts";
import type { Call } from "../../src/cni/dispatch.ts";
import { lockDirectory } from "../../src/os/lock.ts";
import { bridgeConfig, bridgeNode } from "./bridge.ts";
import { LOCK_WAIT, removeAttachment } from "./remove.ts";

/**
 * GC: removes this network's attachments that the runtime does not list as valid, as their DEL would, then asks the
 * bridge for the same. No list at all means that the runtime does not say what is in use: then nothing is removed.
 * @throws AggregateError of what could not be removed; the rest has been.
 */
export async function gc(call: Call): Promise<void> {
  const { validAttachments, name } = call.config;
  if (validAttachments === undefined) return;
  const isValid = (record: Attachment) =>
    validAttachments.some(({ containerID, ifname }) => containerID === record.containerID && ifname === record.ifname);
  const stale = listAttachments().filter(({ record }) => record.network === name && !isValid(record));
  const failures: unknown[] = [];
  for (const { directory, record } of stale) {
    try {
      await removeOne(call, directory, record);
    } catch (error) {
      failures.push(error);
    }
  }
  if (call.config.raw.ipam !== undefined) {
    await bridgeNode("GC", call, {
      ...bridgeConfig(call.config.raw),
      "cni.dev/valid-attachments": validAttachments,
    }).catch((error: unknown) => failures.push(error));
  }
  if (failures.length > 0) throw new AggregateError(failures, "not all stale attachments could be removed");
}

async function removeOne(call: Call, directory: string, record: Attachment): Promise<void> {
  using lock = await lockDirectory(directory, { create: false, wait: LOCK_WAIT });
  if (lock === undefined) return; // a DEL came first
  const { containerID, ifname, masquerade, netns, args } = record;
  await removeAttachment({
    call,
    containerID,
    ifname,
    directory,
    record,
    bridge: undefined,
    masquerade,
    netns,
    args,
    lockFd: lock.fd,
  });
}
