import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { Capture, type CaptureOptions } from "./capture.ts";
import type { Holder } from "./holder.ts";
import { Place } from "./place.ts";
import { Pod } from "./pod.ts";
import { type Snapshot, snapshotNode } from "./snapshot.ts";

/** Where a node is plugged into the underlay. */
export interface Uplink {
  /** Addresses with prefix length of the node's `eth0`. */
  readonly addresses: readonly string[];
  /** Connects or disconnects the cable. */
  setUp(up: boolean): Promise<void>;
}

/** A machine of the testbed: network, mount and pid namespaces of its own, one interface `eth0` to the underlay. */
export class Node extends Place {
  readonly pods = new Map<string, Pod>();
  /** Process 1 of the node, as we see it. */
  readonly pid: number;
  readonly addresses: readonly string[];
  readonly #uplink: Uplink;

  constructor(name: string, holder: Holder, uplink: Uplink) {
    super(name, holder.pid, `/proc/${holder.pid}/ns/net`);
    this.pid = holder.pid;
    this.addresses = uplink.addresses;
    this.#uplink = uplink;
  }

  /** The node's first IPv4 (4) or IPv6 (6) address on the underlay, without prefix length. */
  address(family: 4 | 6 = 4): string {
    const found = this.addresses.find((address) => address.includes(":") === (family === 6));
    if (found === undefined) throw new Error(`${this.name} has no IPv${family} address`);
    return found.slice(0, found.indexOf("/"));
  }

  /** Makes the network namespace of a pod, as a container runtime does before ADD. */
  async addPod(name: string): Promise<Pod> {
    const pod = await Pod.create(this, name, (removed) => this.pods.delete(removed));
    this.pods.set(name, pod);
    return pod;
  }

  /** Path, as we see it, of a file as the node sees it. The node's symbolic links with absolute targets do not work. */
  path(path: string): string {
    return `/proc/${this.pid}/root${path}`;
  }

  /** Writes a file in the node; missing directories are made. */
  async writeFile(path: string, content: string | Uint8Array, mode = 0o644): Promise<void> {
    await mkdir(dirname(this.path(path)), { recursive: true });
    await writeFile(this.path(path), content, { mode });
  }

  readFile(path: string): Promise<string> {
    return readFile(this.path(path), "utf8");
  }

  /** Connects or disconnects the cable to the underlay. Addresses and routes stay. */
  setUnderlay(up: boolean): Promise<void> {
    return this.#uplink.setUp(up);
  }

  /** Captures on one of the node's interfaces. See {@link Capture}. */
  capture(device: string, options: CaptureOptions = {}): Promise<Capture> {
    return Capture.start(this, device, options);
  }

  /** All that a plugin could leave behind on the node and in its pods' namespaces. */
  snapshot(): Promise<Snapshot> {
    return snapshotNode(this);
  }
}
