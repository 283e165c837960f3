import { connect } from "vici";
import { missingOfGuard, removeGuard } from "../../../src/guard/apply.ts";
import type { Guard } from "../../../src/guard/plan.ts";
import { type Lease, leasesOf, listSas } from "../../../src/hub/leases.ts";
import { hubGuard } from "../../../src/hub/network.ts";
import { openNetns } from "../../../src/os/namespace.ts";
import type { Node } from "../../../src/testbed/node.ts";
import type { Snapshot } from "../../../src/testbed/snapshot.ts";
import { Testbed } from "../../../src/testbed/testbed.ts";
import { Client, HUB_DIRECTORY, type Join, PODVPN, prefix } from "./hub.ts";

export const PSK = "the PSK of the hub's tests";
export const SUBNETS = ["10.173.0.0/16", "fd00:173::/64"] as const;
/** The hub's own addresses in them. */
export const OWN = ["10.173.255.254", "fd00:173::ffff:ffff:ffff:ffff"] as const;
export const CONFIG = { virtualSubnets: SUBNETS, pskFile: "/etc/podvpn/psk", dpd: "2s" };
export const KEYS = { "/etc/podvpn/psk": PSK };
/** Captured on the underlay, none of this may be there. */
export const PLAIN = `net ${SUBNETS[0]} or net ${SUBNETS[1]}`;
/** What a hub keeps when it is stopped. */
const LEASES = "/var/lib/podvpn/hub";

/** What a pod asks of the hub. */
export function join(identity: string, overrides: Partial<Join> = {}): Join {
  return { identity, psk: PSK, server: "10.9.0.254", virtualSubnets: SUBNETS, ...overrides };
}

/** A machine for a hub, and as many as wanted for pods. */
export class HubBed implements AsyncDisposable {
  private constructor(
    readonly testbed: Testbed,
    readonly hubNode: Node,
  ) {}

  static async create(): Promise<HubBed> {
    await using undo = new AsyncDisposableStack();
    const testbed = undo.use(await Testbed.create());
    const hubNode = await testbed.node("hub", { addresses: ["10.9.0.254/24", "fd00:9::fe/64"] });
    undo.move();
    return new HubBed(testbed, hubNode);
  }

  async clientNode(index: number): Promise<Node> {
    return this.testbed.node(`n${index}`, { addresses: [`10.9.0.${index}/24`, `fd00:9::${index}/64`] });
  }

  /** A pod's charon on a machine of its own. */
  async client(index: number): Promise<Client> {
    return Client.start(await this.clientNode(index));
  }

  podvpn(...args: string[]) {
    return this.hubNode.exec([PODVPN, ...args], { check: false });
  }

  /** Who is online, as charon has it. */
  async leases(): Promise<Lease[]> {
    await using vici = await connect({ path: this.hubNode.path(`${HUB_DIRECTORY}/vici`), timeout: 5000 });
    return leasesOf(await listSas(vici));
  }

  /**
   * All that the hub could leave behind, kernel settings included; but for what it keeps: the executable's own addons,
   * and its leases. @param except Path of what is kept, "" for nothing.
   */
  async everything(except = LEASES): Promise<Snapshot> {
    const settings = await this.hubNode.exec([
      "sh",
      "-c",
      "cd /proc/sys/net; grep -r . ipv4/ip_forward ipv4/conf ipv6/conf 2>/dev/null | grep -v /ipsec | grep -v stable_secret",
    ]);
    const snapshot = await this.hubNode.snapshot();
    const kept = ["/var/lib/podvpn/addons", ...(except === "" ? [] : [except])];
    const files = snapshot.get("files")?.filter((path) => !kept.some((start) => path.startsWith(start))) ?? [];
    return new Map([...snapshot, ["files", files], ["settings", settings.stdout.split("\n").sort()]]);
  }

  async setSysctl(key: string, value: string): Promise<void> {
    await this.hubNode.exec(["tee", `/proc/sys/net/${key}`], { input: value });
  }

  async sysctl(key: string): Promise<string> {
    return (await this.hubNode.exec(["cat", `/proc/sys/net/${key}`])).stdout.trim();
  }

  async withGuard<T>(action: (guard: Guard, netns: ReturnType<typeof openNetns>) => Promise<T>): Promise<T> {
    using netns = openNetns(`/proc/${this.hubNode.pid}/ns/net`);
    return await action(hubGuard(SUBNETS.map(prefix), "userspace"), netns);
  }

  openTheHoles(): Promise<void> {
    return this.withGuard(removeGuard);
  }

  guardMissing(): Promise<string[]> {
    return this.withGuard(missingOfGuard);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.testbed[Symbol.asyncDispose]();
  }
}
