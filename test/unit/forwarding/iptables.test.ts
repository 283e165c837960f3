import { describe, expect, test } from "vitest";
import { acceptRules, parseForward, ruleArguments } from "../../../src/forwarding/iptables.ts";
import { closedIptables, obstacleText, unknownLegacy } from "../../../src/forwarding/obstacles.ts";
import { type Prefix, parsePrefix } from "../../../src/net/prefix.ts";

const prefix = (text: string): Prefix => parsePrefix(text) ?? expect.fail(text);
const PODS = prefix("10.1.0.0/24");
const RULES = acceptRules("podvpn0", [PODS]);

/** As `iptables -S FORWARD` of 1.8.9 writes them. */
const LISTED = [
  "-A FORWARD -d 10.1.0.0/24 -i podvpn0 -m comment --comment podvpn -j ACCEPT",
  "-A FORWARD -s 10.1.0.0/24 -o podvpn0 -m comment --comment podvpn -j ACCEPT",
];

describe("what iptables tells of FORWARD", () => {
  test("has our rules, whoever else has some", () => {
    const listing = ["-P FORWARD DROP", "-A FORWARD -j DOCKER-USER", ...LISTED, "-A FORWARD -o docker0 -j DOCKER", ""];
    expect(parseForward(listing.join("\n"))).toEqual({ refuses: true, accepts: RULES });
  });

  test("has our rules also as older versions write them, and those for single addresses and IPv6", () => {
    const listing = [
      '-A FORWARD -d 10.1.0.2/32 -i podvpn0 -m comment --comment "podvpn" -j ACCEPT',
      "-A FORWARD -s fd00:0:0:1::/64 -o podvpn0 -m comment --comment podvpn -j ACCEPT",
    ];
    expect(parseForward(listing.join("\n"))?.accepts).toEqual([
      { device: "podvpn0", direction: "in", subnet: "10.1.0.2/32" },
      { device: "podvpn0", direction: "out", subnet: "fd00:0:0:1::/64" },
    ]);
  });

  test.each([
    "-A FORWARD -d 10.1.0.0/24 -i podvpn0 -m comment --comment podvpn -j DROP",
    "-A FORWARD -d 10.1.0.0/24 -i podvpn0 -m comment --comment other -j ACCEPT",
    "-A FORWARD -d 10.1.0.0/24 -i podvpn0 -p tcp -m comment --comment podvpn -j ACCEPT",
    "-A FORWARD -s 10.1.0.0/24 -i podvpn0 -m comment --comment podvpn -j ACCEPT",
    "-A FORWARD ! -d 10.1.0.0/24 -i podvpn0 -m comment --comment podvpn -j ACCEPT",
    "-A FORWARD -i podvpn0 -j ACCEPT",
  ])("has no rule of ours in %s", (line) => {
    expect(parseForward(line)?.accepts).toEqual([]);
  });

  test.each([
    ["-P FORWARD DROP", true],
    ["-P FORWARD ACCEPT", false],
    ["-P FORWARD ACCEPT\n-A FORWARD -j DROP", true],
    ["-P FORWARD ACCEPT\n-A FORWARD -j REJECT --reject-with icmp-host-prohibited", true],
    ['-P FORWARD ACCEPT\n-A FORWARD -m comment --comment "say \\"no\\" to all" -j DROP', true],
    ["-P FORWARD ACCEPT\n-A FORWARD -i eth1 -j DROP", false],
    ["-P FORWARD ACCEPT\n-A FORWARD -m conntrack --ctstate INVALID -j DROP", false],
    ["-P FORWARD ACCEPT\n-A FORWARD -j DROPPED-BY-NAME", false],
  ])("%j refuses the rest: %s", (listing, refuses) => {
    expect(parseForward(listing)?.refuses).toBe(refuses);
  });

  test("is nothing when iptables-nft cannot read the table", () => {
    const listing = "# Table `filter' is incompatible, use 'nft' tool.\n-P FORWARD ACCEPT\n";
    expect(parseForward(listing)).toBeUndefined();
  });

  test("has the rules that it is given", () => {
    const listing = RULES.map((rule) => `-A FORWARD ${inOrderOfListing(ruleArguments(rule))}`);
    expect(parseForward(listing.join("\n"))?.accepts).toEqual(RULES);
  });
});

/** iptables lists addresses before interfaces. */
function inOrderOfListing([side, device, end, subnet, ...rest]: readonly string[]): string {
  return [end, subnet, side, device, ...rest].join(" ");
}

describe("a chain FORWARD that refuses the rest", () => {
  const closed = (accepts: typeof RULES) => closedIptables("/usr/sbin/iptables-nft", accepts, "podvpn0", [PODS, PODS]);

  test("lacks what is not there, told with the command", () => {
    const obstacle = closed(RULES.slice(1)) ?? expect.fail("nothing");
    expect(obstacle.opening).toEqual({ program: "/usr/sbin/iptables-nft", rules: RULES.slice(0, 1) });
    expect(obstacleText(obstacle)).toBe(
      "the chain FORWARD of iptables-nft refuses forwarded packets that none of its rules accepts; run `iptables-nft -I FORWARD -i podvpn0 -d 10.1.0.0/24 -m comment --comment podvpn -j ACCEPT`",
    );
  });

  test("lacks nothing when the rules are there, and a device's are not another one's", () => {
    expect(closed(RULES)).toBeUndefined();
    expect(closed(acceptRules("podvpn1", [PODS]))?.opening?.rules).toEqual(RULES);
  });
});

test("a legacy table that cannot be read is told of, with what to do", () => {
  expect(obstacleText(unknownLegacy(6, undefined))).toMatch(/table "filter" of ip6tables-legacy.*; install ip6tables/);
  expect(obstacleText(unknownLegacy(4, "/sbin/iptables-legacy"))).toContain("`/sbin/iptables-legacy -S FORWARD`");
});
