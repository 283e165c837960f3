import { Code, Fault } from "../fault.ts";
import { getLink, type Link } from "../netlink/links.ts";
import { openRoute } from "../netlink/open.ts";
import { inNetns, type Netns } from "../os/namespace.ts";
import type { DataPlane, Device } from "./device.ts";
import { createKernel, kernelRefusal, openKernel, removeKernel } from "./kernel.ts";
import { createUserspace, knownUserspace, openUserspace } from "./userspace.ts";
import { hasPidFile, requireWireguardGo, stopWireguardGo, trimDeviceLog } from "./wireguard-go.ts";

/** Which device. */
export interface DeviceOptions {
  /** Of the interface as it is made, in the namespace that the thread is in. */
  readonly name: string;
  /** Where the pid file and the log of a wireguard-go are; private to root. Made by the caller, who has its lock. */
  readonly directory: string;
  /** Where the interface is, and what it is called there, when it may have been moved. */
  readonly moved?: { readonly netns: Netns; readonly name: string };
}

/** How a device is made when there is none. */
export interface EnsureOptions extends DeviceOptions {
  /** "auto": the one that is there, whichever it is; for a new one the kernel where it has WireGuard. */
  readonly dataplane: DataPlane | "auto";
  /** See `DaemonOptions.lockFd`. */
  readonly lockFd: number;
  /** What {@link openDevice} has just found, or undefined; absent: it is looked for. */
  readonly there?: Device | undefined;
}

/** Milliseconds in which a wireguard-go has to be ready: it takes ten. */
const START = 10_000;

/** The device of ours, in the kernel or in user space; undefined when there is none that works. @throws Fault 102. */
export async function openDevice(options: DeviceOptions): Promise<Device | undefined> {
  const { name, directory, moved } = options;
  const kernel = await openKernel(moved?.name ?? name, moved?.netns);
  if (kernel !== undefined) return kernel;
  // Without its pid file a wireguard-go is looked for among all processes: not where there can be none.
  const possible = hasPidFile(directory) || (await linkOf(options)) !== undefined;
  return possible ? openUserspace(directory, name) : undefined;
}

/**
 * The device that {@link openDevice} has found before, without looking for it again: its link is still the one that it
 * was, and a wireguard-go's goes with it. One that hangs does not answer then. @throws NetlinkError.
 */
export async function reopenDevice(
  dataPlane: DataPlane,
  { name, directory }: DeviceOptions,
): Promise<Device | undefined> {
  return dataPlane === "kernel" ? await openKernel(name) : knownUserspace(directory, name);
}

/**
 * The device, made when there is none that works, or when it is of another data plane than the one that is asked for.
 * A new one is empty, and down. The caller holds the lock on the directory.
 * @throws Fault 101 for what the node lacks, Fault 102 when the name is taken by something that is not ours.
 */
export async function ensureDevice(
  options: EnsureOptions,
): Promise<{ readonly device: Device; readonly made: boolean }> {
  const { name, directory, dataplane, lockFd } = options;
  const there = "there" in options ? options.there : await openDevice(options);
  if (there !== undefined && (dataplane === "auto" || there.dataPlane === dataplane)) {
    if (there.dataPlane === "userspace") trimDeviceLog(directory);
    return { device: there, made: false };
  }
  there?.[Symbol.dispose]();
  const plane = await chooseDevicePlane(dataplane); // before anything is removed for its sake
  if (there !== undefined || hasPidFile(directory) || (await linkOf(options)) !== undefined) {
    await removeDevice(options);
    const foreign = await linkOf({ name });
    if (foreign !== undefined) throw nameTaken(foreign);
  }
  const device =
    plane === "kernel" ? await createKernel(name) : await createUserspace({ name, directory, lockFd, timeout: START });
  return { device, made: true };
}

/**
 * Removes the device and what a killed wireguard-go left. Nothing there is fine, and what is not ours stays.
 * @throws Fault 102, 103.
 */
export async function removeDevice({ name, directory, moved }: DeviceOptions): Promise<void> {
  await stopWireguardGo(directory, name);
  await removeKernel(name);
  if (moved !== undefined) await removeKernel(moved.name, moved.netns);
}

/**
 * The data plane for a new device: the kernel's where a real attempt succeeds, else a wireguard-go of ours.
 * @throws Fault 101 that names what the wanted one lacks.
 */
export async function chooseDevicePlane(wanted: DataPlane | "auto"): Promise<DataPlane> {
  const refusal = wanted === "userspace" ? "" : await kernelRefusal();
  if (refusal === undefined) return "kernel";
  if (wanted === "kernel") {
    throw new Fault(
      Code.missingPart,
      `dataplane is "kernel", but the kernel refuses WireGuard (${refusal})`,
      "load the kernel module wireguard (`modprobe wireguard`), or set dataplane to auto or userspace",
    );
  }
  requireWireguardGo();
  return "userspace";
}

/** The interface with the device's name, whosever it is. */
async function linkOf({ name, moved }: Pick<DeviceOptions, "name" | "moved">): Promise<Link | undefined> {
  using nl = moved === undefined ? openRoute() : inNetns(moved.netns, openRoute);
  return await getLink(nl, moved?.name ?? name);
}

function nameTaken({ name, kind }: Link): Fault {
  return new Fault(
    Code.kernel,
    `there is an interface ${name} (${kind ?? "hardware"}) that podvpn did not make`,
    "remove it, or give another wireguard.interface",
  );
}
