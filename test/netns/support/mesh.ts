import { execFileSync } from "node:child_process";
import type { Node } from "../../../src/testbed/node.ts";
import type { AttachOptions } from "../../../src/testbed/pod.ts";
import { Testbed } from "../../../src/testbed/testbed.ts";
import type { DataPlane } from "../../../src/wireguard/device.ts";
import { BUILT } from "./cluster.ts";

/** One node of a {@link Mesh}, with its key pair, as `wg` made it. */
export interface MeshNode {
  readonly node: Node;
  /** From 1. */
  readonly index: number;
  readonly publicKey: string;
  readonly privateKey: string;
}

/** A peer as a configuration has it. */
export type MeshPeer = {
  readonly publicKey: string;
  readonly endpoint: string;
  readonly allowedIPs: readonly string[];
};

/** Where the nodes keep their private keys: the plugin's default. */
export const KEY_FILE = "/var/lib/podvpn/wireguard/podvpn0.key";

/** A neighbour solicitation or advertisement for a pod's address (RFC 4861, sections 4.3 and 4.4), which is in neither header. */
const NEIGHBOUR = "icmp6 and (ip6[40] = 135 or ip6[40] = 136) and ip6[48:4] = 0xfd000001";

/**
 * Captured between nodes, none of this may be there: a pod's address in the clear, in either direction, or a question
 * for it. `net` matches ARP as well.
 */
export const PLAIN = `net 10.1.0.0/16 or net fd00:1::/32 or (${NEIGHBOUR})`;
/** Fragments of outer packets, which there must not be: of IPv4 (MF or an offset), of IPv6 (extension header 44). */
export const FRAGMENTS = "(ip[6:2] & 0x3fff != 0) or (ip6 and ip6[6] = 44)";

/** What a mesh looks like from outside. */
export const ENCRYPTED = "udp port 51820";

/** The pods of node `index`. */
export const podSubnet = (index: number) => `10.1.${index}.0/24`;
export const podSubnet6 = (index: number) => `fd00:1:${index}::/64`;
export const nodeAddress = (index: number) => `10.9.0.${index}`;
export const nodeAddress6 = (index: number) => `fd00:9::${index}`;

/** Nodes on one underlay, each with a private key, and nothing else made. */
export class Mesh implements AsyncDisposable {
  private constructor(
    readonly testbed: Testbed,
    readonly nodes: MeshNode[],
    private readonly planes: readonly DataPlane[],
  ) {}

  /** @param planes The data plane of each node's configuration; the plugin's choice without one. */
  static async create(count = 2, planes: readonly DataPlane[] = []): Promise<Mesh> {
    await using undo = new AsyncDisposableStack();
    const testbed = undo.use(await Testbed.create());
    const nodes: MeshNode[] = [];
    for (let index = 1; index <= count; index += 1) {
      const addresses = [`${nodeAddress(index)}/24`, `${nodeAddress6(index)}/64`];
      const node = await testbed.node(`n${index}`, { addresses });
      const { privateKey, publicKey } = keyPair();
      await node.exec(["mkdir", "-p", "-m", "700", "/var/lib/podvpn/wireguard"]);
      await node.writeFile(KEY_FILE, `${privateKey}\n`, 0o600);
      nodes.push({ node, index, privateKey, publicKey });
    }
    undo.move();
    return new Mesh(testbed, nodes, planes);
  }

  /** The `index`th node, from 1. */
  at(index: number): MeshNode {
    const found = this.nodes[index - 1];
    if (found === undefined) throw new RangeError(`the mesh has no node ${index}`);
    return found;
  }

  /** Gives a node another key, of which it and the others hear by their next configuration. */
  async rotateKey(index: number): Promise<void> {
    const { node } = this.at(index);
    const { privateKey, publicKey } = keyPair();
    await node.writeFile(KEY_FILE, `${privateKey}\n`);
    this.nodes[index - 1] = { node, index, privateKey, publicKey };
  }

  /** What the configuration of node `of` says of all others. @param outer By which addresses it reaches them. */
  peersOf(of: number, outer: 4 | 6 = 4): MeshPeer[] {
    return this.nodes
      .filter(({ index }) => index !== of)
      .map(({ index, publicKey }) => ({
        publicKey,
        endpoint: outer === 4 ? `${nodeAddress(index)}:51820` : `[${nodeAddress6(index)}]:51820`,
        allowedIPs: [podSubnet(index), podSubnet6(index)],
      }));
  }

  /** The network configuration of a node, with what a test wants different. `wireguard` is merged, all else replaced. */
  conf(
    of: number,
    overrides: Record<string, unknown> & { readonly wireguard?: Record<string, unknown> } = {},
  ): Record<string, unknown> {
    const { wireguard, ...rest } = overrides;
    const dataplane = this.planes[of - 1];
    return {
      cniVersion: "1.0.0",
      name: "podnet",
      type: "wireguard",
      wireguard: { peers: this.peersOf(of), ...(dataplane === undefined ? {} : { dataplane }), ...wireguard },
      bridge: "cni0",
      isDefaultGateway: true,
      ipMasq: true,
      ipam: { type: "host-local", ranges: [[{ subnet: podSubnet(of) }], [{ subnet: podSubnet6(of) }]] },
      ...rest,
    };
  }

  /** A pod of node `of` that has been added, removed again at the end of its scope. */
  async addedPod(of: number, name: string, configuration = this.conf(of), options: AttachOptions = BUILT) {
    await using undo = new AsyncDisposableStack();
    const pod = undo.use(await this.at(of).node.addPod(name));
    const result = await pod.add(configuration, options);
    undo.move();
    const [ip = "", ip6 = ""] = result.ips.map(({ address }) => address.replace(/\/\d+$/, ""));
    return {
      pod,
      result,
      ip,
      ip6,
      conf: configuration,
      async [Symbol.asyncDispose]() {
        await pod.del(configuration, options);
        await pod.remove();
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.testbed[Symbol.asyncDispose]();
  }
}

/** A new key pair, by wg(8): not by the code that is tested. */
export function keyPair(): { readonly privateKey: string; readonly publicKey: string } {
  const privateKey = execFileSync("wg", ["genkey"]).toString().trim();
  return { privateKey, publicKey: execFileSync("wg", ["pubkey"], { input: privateKey }).toString().trim() };
}
