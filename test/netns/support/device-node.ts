import { fileURLToPath } from "node:url";
import { parseAddress } from "../../../src/net/address.ts";
import type { Endpoint } from "../../../src/net/endpoint.ts";
import type { Node } from "../../../src/testbed/node.ts";
import { fewer, patience } from "../../../src/testbed/patience.ts";
import type { Place } from "../../../src/testbed/place.ts";
import type { Program } from "../../../src/testbed/program.ts";
import { ECHO_PORT } from "../../../src/testbed/traffic.ts";
import type { DataPlane, DeviceChange, DeviceSettings, DeviceState } from "../../../src/wireguard/device.ts";
import { diff } from "../../../src/wireguard/diff.ts";
import { randomPublicKey } from "../../../src/wireguard/keys.ts";
import type { Request, Which } from "./device-driver.ts";
import { decode, encode } from "./device-wire.ts";
import { DriverError } from "./driver-error.ts";

const DRIVER = fileURLToPath(new URL("./device-driver.ts", import.meta.url));
const COUNT = fileURLToPath(new URL("./udp-count.ts", import.meta.url));
const NODE = [
  process.execPath,
  "--experimental-transform-types",
  "--no-warnings",
  "--conditions=podvpn-source",
] as const;

/** Milliseconds for one request, on a busy machine. */
const PATIENCE = patience(30_000);

/** The name of the devices of these tests. */
export const NAME = "podvpn0";
const THIS: Which = { name: NAME };

/** Datagrams a second: more than a slow machine does would be lost where they wait. */
const RATE = fewer(500);

/** Sends `count` datagrams, 500 a second on a machine of usual speed, to an `echo` of src/testbed/traffic.ts: how many were answered. */
export async function answers(from: Place, address: string, count: number): Promise<number> {
  const argv = [process.execPath, COUNT, address, String(ECHO_PORT), String(count), String(RATE)] as const;
  return Number((await from.exec([...argv], { timeout: 60_000 })).stdout);
}

/** A node's device, as processes of the node see it: all is done by a driver there (device-driver.ts). */
export class DeviceNode implements AsyncDisposable {
  #asked = 0;

  private constructor(
    readonly node: Node,
    private readonly dataplane: DataPlane,
    private readonly driver: Program,
  ) {}

  /**
   * With two, a node has two processes that do the same.
   * @param wrapper What starts the driver, such as setpriv(1) with its options.
   */
  static async create(node: Node, dataplane: DataPlane, wrapper: readonly string[] = []): Promise<DeviceNode> {
    const [file, ...args] = [...wrapper, ...NODE, DRIVER];
    const driver = node.spawn([file ?? NODE[0], ...args]);
    await driver.line(/^ready$/, PATIENCE);
    return new DeviceNode(node, dataplane, driver);
  }

  /** `ensureDevice` with the data plane of these tests, unless told. */
  async ensure(dataplane: DataPlane | "auto" = this.dataplane, which = THIS) {
    const made = await this.#ask({ ...which, verb: "ensure", dataplane });
    return made as { readonly made: boolean; readonly dataPlane: DataPlane };
  }

  /** The data plane of the device that `openDevice` finds, or null. */
  async open(which = THIS): Promise<DataPlane | null> {
    return (await this.#ask({ ...which, verb: "open" })) as DataPlane | null;
  }

  async read(which = THIS): Promise<DeviceState> {
    return (await this.#ask({ ...which, verb: "read" })) as DeviceState;
  }

  async apply(change: DeviceChange, which = THIS): Promise<void> {
    await this.#ask({ ...which, verb: "apply", change });
  }

  /** `removeDevice`. */
  async remove(which = THIS): Promise<void> {
    await this.#ask({ ...which, verb: "remove" });
  }

  /** Reads, compares, writes the difference, and gives it. */
  async bring(wanted: DeviceSettings, which = THIS): Promise<DeviceChange> {
    const change = diff(wanted, await this.read(which), { now: Date.now(), dummy: randomPublicKey });
    await this.apply(change, which);
    return change;
  }

  /** Sets the device up, with addresses (with prefix length) and routes. */
  async setUp(addresses: readonly string[], routes: readonly string[]): Promise<void> {
    const lines = [
      `link set ${NAME} up`,
      ...addresses.map((address) => `address add ${address} dev ${NAME}${address.includes(":") ? " nodad" : ""}`),
      ...routes.map((route) => `route add ${route} dev ${NAME}`),
    ];
    await this.node.exec(["ip", "-batch", "-"], { input: lines.join("\n") });
  }

  /** What wg(8) sees of the device: the fields of each line of `wg show NAME dump`. */
  async dump(): Promise<string[][]> {
    const { stdout } = await this.node.exec(["wg", "show", NAME, "dump"]);
    return stdout
      .trimEnd()
      .split("\n")
      .map((line) => line.split("\t"));
  }

  /** A port of the node on the underlay. */
  endpoint(port: number, family: 4 | 6 = 4): Endpoint {
    const address = parseAddress(this.node.address(family));
    if (address === undefined) throw new TypeError(`${this.node.name} has no address`);
    return { address, port };
  }

  async #ask(request: Request): Promise<unknown> {
    this.#asked += 1;
    const id = `#${this.#asked}`;
    await this.driver.write(`${id} ${encode(request)}\n`);
    const line = await this.driver.line(new RegExp(`^${id} `), PATIENCE);
    const [, word, text] = /^\S+ (\S+) (.*)$/.exec(line) ?? [];
    const result = decode(text ?? "");
    if (word === "ok") return result;
    throw DriverError.of(result);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.driver.finish();
  }
}
