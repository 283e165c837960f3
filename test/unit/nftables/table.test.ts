import { describe, expect, test } from "vitest";
import { parseAddress } from "../../../src/net/address.ts";
import { parsePrefix } from "../../../src/net/prefix.ts";
import { masqueradeTableKeys, masqueradeTables } from "../../../src/nftables/masquerade.ts";
import { lastWord, tableName } from "../../../src/nftables/table.ts";

describe("a table's name", () => {
  test("is a legal identifier whatever the interface is called", () => {
    expect(tableName("eth0")).toBe("podvpn-eth0");
    expect(tableName('a"b;c')).toMatch(/^[A-Za-z][A-Za-z0-9._-]*$/);
  });

  test("differs where the words differ, also for characters that nft does not read", () => {
    const names = ["a+b", "a_b", "a_2b_b", "a;b"].map((word) => tableName(word));
    expect(new Set(names).size).toBe(4);
  });

  test("gives back its last word, whatever is in that, and none to other tables", () => {
    for (const word of ["podvpn0", "wg_a.b", "a-b", "_2b_", "ü;"]) {
      expect(lastWord(tableName("mesh", word), "mesh")).toBe(word);
    }
    expect(lastWord(tableName("masq", "eth0"), "mesh")).toBeUndefined();
    expect(lastWord("mesh-eth0", "mesh")).toBeUndefined();
  });
});

function masquerade(source: string, spared: readonly string[]) {
  return {
    matches: [
      { address: "saddr", in: source },
      { address: "daddr", notIn: spared },
    ],
    action: "masquerade",
  };
}

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
      masquerade("172.17.1.2/32", ["172.17.1.0/24", "224.0.0.0/4"]),
      masquerade("172.18.1.2/32", ["172.18.1.0/24", "224.0.0.0/4"]),
    ]);
    expect(tables[1]?.chains[0]?.rules).toEqual([masquerade("fd00:17::2/128", ["fd00:17::/64", "ff00::/8"])]);
  });

  test("can be removed without knowing the addresses", () => {
    const made = masqueradeTables({ containerID: "c1", ifname: "eth0", addresses });
    const keys = masqueradeTableKeys({ containerID: "c1", ifname: "eth0" });
    expect(made.every(({ family, name }) => keys.some((key) => key.family === family && key.name === name))).toBe(true);
  });
});
