import { expect, test } from "vitest";
import type { Check } from "../../../src/doctor/finding.ts";
import type { Node } from "../../../src/testbed/node.ts";
import { doctor, findingOf, run } from "./doctor.ts";
import { eventually } from "./eventually.ts";
import { installPlugins } from "./installed.ts";
import { Mesh } from "./mesh.ts";

type Pod = Awaited<ReturnType<Mesh["addedPod"]>>;

/** Two nodes with the CNI plugin `wireguard` and a pod each: one is examined. */
export class ExaminedNode implements AsyncDisposable {
  private constructor(
    readonly mesh: Mesh,
    readonly node: Node,
    readonly here: Pod,
    readonly there: Pod,
    private readonly resources: AsyncDisposableStack,
  ) {}

  static async create(): Promise<ExaminedNode> {
    await using undo = new AsyncDisposableStack();
    const mesh = undo.use(await Mesh.create(2));
    const { node } = mesh.at(1);
    await installPlugins(node);
    const here = undo.use(await mesh.addedPod(1, "here"));
    const there = undo.use(await mesh.addedPod(2, "there"));
    return new ExaminedNode(mesh, node, here, there, undo.move());
  }

  async sh(script: string, at = this.node): Promise<string> {
    return (await at.exec(["sh", "-ec", script])).stdout;
  }

  /** Whether pings from pod to pod pass, over IPv4 and IPv6. */
  async pinged(): Promise<[boolean, boolean]> {
    return [await this.here.pod.ping(this.there.ip), await this.here.pod.ping(this.there.ip6)];
  }

