import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Prefix, parsePrefix } from "../../src/net/prefix.ts";
import { ensureTable, ensureTableAs, listTables, removeTables } from "../../src/nftables/apply.ts";
import { missingOfTable } from "../../src/nftables/missing.ts";
import type { PrefixSet, Rule, Table } from "../../src/nftables/table.ts";
import type { Netns } from "../../src/os/namespace.ts";
import { BareNetns } from "./support/bare-netns.ts";

// Each test has a network namespace of its own, without a name. `nft` is the judge: it shares no code with us.

let bare: BareNetns;
let netns: Netns;

beforeEach(async () => {
  bare = await BareNetns.create();
  netns = bare.netns;
});

afterEach(async () => {
  await bare[Symbol.asyncDispose]();
});

function nft(...args: readonly string[]): string {
  return inside("nft", ...args);
}

/** Runs a program in the test's namespace. @throws Error when it fails. */
function inside(...argv: readonly string[]): string {
  return bare.exec(argv);
}

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new TypeError(text);
  return parsed;
}

function filter(...rules: readonly Rule[]): Table {
  const chain = { name: "c", type: "filter", hook: "prerouting", priority: -300, rules } as const;
  return { family: "inet", name: "podvpn-test", chains: [chain] };
}

function drop(...matches: Rule["matches"]): Rule {
  return { matches, action: "drop" };
}

/** What nft reads the rules of a table as. */
function rulesOf(table: Table): string[] {
  const lines = nft("--stateless", "list", "table", table.family, table.name).split("\n");
  return lines.map((line) => line.trim()).filter((line) => /(?:drop|accept|masquerade|snat .*)$/.test(line));
}

/** A set of IPv4, or of IPv6 if its prefixes are. */
function prefixSet(name: string, ...prefixes: readonly string[]): PrefixSet {
  return { name, family: prefixes.some((text) => text.includes(":")) ? 6 : 4, prefixes: prefixes.map(prefix) };
}

describe("a rule is for nft what it is for us", () => {
  const RULES: readonly (readonly [string, Rule])[] = [
    ['iifname != "lo" counter drop', drop({ device: "iifname", isNot: "lo" })],
    ['oifname != "ipsec*" counter drop', drop({ device: "oifname", isNot: "ipsec*" })],
    ["ip saddr 10.173.0.0/16 counter drop", drop({ address: "saddr", in: prefix("10.173.0.0/16") })],
    ["ip daddr 10.176.0.0/13 counter drop", drop({ address: "daddr", in: prefix("10.176.0.0/13") })],
    ["ip daddr 192.0.2.7 counter drop", drop({ address: "daddr", in: prefix("192.0.2.7/32") })],
    ["ip6 saddr fd00:173::/61 counter drop", drop({ address: "saddr", in: prefix("fd00:173::/61") })],
    ["ip6 daddr fd00:173::/64 counter drop", drop({ address: "daddr", in: prefix("fd00:173::/64") })],
    ["meta nfproto ipv4 counter drop", drop({ address: "saddr", in: prefix("0.0.0.0/0") })],
    ["udp dport 4500 counter drop", drop({ udpPort: 4500 })],
    ["meta ipsec missing counter drop", drop({ plain: "in" })],
    ['iifname "podvpn0" counter drop', drop({ device: "iifname", is: "podvpn0" })],
    ['oifname "pod*" counter drop', drop({ device: "oifname", is: "pod*" })],
    [
      'iifname "podvpn0" ip daddr 10.1.0.0/20 accept',
      {
        matches: [
          { device: "iifname", is: "podvpn0" },
          { address: "daddr", in: prefix("10.1.0.0/20") },
        ],
        action: "accept",
      },
    ],
    [
      "ip saddr 10.1.0.0/24 ip daddr 10.2.0.0/24 counter drop",
      drop({ address: "saddr", in: prefix("10.1.0.0/24") }, { address: "daddr", in: prefix("10.2.0.0/24") }),
    ],
    [
      "ip saddr 10.0.0.0/8 ip saddr != 10.9.0.0/24 ip saddr != 10.64.0.0/10 counter drop",
      drop(
        { address: "saddr", in: prefix("10.0.0.0/8") },
        { address: "saddr", notIn: [prefix("10.9.0.0/24"), prefix("10.64.0.0/10")] },
      ),
    ],
  ];

  test.each(RULES)("%s", async (text, rule) => {
    const table = filter(rule);
    await ensureTable(table, netns);
    expect(rulesOf(table)).toEqual([text]);
  });

  test("masquerading, in a table of one family", async () => {
    const rule: Rule = {
      matches: [
        { address: "saddr", in: prefix("172.17.1.2/32") },
        { address: "daddr", notIn: [prefix("172.17.1.0/24"), prefix("224.0.0.0/4")] },
      ],
      action: "masquerade",
    };
    const chain = { name: "postrouting", type: "nat", hook: "postrouting", priority: 100, rules: [rule] } as const;
    const table: Table = { family: "ip", name: "podvpn-masq", chains: [chain] };
    await ensureTable(table, netns);
    expect(rulesOf(table)).toEqual([
      "ip saddr 172.17.1.2 ip daddr != 172.17.1.0/24 ip daddr != 224.0.0.0/4 masquerade",
    ]);
    expect(nft("list", "table", "ip", "podvpn-masq")).toContain(
      "type nat hook postrouting priority srcnat; policy accept;",
    );
  });

  test("what IPsec will not carry, in a chain behind routing", async () => {
    const chain = { name: "out", type: "filter", hook: "postrouting", priority: -300 } as const;
    const table: Table = {
      family: "inet",
      name: "podvpn-test",
      chains: [{ ...chain, rules: [drop({ plain: "out" })] }],
    };
    await ensureTable(table, netns);
    expect(rulesOf(table)).toEqual(["rt ipsec missing counter drop"]);
    expect(await missingOfTable(table, netns)).toEqual([]);
  });

  test("one that excepts every address is none", async () => {
    const table = filter(
      drop({ address: "saddr", in: prefix("10.0.0.0/8") }, { address: "saddr", notIn: [prefix("0.0.0.0/0")] }),
    );
    await ensureTable(table, netns);
    expect(rulesOf(table)).toEqual([]);
  });
});

