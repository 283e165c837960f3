import { describe, expect, test } from "vitest";
import { parseAddress } from "../../../src/net/address.ts";
import { parsePrefix } from "../../../src/net/prefix.ts";
import { masqueradeTableKeys, masqueradeTables } from "../../../src/nftables/masquerade.ts";
import { createScript, removeScript, replaceScript, type Table, tableName } from "../../../src/nftables/table.ts";

const TABLE: Table = {
  family: "inet",
  name: "podvpn-x",
  chains: [{ name: "in", type: "filter", hook: "prerouting", priority: -300, rules: ["counter drop"] }],
};

describe("scripts", () => {
  test("make a table only when there is none", () => {
    expect(createScript(TABLE)).toMatch(/^create table inet podvpn-x\ntable inet podvpn-x \{/);
  });

  test("replace a table in one transaction, whether or not it is there", () => {
    expect(replaceScript(TABLE).split("\n").slice(0, 3)).toEqual([
      "add table inet podvpn-x",
      "delete table inet podvpn-x",
      "table inet podvpn-x {",
    ]);
    expect(replaceScript(TABLE).startsWith(removeScript(TABLE))).toBe(true);
  });
});

describe("a table's name", () => {
  test("is a legal identifier whatever the interface is called", () => {
    expect(tableName("eth0")).toBe("podvpn-eth0");
    expect(tableName('a"b;c')).toMatch(/^[A-Za-z][A-Za-z0-9._-]*$/);
  });

  test("differs where the words differ, also for characters that nft does not read", () => {
    const names = ["a+b", "a_b", "a_2b_b", "a;b"].map((word) => tableName(word));
    expect(new Set(names).size).toBe(4);
  });
});

describe("masquerading", () => {
  const addresses = [
    ["172.17.1.2", "172.17.1.0/24"],
    ["172.18.1.2", "172.18.1.0/24"],
    ["fd00:17::2", "fd00:17::/64"],
  ].map(([address = "", subnet = ""]) => {
    const parsed = { address: parseAddress(address), subnet: parsePrefix(subnet) };
    if (parsed.address === undefined || parsed.subnet === undefined) throw new TypeError(address);
    return { address: parsed.address, subnet: parsed.subnet };
  });

  test("has one table a family, with a rule for each address, and spares the pod's subnet and multicast", () => {
    const tables = masqueradeTables({ containerID: "c1", ifname: "eth0", addresses });
    expect(tables.map(({ family }) => family)).toEqual(["ip", "ip6"]);
    expect(tables[0]?.chains[0]?.rules).toEqual([
      "ip saddr 172.17.1.2 ip daddr != { 172.17.1.0/24, 224.0.0.0/4 } masquerade",
      "ip saddr 172.18.1.2 ip daddr != { 172.18.1.0/24, 224.0.0.0/4 } masquerade",
    ]);
    expect(tables[1]?.chains[0]?.rules).toEqual([
      "ip6 saddr fd00:17::2 ip6 daddr != { fd00:17::/64, ff00::/8 } masquerade",
    ]);
  });

  test("can be removed without knowing the addresses", () => {
    const made = masqueradeTables({ containerID: "c1", ifname: "eth0", addresses });
    const keys = masqueradeTableKeys({ containerID: "c1", ifname: "eth0" });
    expect(made.every(({ family, name }) => keys.some((key) => key.family === family && key.name === name))).toBe(true);
  });
});
