import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Prefix, parsePrefix } from "../../src/net/prefix.ts";
import { ensureTable, listTables, removeTables } from "../../src/nftables/apply.ts";
import type { Rule, Table } from "../../src/nftables/table.ts";
import { type Netns, openNetns } from "../../src/os/namespace.ts";

// Each test has a network namespace of its own, without a name. `nft` is the judge: it shares no code with us.

let holder: ChildProcess;
let netns: Netns;

beforeEach(async () => {
  // `cat` ends with our end of its stdin: nothing survives us, however we end.
  holder = spawn("unshare", ["--net", "sh", "-c", "echo ready; exec cat"], { stdio: ["pipe", "pipe", "inherit"] });
  if (holder.stdout === null) throw new TypeError("no stdout");
  await once(holder.stdout, "data");
  netns = openNetns(`/proc/${holder.pid}/ns/net`);
});

afterEach(async () => {
  netns[Symbol.dispose]();
  const ended = once(holder, "exit");
  holder.stdin?.end();
  await ended;
});

function nft(...args: string[]): string {
  const enter = ["--target", String(holder.pid), "--net", "nft"];
  return execFileSync("nsenter", [...enter, ...args], { encoding: "utf8" });
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

/** What nft reads the rule of a table as. */
function rulesOf(table: Table): string[] {
  const lines = nft("--stateless", "list", "table", table.family, table.name).split("\n");
  return lines.map((line) => line.trim()).filter((line) => /drop$|masquerade$/.test(line));
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

  test("one that excepts every address is none", async () => {
    const table = filter(
      drop({ address: "saddr", in: prefix("10.0.0.0/8") }, { address: "saddr", notIn: [prefix("0.0.0.0/0")] }),
    );
    await ensureTable(table, netns);
    expect(rulesOf(table)).toEqual([]);
  });
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