const MESH: readonly PrefixSet[] = [
  prefixSet("mesh4", "10.1.0.0/24", "10.2.0.0/16"),
  prefixSet("mesh6", "fd00:1::/64"),
];

describe("a rule with a set is for nft what it is for us", () => {
  const into = { device: "oifname", is: "podvpn0" } as const;
  const SETS = [
    ["inet", 'oifname "podvpn0" ip daddr @mesh4 counter drop', "mesh4", "drop", "filter"],
    ["inet", 'oifname "podvpn0" ip6 daddr @mesh6 counter drop', "mesh6", "drop", "filter"],
    ["ip", 'oifname "podvpn0" ip daddr @mesh4 counter drop', "mesh4", "drop", "filter"],
    ["ip6", 'oifname "podvpn0" ip6 daddr @mesh6 counter drop', "mesh6", "drop", "filter"],
    ["inet", 'oifname "podvpn0" ip daddr @mesh4 snat ip to ip saddr', "mesh4", "keepSource", "nat"],
    ["inet", 'oifname "podvpn0" ip6 daddr @mesh6 snat ip6 to ip6 saddr', "mesh6", "keepSource", "nat"],
    ["ip", 'oifname "podvpn0" ip daddr @mesh4 snat to ip saddr', "mesh4", "keepSource", "nat"],
    ["ip6", 'oifname "podvpn0" ip6 daddr @mesh6 snat to ip6 saddr', "mesh6", "keepSource", "nat"],
  ] as const;

  test.each(SETS)("%s: %s", async (family, text, inSet, action, type) => {
    const rule: Rule = { matches: [into, { address: "daddr", inSet }], action };
    const chain = { name: "c", type, hook: "postrouting", priority: -150, rules: [rule] } as const;
    const sets = MESH.filter((set) => set.name === inSet);
    const table: Table = { family, name: "podvpn-test", sets, chains: [chain] };
    await ensureTable(table, netns);
    expect(rulesOf(table)).toEqual([text]);
    expect(await missingOfTable(table, netns)).toEqual([]);
  });

  test("the whole table reads as a person would have written it", async () => {
    const chain = { name: "out", type: "filter", hook: "postrouting", priority: -300 } as const;
    const rule = drop({ device: "oifname", isNot: "podvpn0" }, { address: "daddr", inSet: "mesh4" });
    await ensureTable(
      { family: "inet", name: "podvpn-test", sets: MESH, chains: [{ ...chain, rules: [rule] }] },
      netns,
    );
    expect(nft("--stateless", "list", "table", "inet", "podvpn-test")).toBe(`table inet podvpn-test {
	set mesh4 {
		type ipv4_addr
		flags interval
		elements = { 10.1.0.0/24, 10.2.0.0/16 }
	}

	set mesh6 {
		type ipv6_addr
		flags interval
		elements = { fd00:1::/64 }
	}

	chain out {
		type filter hook postrouting priority raw; policy accept;
		oifname != "podvpn0" ip daddr @mesh4 counter drop
	}
}
`);
  });
});

