import { changed, NetlinkError } from "../netlink/error.ts";
import { commandFamily, dumpFamily, findFamily, type GenericFamily } from "../netlink/generic.ts";
import { addLink, deleteLink, getLink, type Link } from "../netlink/links.ts";
import type { Netlink } from "../netlink/netlink.ts";
import { openGeneric, openRoute } from "../netlink/open.ts";
import { inNetns, type Netns } from "../os/namespace.ts";
import type { Device, DeviceChange, DeviceState } from "./device.ts";
import { deviceState, getDevice, setDevice, WIREGUARD_FAMILY } from "./genl.ts";
import type { PublicKey } from "./key.ts";
import { portTaken } from "./port.ts";

/**
 * The group of podvpn's links (`ip link show group 174`), by which they are known: unlike an alias it is there from the
 * first moment on, so that nobody who is killed leaves a link of which nothing says whose it is.
 */
export const LINK_GROUP = 174;

/**
 * The kernel's device of that name that is ours; undefined when there is none, or a link of another kind or maker.
 * @param netns Where the link is; absent: where the thread is. @throws NetlinkError
 */
export async function openKernel(name: string, netns?: Netns): Promise<Device | undefined> {
  using nl = within(netns, openRoute);
  const link = await ownLink(nl, name);
  if (link === undefined) return undefined;
  using stack = new DisposableStack();
  const generic = stack.use(within(netns, openGeneric));
  const family = await findFamily(generic, ...WIREGUARD_FAMILY);
  stack.move(); // the socket is the device's now
  return new KernelDevice(name, link.index, generic, family);
}

/**
 * A new device where the thread is, empty and down. Its UDP socket belongs to this network namespace for good, also when
 * the link is moved to another.
 * @throws NetlinkError EEXIST when the name is taken, ENOTSUP where the kernel has no WireGuard.
 */
export async function createKernel(name: string): Promise<Device> {
  using nl = openRoute();
  await addLink(nl, { kind: KIND, name, group: LINK_GROUP });
  const device = await openKernel(name);
  if (device === undefined) throw new NetlinkError("ENODEV", `open the WireGuard device ${name} that was just made`);
  return device;
}

/** Removes the device of {@link openKernel}, sessions and all; none is fine. @throws NetlinkError */
export async function removeKernel(name: string, netns?: Netns): Promise<void> {
  using nl = within(netns, openRoute);
  const link = await ownLink(nl, name);
  if (link !== undefined) await changed(deleteLink(nl, link.index), "ENODEV");
}

/**
 * Name of the errno with which the kernel refuses to make a WireGuard device; undefined when it would make one. It is
 * asked for one with a name that cannot be: it finds the driver (and loads its module), prepares the device and refuses
 * the name at the very end, so that there is nothing to take back, nor to leave behind when we are killed.
 */
export async function kernelRefusal(): Promise<string | undefined> {
  using nl = openRoute();
  using generic = openGeneric();
  const refusal = await errnoOf(addLink(nl, { kind: KIND, name: NO_NAME }));
  return refusal === "EINVAL" ? await errnoOf(findFamily(generic, ...WIREGUARD_FAMILY)) : refusal;
}

/** A device of the kernel, by its link's index: another link that gets the name is never taken for it. */
class KernelDevice implements Device {
  readonly dataPlane = "kernel";
  readonly name: string;
  readonly #index: number;
  readonly #nl: Netlink;
  readonly #family: GenericFamily;

  constructor(name: string, index: number, nl: Netlink, family: GenericFamily) {
    this.name = name;
    this.#index = index;
    this.#nl = nl;
    this.#family = family;
  }

  async read(only?: ReadonlySet<PublicKey>): Promise<DeviceState> {
    const operation = `read the WireGuard device ${this.name}`;
    return deviceState(await dumpFamily(this.#nl, this.#family, getDevice(this.#index), operation), only);
  }

  async apply(change: DeviceChange): Promise<void> {
    try {
      for (const command of setDevice(this.#index, change)) {
        await commandFamily(this.#nl, this.#family, command, `change the WireGuard device ${this.name}`);
      }
    } catch (error) {
      const isPort = error instanceof NetlinkError && error.errno === "EADDRINUSE";
      throw isPort && change.listenPort !== undefined ? portTaken(change.listenPort) : error;
    }
  }

  [Symbol.dispose](): void {
    this.#nl.close();
  }
}

/** The link of that name, if it is a WireGuard device of ours. */
async function ownLink(nl: Netlink, name: string): Promise<Link | undefined> {
  const link = await getLink(nl, name);
  return link?.kind === KIND && link.group === LINK_GROUP ? link : undefined;
}

/** Name of the errno with which the kernel refuses; undefined when it does not. */
async function errnoOf(answer: Promise<unknown>): Promise<string | undefined> {
  try {
    await answer;
    return undefined;
  } catch (error) {
    if (error instanceof NetlinkError) return error.errno;
    throw error;
  }
}

function within<T>(netns: Netns | undefined, open: () => T): T {
  return netns === undefined ? open() : inNetns(netns, open);
}

const KIND = "wireguard";
/** `/` can be in no name of a link (dev_valid_name). */
const NO_NAME = "/";