  /** Both families pass, and the doctor finds nothing bad. */
  async expectWell(): Promise<void> {
    await eventually("pings pass", 15_000, async () => (await this.pinged()).every(Boolean));
    const diagnosis = await doctor(this.node);
    expect(diagnosis.bad).toEqual([]);
    expect(diagnosis).toMatchObject({ healthy: true, code: 0 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.resources.disposeAsync();
  }
}

/** A fault, and what is expected of the doctor. */
export interface Fault {
  readonly name: string;
  readonly breaks: string;
  readonly check: Check;
  readonly what: RegExp;
  readonly command: RegExp;
  /** Whether IPv4, and IPv6, pass all the same; absent: that depends on the data plane. */
  readonly passes?: readonly [boolean, boolean];
  /** Takes away what the remedy leaves of the fault. */
  readonly after?: string;
  /** Not in `npm test`: others of its kind are. */
  readonly isMore?: true;
}

export const FAULTS: readonly Fault[] = [
  {
    name: "a route through the device is gone",
    breaks: "ip route del 10.1.2.0/24 dev podvpn0",
    check: "routes",
    what: /packets for 10\.1\.2\.0\/24 .* go nowhere: the route through podvpn0 is gone/,
    command: /doctor --mend podvpn0$/,
    passes: [false, true],
  },
  {
    name: "a foreign route is more specific",
    isMore: true,
    breaks: "ip route add 10.1.2.0/25 via 10.9.0.2 dev eth0",
    check: "routes",
    what: /leave by eth0 instead of podvpn0: the route 10\.1\.2\.0\/25 via 10\.9\.0\.2 dev eth0 is not podvpn's/,
    command: /^ip -4 route del 10\.1\.2\.0\/25 via 10\.9\.0\.2 dev eth0$/,
    passes: [false, true],
  },
  {
    name: "flannel's device has taken a route",
    breaks:
      "ip link add flannel.1 type vxlan id 1 dev eth0 dstport 8472; ip link set flannel.1 up; ip route replace 10.1.2.0/24 via 10.1.2.0 dev flannel.1 onlink",
    check: "routes",
    what: /leave by flannel\.1 instead of podvpn0: the route 10\.1\.2\.0\/24 via 10\.1\.2\.0 dev flannel\.1 is not podvpn's/,
    command: /^ip -4 route del 10\.1\.2\.0\/24 via 10\.1\.2\.0 dev flannel\.1 && .*doctor --mend podvpn0$/,
    passes: [false, true],
    after: "ip link del flannel.1",
  },
  {
    name: "a foreign route takes a part",
    isMore: true,
    breaks: "ip -6 route add fd00:1:2::8000/113 via fd00:9::2 dev eth0",
    check: "routes",
    what: /packets for a part of fd00:1:2::\/64 .* do not take podvpn0/,
    command: /^ip -6 route del fd00:1:2::8000\/113 via fd00:9::2 dev eth0/,
    passes: [true, true],
  },
  {
    name: "a foreign route refuses",
    isMore: true,
    breaks: "ip route add blackhole 10.1.2.0/26",
    check: "routes",
    what: /are refused: the route blackhole 10\.1\.2\.0\/26 is not podvpn's/,
    command: /^ip -4 route del blackhole 10\.1\.2\.0\/26$/,
    passes: [false, true],
  },
  {
    name: "a foreign rule leads elsewhere",
    breaks: "ip route add default via 10.9.0.2 dev eth0 table 99; ip rule add pref 100 to 10.1.0.0/16 lookup 99",
    check: "routes",
    what: /leave by eth0 instead of podvpn0: the rule 100 to 10\.1\.0\.0\/16 leads to table 99/,
    command: /^ip -4 rule del pref 100 to 10\.1\.0\.0\/16$/,
    passes: [false, true],
    after: "ip route flush table 99",
  },
  {
    name: "a foreign rule refuses",
    isMore: true,
    breaks: "ip -6 rule add pref 100 to fd00:1:2::/48 blackhole",
    check: "routes",
    what: /are refused: the rule 100 to fd00:1:2::\/48 is blackhole/,
    command: /^ip -6 rule del pref 100/,
    passes: [true, false],
  },
  {
    name: "a link has addresses of the mesh",
    breaks: "ip link add over0 type veth peer name over1; ip address add 10.1.2.77/25 dev over0; ip link set over0 up",
    check: "overlap",
    what: /^over0 has 10\.1\.2\.77\/25, which is in 10\.1\.2\.0\/24 of the mesh/,
    command: /^ip address del 10\.1\.2\.77\/25 dev over0$/,
    passes: [false, true],
    after: "ip link del over0",
  },
  {
    name: "the bridge does not forward IPv4",
    breaks: "echo 0 >/proc/sys/net/ipv4/conf/cni0/forwarding",
    check: "settings",
    what: /^net\/ipv4\/conf\/cni0\/forwarding is 0: packets of pods are not forwarded/,
    command: /^echo 1 >\/proc\/sys\/net\/ipv4\/conf\/cni0\/forwarding$/,
    passes: [false, true],
  },
  {
    name: "the node does not forward IPv6",
    isMore: true,
    breaks: "echo 0 >/proc/sys/net/ipv6/conf/all/forwarding",
    check: "settings",
    what: /^net\/ipv6\/conf\/all\/forwarding is 0/,
    command: /^echo 1 >\/proc\/sys\/net\/ipv6\/conf\/all\/forwarding$/,
    passes: [true, false],
  },
  {
    name: "rp_filter is strict on the device",
    breaks: "echo 1 >/proc/sys/net/ipv4/conf/podvpn0/rp_filter",
    check: "settings",
    what: /^rp_filter is 1 \(strict\) for podvpn0/,
    command: /^echo 2 >\/proc\/sys\/net\/ipv4\/conf\/podvpn0\/rp_filter$/,
    passes: [true, true],
  },
  {
    name: "the uplink is down",
    isMore: true,
    breaks: "ip link set eth0 down",
    check: "underlay",
    what: /at 10\.9\.0\.2:51820: (?:there is no route to it|packets to it are refused)/,
    command: /^ip link set eth0 up$/,
    passes: [false, false],
  },
  {
    name: "a route refuses the peer's own address",
    isMore: true,
    breaks: "ip route add blackhole 10.9.0.2",
    check: "underlay",
    what: /at 10\.9\.0\.2:51820: there is no route to it/,
    command: /^ip route del blackhole 10\.9\.0\.2\/32$/,
  },
  {
    name: "iptables lets nothing in",
    breaks: "iptables-nft -P INPUT DROP",
    check: "underlay",
    what: /bytes went out, and nothing came back; the chain INPUT of iptables-nft refuses/,
    command: /^iptables-nft -I INPUT -p udp --dport 51820 -j ACCEPT$/,
    passes: [false, false],
    after: "iptables-nft -P INPUT ACCEPT; iptables-nft -F INPUT",
  },
  {
    name: "iptables-legacy lets nothing in",
    isMore: true,
    breaks: "iptables-legacy -P INPUT DROP",
    check: "underlay",
    what: /nothing came back; the chain INPUT of iptables-legacy refuses/,
    command: /^iptables-legacy -I INPUT -p udp --dport 51820 -j ACCEPT$/,
    passes: [false, false],
    after: "iptables-legacy -P INPUT ACCEPT; iptables-legacy -F INPUT",
  },
  {
    name: "an nft chain lets nothing in",
    isMore: true,
    breaks: "nft 'add table ip fw; add chain ip fw in { type filter hook input priority 0; policy drop; }'",
    check: "underlay",
    what: /nothing came back; the chain in of the nft table ip fw refuses/,
    command: /^nft 'insert rule ip fw in udp dport 51820 accept'$/,
    passes: [false, false],
    after: "nft delete table ip fw",
  },
  {
    name: "an nft chain lets nothing out",
    isMore: true,
    breaks: "nft 'add table ip fw; add chain ip fw out { type filter hook output priority 0; policy drop; }'",
    check: "underlay",
    what: /does not let packets out to it \(EPERM\); the chain out of the nft table ip fw refuses/,
    command: /^nft 'insert rule ip fw out udp dport 51820 accept'$/,
    passes: [false, false],
    after: "nft delete table ip fw",
  },
  {
    name: "the guard is gone",
    breaks: "nft delete table inet podvpn-mesh-podvpn0",
    check: "tunnel",
    what: /^podvpn0: missing: nft table inet podvpn-mesh-podvpn0: packets for the mesh may leave in plain/,
    command: /doctor --mend podvpn0$/,
  },
  {
    name: "a refusal is gone",
    isMore: true,
    breaks: "ip route del unreachable 10.1.2.0/24 metric 4010",
    check: "tunnel",
    what: /missing: unreachable route to 10\.1\.2\.0\/24 in table 254/,
    command: /doctor --mend podvpn0$/,
    passes: [true, true],
  },
  {
    name: "the device is down",
    breaks: "ip link set podvpn0 down",
    check: "tunnel",
    what: /^podvpn0: podvpn0 is down/,
    command: /doctor --mend podvpn0$/,
    passes: [false, false],
  },
  ...["iptables-nft", "iptables-legacy", "ip6tables-nft", "ip6tables-legacy"].map((program): Fault => {
    const isSix = program.startsWith("ip6");
    return {
      name: `${program} drops what is forwarded`,
      ...(program !== "ip6tables-nft" && { isMore: true }),
      breaks: `${program} -P FORWARD DROP`,
      check: "forwarding",
      what: new RegExp(`^podvpn0: the chain FORWARD of ${program} refuses forwarded packets`),
      command: new RegExp(`^${program} -I FORWARD -i podvpn0 -d `),
      passes: [isSix, !isSix],
      after: `${program} -P FORWARD ACCEPT; ${program} -F FORWARD`,
    };
  }),
  {
    name: "an nft chain drops what is forwarded",
    isMore: true,
    breaks: "nft 'add table inet fw; add chain inet fw pass { type filter hook forward priority 0; policy drop; }'",
    check: "forwarding",
    what: /^podvpn0: the chain pass of the nft table inet fw refuses forwarded packets/,
    command: /^nft 'insert rule inet fw pass iifname "podvpn0"/,
    passes: [false, false],
    after: "nft delete table inet fw",
  },
  {
    name: "addresses are translated before podvpn's chain",
    breaks:
      "nft 'add table ip early; add chain ip early post { type nat hook postrouting priority -160; }; add rule ip early post masquerade'",
    check: "source",
    what: /^the chain post of the nft table ip early \(priority -160\) comes before podvpn's/,
    command: /^nft 'insert rule ip early post oifname "podvpn0" accept'$/,
    passes: [false, true],
    after: "nft delete table ip early",
  },
];

/** Each is made for real, found, and mended by the command as it is printed. */
export function testFaults(faults: readonly Fault[], examined: () => ExaminedNode): void {
  test.each(faults)("finds that $name, and the command mends it", async (fault) => {
    const { breaks, check, what, command, passes, after = "true" } = fault;
    const node = examined();
    await using cleanup = new AsyncDisposableStack();
    cleanup.defer(() => node.sh(after).then(() => undefined));
    await node.sh(breaks);
    if (passes !== undefined) {
      // wireguard-go goes on by the way that it knows until it hears of another.
      await eventually(`pings: ${passes}`, 10_000, async () => (await node.pinged()).join() === passes.join());
    }
    const diagnosis = await doctor(node.node);
    expect(diagnosis).toMatchObject({ healthy: false, code: 1 });
    const finding = findingOf(diagnosis, check, what);
    expect(finding.command).toMatch(command);
    await run(node.node, finding);
    await node.expectWell();
  });
}