describe("a set", () => {
  const table = (set: PrefixSet): Table => ({ family: "inet", name: "podvpn-test", sets: [set], chains: [] });

  /** nft's exit status for a question: whether all of these addresses are in the set. */
  function holds(...addresses: readonly string[]): boolean {
    try {
      nft("get", "element", "inet", "podvpn-test", "s", `{ ${addresses.join(", ")} }`);
      return true;
    } catch {
      return false;
    }
  }

  test("has no prefix before it is given one", async () => {
    await ensureTable(table(prefixSet("s")), netns);
    expect(holds("10.0.0.1")).toBe(false);
    expect(await missingOfTable(table(prefixSet("s")), netns)).toEqual([]);
  });

  test.each([
    ["neighbours", ["10.0.1.0/24", "10.0.2.0/24"], ["10.0.1.0", "10.0.2.0", "10.0.2.255"], ["10.0.0.255", "10.0.3.0"]],
    [
      "single addresses",
      ["10.0.0.1/32", "10.0.0.3/32"],
      ["10.0.0.1", "10.0.0.3"],
      ["10.0.0.0", "10.0.0.2", "10.0.0.4"],
    ],
    ["both ends", ["0.0.0.0/8", "255.255.255.0/24"], ["0.0.0.0", "255.255.255.255"], ["1.0.0.0", "255.255.254.255"]],
    ["all of IPv4", ["0.0.0.0/0"], ["0.0.0.0", "10.0.0.1", "255.255.255.255"], []],
    ["odd lengths", ["10.64.0.0/10", "172.16.0.0/13"], ["10.127.255.255", "172.16.0.0"], ["10.128.0.0", "172.24.0.0"]],
    ["the end of IPv6", ["fd00::/64", "ff00::/8"], ["fd00::ffff", "ffff::"], ["fd00:0:0:1::", "fe80::1"]],
    ["all of IPv6", ["::/0"], ["::", "fd00::1", "ffff::"], []],
  ] as const)("has %s", async (_, prefixes, inside, outside) => {
    await ensureTable(table(prefixSet("s", ...prefixes)), netns);
    expect(holds(...inside)).toBe(true);
    expect(outside.filter((address) => holds(address))).toEqual([]);
    expect(await missingOfTable(table(prefixSet("s", ...prefixes)), netns)).toEqual([]);
  });

  test.each([
    [4, (index: number) => `10.${index >> 8}.${index & 0xff}.0/24`],
    [6, (index: number) => `fd00:${(index + 1).toString(16)}::/32`],
  ])("of IPv%i has thousands of prefixes, whichever order they come in", async (_, nth) => {
    const texts = Array.from({ length: 2500 }, (_unused, index) => nth((index * 7919) % 2500));
    const large = table(prefixSet("s", ...texts));
    await ensureTable(large, netns);
    const listed = nft("list", "set", "inet", "podvpn-test", "s");
    expect(listed.match(/[\da-f.:]+\/\d+/g)?.sort()).toEqual([...texts].sort());
    expect(await missingOfTable(large, netns)).toEqual([]);
  });

  test("is refused as a whole when two of its prefixes overlap", async () => {
    const wrong = table(prefixSet("s", "10.0.0.0/8", "10.1.0.0/16"));
    await expect(ensureTable(wrong, netns)).rejects.toMatchObject({ code: 102 });
    expect(await listTables(netns)).toEqual([]);
  });
});

test("a table with more prefixes than a transaction can have is refused with what to do", async () => {
  const texts = Array.from({ length: 5000 }, (_, index) => `fd00:${index.toString(16)}::/32`);
  const chains: Table["chains"] = [];
  const large: Table = { family: "inet", name: "podvpn-test", sets: [prefixSet("s", ...texts)], chains };
  await expect(ensureTable(large, netns)).rejects.toThrow(
    "cannot make the nft table inet podvpn-test: its prefixes do not fit into one transaction (EMSGSIZE); give fewer",
  );
  expect(await listTables(netns)).toEqual([]);
});

