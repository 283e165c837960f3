import { Code, Fault } from "../../fault.ts";
import { DEVICE_LOCK_WAIT, deviceDirectory } from "../../node/record.ts";
import { type Lock, lockDirectory } from "../../os/lock.ts";

/** The same for a device that is there: undefined when there is nothing of it any more. @throws Fault 11. */
export function lockKnownDevice(name: string): Promise<Lock | undefined> {
  return lockDirectory(deviceDirectory(name), { create: false, wait: DEVICE_LOCK_WAIT });
}

/** Holds a device of the driver against the plugins. @throws Fault 11 when another call holds it for too long. */
export async function lockDevice(name: string): Promise<Lock> {
  const directory = deviceDirectory(name);
  const lock = await lockDirectory(directory, { create: true, wait: DEVICE_LOCK_WAIT });
  if (lock === undefined) throw new Fault(Code.internal, `${directory} was not made`, "report this");
  return lock;
}
