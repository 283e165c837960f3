import { Code, Fault } from "../fault.ts";
import { run } from "../os/process.ts";
import { Capture } from "./capture.ts";
import { Holder } from "./holder.ts";
import { Node, type Uplink } from "./node.ts";
import { patience } from "./patience.ts";
import { ENVIRONMENT, Place } from "./place.ts";
import { SharedMounts } from "./shared.ts";

/** How a node is plugged in. */
export interface NodeOptions {
  /** Addresses with prefix length of its `eth0` on the underlay, IPv4 and IPv6. */
  readonly addresses: readonly string[];
}

/** What a testbed has beside its switch. */
export interface TestbedOptions {
  /** A directory that all nodes share, at {@link ./shared.ts}'s `SHARED_DIRECTORY`. */
  readonly isShared?: boolean;
}

/** The name under which {@link keptNodes} lists the switch. */
export const SWITCH_NAME = "switch";

/** The switch's bridge. Captures see each packet between nodes once. */
const BRIDGE = "br0";

/**
 * The default router of all nodes. There is none: the switch floods what is sent to its MAC, so that a packet that
 * leaks from a node by the default route is in the capture, and nobody answers.
 */
const ROUTER = { mac: "02:00:00:00:00:01", addresses: { 4: "169.254.1.1", 6: "fe80::1" } } as const;

/**
 * Machines and an underlay on one machine, made of anonymous namespaces: nothing has a name outside of them, so any
 * number of testbeds can run side by side with the same addresses. All of it ends with us, also when we are killed.
 * Use with `await using`.
 */
export class Testbed implements AsyncDisposable {
  readonly nodes = new Map<string, Node>();
  readonly #holders = new AsyncDisposableStack();
  readonly #all: Holder[] = [];

  private constructor(
    private readonly label: string,
    private readonly underlay: Place,
    private readonly underlayPid: number,
    private readonly mounts: SharedMounts | undefined,
  ) {}

  /**
   * A switch without nodes.
   * @param label By what `keptNodes` finds it, should it be kept. @throws Fault 101 when we are not root.
   */
  static async create(label = "testbed", { isShared = false }: TestbedOptions = {}): Promise<Testbed> {
    await using undo = new AsyncDisposableStack();
    const mounts = isShared ? undo.use(await SharedMounts.create()) : undefined;
    const holder = undo.use(await Holder.create(SWITCH_NAME, label));
    const underlay = new Place(SWITCH_NAME, holder.pid, `/proc/${holder.pid}/ns/net`);
    await underlay.exec(["sh", "-ec", SWITCH, "sh", BRIDGE]);
    const testbed = new Testbed(label, underlay, holder.pid, mounts);
    testbed.#all.push(holder);
    testbed.#holders.use(undo.move());
    return testbed;
  }

  /** A machine on the underlay, with its addresses and a default route. */
  async node(name: string, options: NodeOptions): Promise<Node> {
    await using undo = new AsyncDisposableStack();
    const holder = undo.use(await Holder.create(name, this.label, this.mounts?.namespace));
    const port = `port${this.#all.length}`;
    this.#all.push(holder);
    await this.#plug(port, holder.pid);
    const uplink: Uplink = {
      addresses: options.addresses,
      setUp: async (up) => void (await this.underlay.exec(["ip", "link", "set", port, up ? "up" : "down"])),
    };
    const node = new Node(name, holder, uplink);
    await node.exec(["ip", "-batch", "-"], { input: addressing(options.addresses).join("\n") });
    this.nodes.set(name, node);
    this.#holders.use(undo.move());
    return node;
  }

  /** Captures all that passes between nodes. @param filter tcpdump's language; everything without it. */
  capture(filter?: string): Promise<Capture> {
    return Capture.start(this.underlay, BRIDGE, filter === undefined ? {} : { filter });
  }

  /** Gives the underlay another MTU than Ethernet's 1500: the switch and `eth0` of the nodes that there are. @param mtu Bytes. */
  async setMtu(mtu: number): Promise<void> {
    await this.underlay.exec(["sh", "-ec", SWITCH_MTU, "sh", BRIDGE, String(mtu)]);
    for (const node of this.nodes.values()) {
      await node.exec(["ip", "link", "set", "eth0", "mtu", String(mtu)]);
    }
  }

  /** Lets it outlive us, until `takeDown`. What is disposed of afterwards stays as well. */
  async keep(): Promise<void> {
    for (const holder of this.#all) await holder.keep();
    await this.mounts?.[Symbol.asyncDispose](); // the nodes have their copies
    this.#holders.move();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#holders.disposeAsync();
  }

  /** A cable from the switch to the namespaces of process `pid`, where it is `eth0`. */
  async #plug(port: string, pid: number): Promise<void> {
    // With our own pid and mount namespaces, in which `pid` has a meaning.
    const add = ["ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", String(pid)];
    const args = [`--net=/proc/${this.underlayPid}/ns/net`, "--", "sh", "-ec", PLUG, port, BRIDGE, ...add];
    const { code, stderr } = await run("/usr/bin/nsenter", args, { timeout: patience(10_000), env: ENVIRONMENT });
    if (code !== 0) throw new Fault(Code.io, `no cable to ${port}`, "see its messages", { details: stderr.toString() });
  }
}

/** `$0` is the port, `$1` the bridge, the rest makes the pair. */
const PLUG = 'bridge=$1; shift; "$@"; ip link set "$0" master "$bridge" up';

const SWITCH = `
ip link add $1 type bridge mcast_snooping 0
ip link set $1 up`;

const SWITCH_MTU = `
for port in /sys/class/net/$1/brif/*; do ip link set "\${port##*/}" mtu "$2"; done
ip link set "$1" mtu "$2"`;

/** Batch lines for ip(8). Pure. */
function addressing(addresses: readonly string[]): string[] {
  const families = new Set(addresses.map((address) => (address.includes(":") ? 6 : 4)));
  return [
    "link set eth0 up",
    ...addresses.map((address) => `address add ${address} dev eth0${address.includes(":") ? " nodad" : ""}`),
    ...[...families].flatMap((family) => [
      `neighbour add ${ROUTER.addresses[family]} lladdr ${ROUTER.mac} dev eth0 nud permanent`,
      `route add default via ${ROUTER.addresses[family]} dev eth0 onlink`,
    ]),
  ];
}
