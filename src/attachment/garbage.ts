import type { Call } from "../cni/dispatch.ts";
import { type Lock, lockDirectory } from "../os/lock.ts";
import { Attempts } from "../together.ts";
import { bridgeConfig, bridgeNode } from "./bridge.ts";
import { type Attachment, LOCK_WAIT, listAttachments } from "./record.ts";

/**
 * GC: removes the attachments of this network that the runtime does not list as valid, as their DEL would, then asks the
 * bridge for the same. No list at all means that the runtime does not say what is in use: then nothing is removed.
 * @param mine Which of the network's records are this plugin's. @param remove What DEL does, under the held lock.
 * @throws AggregateError of what could not be removed; the rest has been.
 */
export async function collectGarbage<A extends Attachment>(
  call: Call,
  mine: (record: Attachment) => record is A,
  remove: (directory: string, record: A, lock: Lock) => Promise<void>,
): Promise<void> {
  const { validAttachments, name } = call.config;
  if (validAttachments === undefined) return;
  const isValid = (record: Attachment) =>
    validAttachments.some(({ containerID, ifname }) => containerID === record.containerID && ifname === record.ifname);
  const attempts = new Attempts();
  for (const { directory, record } of listAttachments()) {
    if (record.network !== name || !mine(record) || isValid(record)) continue;
    await attempts.try(async () => {
      using lock = await lockDirectory(directory, { create: false, wait: LOCK_WAIT });
      if (lock !== undefined) await remove(directory, record, lock); // else a DEL came first
    });
  }
  if (call.config.raw.ipam !== undefined) {
    const config = { ...bridgeConfig(call.config.raw), "cni.dev/valid-attachments": validAttachments };
    await attempts.try(() => bridgeNode("GC", call, config));
  }
  attempts.finish("not all stale attachments could be removed");
}
