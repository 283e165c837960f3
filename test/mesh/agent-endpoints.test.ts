import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { AgentBed, within } from "../netns/support/agent-bed.ts";
import { eventually } from "../netns/support/eventually.ts";

let bed: AgentBed;
beforeEach(async () => {
  bed = await AgentBed.create(2);
});
afterEach(() => bed[Symbol.asyncDispose]());

/** An address of the underlay that nobody has. */
const NOBODY = "10.9.0.202";
/** Another one of n2. */
const ROAMED = "10.9.0.52";
/** Where a NAT has n2. */
const BEHIND = "10.9.0.77";
/** Seconds that it remembers somebody for. */
const REMEMBERS = 3;
/** In front of n2: what it sends comes from elsewhere, and nothing reaches it that it has not asked for. */
const NAT = `
ip address add ${BEHIND}/32 dev eth0
sysctl -qw net.netfilter.nf_conntrack_udp_timeout=${REMEMBERS} net.netfilter.nf_conntrack_udp_timeout_stream=${REMEMBERS}
nft -f - <<'END'
table inet router {
  chain out { type nat hook postrouting priority 100; ip saddr 10.9.0.2 udp sport 51820 snat ip to ${BEHIND}:40001; }
  chain in { type filter hook input priority 0; iifname eth0 udp dport 51820 ct state new drop; }
}
END`;
const endpointOf = async (index: number, of: number) => (await bed.peer(index, of))?.endpoint;

describe("a peer", () => {
  test("is reached at its public address when it does not answer at the private one", async () => {
    // Neither can be reached at the first try: else the other one would be told by that.
    for (const index of [1, 2]) {
      await bed.configure(index, {
        underlay: { private: NOBODY.replace("202", `20${index}`), public: [`10.9.0.${index}`] },
      });
    }
    await bed.startAll();
    expect(await endpointOf(1, 2)).toBe("10.9.0.2:51820");
  });

  test("that has another address behind its name is found there, though its record is the same", async () => {
    const hosts = (address: string) =>
      bed.at(1).writeFile("/etc/hosts", `127.0.0.1 localhost\n${address} n2.example.org\n`);
    await hosts("10.9.0.2");
    await bed.configure(1, { underlay: { private: "10.9.0.1" } });
    await bed.configure(2, { underlay: { private: NOBODY, public: ["n2.example.org"] } });
    await bed.startAll();
    expect(await endpointOf(1, 2)).toBe("10.9.0.2:51820");

    // n2 is somewhere else, and cannot say so itself.
    const { node } = bed.nodes[1] ?? { node: bed.at(2) };
    await node.exec([
      "nft",
      "add table inet test; add chain inet test out { type filter hook output priority 0; }; add rule inet test out ip daddr 10.9.0.1 udp dport 51820 ct state new drop",
    ]);
    await node.exec(["ip", "address", "del", "10.9.0.2/24", "dev", "eth0"]);
    await node.exec(["ip", "address", "add", "10.9.0.99/24", "dev", "eth0"]);
    await hosts("10.9.0.99");
    await bed.until(
      1,
      "n2 at its new address",
      ({ peers }) => peers.some(({ endpoint, state }) => endpoint === "10.9.0.99:51820" && state === "up"),
      60_000,
    );
  });

  test("that has roamed stays where it is, also over a crash of the device", async () => {
    await bed.startAll();
    await bed.at(2).exec(["ip", "address", "add", `${ROAMED}/32`, "dev", "eth0"]); // no address that it tells of
    const key = (await bed.status(2))?.node.publicKeys.wireguard ?? "";
    // n2 answers from where it was sent to; what it had sent before, from elsewhere, takes it back there.
    await eventually("n2 is where it roamed to", 20_000, async () => {
      await bed.at(1).exec(["wg", "set", "podvpn0", "peer", key, "endpoint", `${ROAMED}:51820`]);
      if (!(await bed.pings(1, 2))) return false;
      return (await bed.at(1).exec(["wg", "show", "podvpn0", "endpoints"])).stdout.includes(`${ROAMED}:51820`);
    });
    const isThere = () =>
      bed.until(1, "n2 where it roamed to", ({ peers }) => {
        return peers.some(({ endpoint, state }) => endpoint === `${ROAMED}:51820` && state === "up");
      });
    await isThere();
    await bed.configure(2, { labels: { rack: "7" }, mtu: 1400 });
    await bed.agent(1).line(/msg="peer n2 changed: mtu/, within(10));
    await isThere();
    await bed.at(1).exec(["pkill", "-KILL", "-x", "wireguard-go"]);
    await bed.agent(1).line(/msg="driver was started again"/, within(10));
    await isThere();
  });

  test("behind a NAT is reached where that has it, and keeps the NAT from forgetting, also without agents", async () => {
    await bed.configure(2, { underlay: { private: "10.9.0.2" }, keepalive: "1s" });
    await bed.at(2).exec(["sh", "-ec", NAT]);
    await bed.startAll();
    expect(await endpointOf(1, 2)).toBe(`${BEHIND}:40001`);

    for (const index of [1, 2]) await bed.stop(index);
    const received = async () => {
      const { stdout } = await bed.at(1).exec(["wg", "show", "podvpn0", "transfer"]);
      return Number(stdout.split("\t")[1]);
    };
    const before = await received();
    // Twice as long as the NAT remembers: a keepalive has 32 bytes.
    await eventually("keepalives come", 30_000, async () => (await received()) >= before + 2 * REMEMBERS * 32);
    expect(await bed.pings(1, 2)).toBe(true);
  });

  test("that is heard, but does not hear, is down on both sides, and each says which way is shut", async () => {
    await bed.startAll();
    await bed
      .at(1)
      .exec([
        "nft",
        "add table inet test; add chain inet test in { type filter hook input priority 0; }; add rule inet test in udp dport 51820 drop",
      ]);
    const [one, other] = await Promise.all([
      bed.agent(1).line(/msg="peer is down" peer=n2/, within(10)),
      bed.agent(2).line(/msg="peer is down" peer=n1/, within(10)),
    ]);
    expect(one).not.toContain("is heard");
    expect(other).toContain("it is heard, but does not hear this node");
    await bed.at(1).exec(["nft", "delete", "table", "inet", "test"]);
    await bed.joined(1, 2);
  });
});
