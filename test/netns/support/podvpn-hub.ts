import { connect } from "vici";
import type { DataPlane } from "../../../src/ipsec/strongswan-conf.ts";
import type { Node } from "../../../src/testbed/node.ts";
import { Cluster, type ClusterHub, PSK, VIRTUAL_SUBNET, VIRTUAL_SUBNET_6 } from "./cluster.ts";
import { eventually } from "./eventually.ts";
import { HUB_DIRECTORY, Hub, hubCharonPid } from "./hub.ts";
import { firstSa } from "./kernel-esp.ts";

/** Its own addresses in the virtual subnets. */
export const HUB_VIRTUAL = { 4: "10.173.255.254", 6: "fd00:173::ffff:ffff:ffff:ffff" } as const;

/** `podvpn hub` with one of the data planes, for a cluster. */
export class PodvpnHub implements ClusterHub {
  #hub: Hub | undefined;

  private constructor(readonly node: Node) {}

  /** A cluster with such a hub, for both families. @param overrides Keys of hub.yaml. @param files PSKs by path. */
  static cluster(
    count: number,
    dataplane: DataPlane,
    overrides: object = {},
    files: Readonly<Record<string, string>> = {},
  ): Promise<Cluster<PodvpnHub>> {
    return Cluster.with(count, async (node) => {
      const virtualSubnets = [VIRTUAL_SUBNET, VIRTUAL_SUBNET_6];
      const config = { virtualSubnets, pskFile: "/etc/podvpn/psk", dataplane, ...overrides };
      if (dataplane === "kernel") await firstSa(node);
      await Hub.configure(node, config, { "/etc/podvpn/psk": PSK, ...files });
      const hub = new PodvpnHub(node);
      await hub.up();
      return hub;
    });
  }

  async up(): Promise<void> {
    this.#hub = await Hub.start(this.node);
  }

  /** SIGKILL ends charon as well. */
  async down(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    if (signal === "SIGTERM") {
      await this.#hub?.kill("TERM");
      return;
    }
    const charon = await hubCharonPid(this.node);
    await this.#hub?.kill("KILL"); // first: it would end by itself, and say why
    await this.node.exec(["kill", "-KILL", charon]);
    await eventually("the hub's charon has ended", 5000, async () => {
      return (await this.node.exec(["kill", "-0", charon], { check: false })).code !== 0;
    });
  }

  /** Whom it has an SA with: identities, each as often as it has one. */
  async online(): Promise<string[]> {
    await using vici = await connect({ path: this.node.path(`${HUB_DIRECTORY}/vici`), timeout: 5000 });
    const identities: string[] = [];
    for await (const sa of vici.listSas({})) if (sa.state === "ESTABLISHED") identities.push(sa.remoteId);
    return identities;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#hub?.[Symbol.asyncDispose]();
  }
}