describe("a table", () => {
  const table = filter(drop({ udpPort: 500 }), drop({ udpPort: 4500 }));

  test("has its rules in their order, and is listed", async () => {
    await ensureTable(table, netns);
    expect(rulesOf(table)).toEqual(["udp dport 500 counter drop", "udp dport 4500 counter drop"]);
    expect(await listTables(netns)).toEqual(["inet podvpn-test"]);
  });

  test("that is there is replaced as a whole", async () => {
    await ensureTable(table, netns);
    await ensureTable(filter(drop({ udpPort: 1 })), netns);
    expect(rulesOf(table)).toEqual(["udp dport 1 counter drop"]);
  });

  test("is made as a whole or not at all", async () => {
    // Masquerading is for chains of type nat only.
    const wrong = filter(drop({ udpPort: 500 }), { matches: [], action: "masquerade" });
    await expect(ensureTable(wrong, netns)).rejects.toMatchObject({
      code: 102,
      operation: "make the nft table inet podvpn-test",
    });
    expect(await listTables(netns)).toEqual([]);
  });

  test("is removed together with others, of which some are not there", async () => {
    await ensureTable(table, netns);
    nft("add", "table", "ip", "another");
    await removeTables([{ family: "ip6", name: "none" }, table], netns);
    expect(await listTables(netns)).toEqual(["ip another"]);
  });
});

describe("a table that is to be as it shall be", () => {
  const wanted: Table = {
    family: "inet",
    name: "podvpn-test",
    sets: MESH,
    chains: [
      {
        name: "out",
        type: "filter",
        hook: "postrouting",
        priority: -300,
        rules: [
          drop({ device: "oifname", isNot: "podvpn0" }, { address: "daddr", inSet: "mesh4" }),
          drop({ device: "oifname", isNot: "podvpn0" }, { address: "daddr", inSet: "mesh6" }),
        ],
      },
      {
        name: "source",
        type: "nat",
        hook: "postrouting",
        priority: -150,
        rules: [{ matches: [{ address: "daddr", inSet: "mesh4" }], action: "keepSource" }],
      },
    ],
  };

  /** Changes with each writing: the kernel counts handles up. */
  function handle(): string | undefined {
    return /table inet podvpn-test \{ # handle (\d+)/.exec(
      nft("--handle", "list", "table", "inet", "podvpn-test"),
    )?.[1];
  }

  test("is made where there is none, and then left alone", async () => {
    expect(await missingOfTable(wanted, netns)).toEqual(["nft table inet podvpn-test"]);
    expect(await ensureTableAs(wanted, netns)).toBe(true);
    const made = handle();
    expect(await ensureTableAs(wanted, netns)).toBe(false);
    expect(handle()).toBe(made);
    expect(await missingOfTable(wanted, netns)).toEqual([]);
  });

  test("is left alone when it has counted, and when its sets come in another order", async () => {
    await ensureTableAs(wanted, netns);
    inside("ip", "link", "set", "lo", "up");
    inside("ip", "route", "add", "10.1.0.0/24", "dev", "lo");
    expect(() => inside("ping", "-c", "1", "-W", "1", "10.1.0.1")).toThrow(); // dropped, and counted
    const before = nft("--handle", "list", "table", "inet", "podvpn-test");
    expect(before).toMatch(/counter packets [1-9]/);
    const turned = (wanted.sets ?? []).map((set) => ({ ...set, prefixes: [...set.prefixes].reverse() })).reverse();
    expect(await ensureTableAs({ ...wanted, sets: turned }, netns)).toBe(false);
    expect(nft("--handle", "list", "table", "inet", "podvpn-test")).toBe(before);
  });

  test.each([
    ["add rule inet podvpn-test out counter", "rules of the chain out"],
    ["insert rule inet podvpn-test out accept", "rules of the chain out"],
    ["flush chain inet podvpn-test out", "rules of the chain out"],
    ["flush set inet podvpn-test mesh4", "set mesh4"],
    ["delete element inet podvpn-test mesh4 { 10.1.0.0/24 }", "set mesh4"],
    ["add element inet podvpn-test mesh6 { fd00:2::/64 }", "set mesh6"],
    ["chain inet podvpn-test out { policy drop; }", "chain out"],
    ["add chain inet podvpn-test o { type filter hook output priority 0; }", "(there are other chains in it)"],
    ["table inet podvpn-test { flags dormant; }", "(it is dormant)"],
    ["delete table inet podvpn-test", "nft table inet podvpn-test"],
  ])("is told of and mended after: %s", async (command, told) => {
    await ensureTableAs(wanted, netns);
    nft(command);
    expect(await missingOfTable(wanted, netns)).toEqual([expect.stringContaining(told)]);
    expect(await ensureTableAs(wanted, netns)).toBe(true);
    expect(await missingOfTable(wanted, netns)).toEqual([]);
    expect(await ensureTableAs(wanted, netns)).toBe(false);
  });
});
