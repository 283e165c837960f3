import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { Prefix } from "../../src/net/prefix.ts";
import { parsePrefix } from "../../src/net/prefix.ts";
import { ensureTable, removeTables } from "../../src/nftables/apply.ts";
import type { Table } from "../../src/nftables/table.ts";
import { DEVICE, POD, POD_SUBNET, REMOTE, REMOTE_SUBNET, Router } from "./support/router.ts";

// Whatever masquerades the pods' packets, those into the device keep their source: seen on the device itself.

let router: Router;
beforeAll(async () => {
  router = await Router.create();
});
afterEach(async () => {
  await router.reset();
});
afterAll(async () => {
  await router[Symbol.asyncDispose]();
});

const prefix = (text: string): Prefix => parsePrefix(text) ?? expect.fail(text);

/** As the node's table for a WireGuard device has it. */
const KEEP: Table = {
  family: "inet",
  name: "podvpn-test",
  sets: ([4, 6] as const).map((family) => ({
    name: `mesh${family}`,
    family,
    prefixes: [prefix(REMOTE_SUBNET[family])],
  })),
  chains: [
    {
      name: "source",
      type: "nat",
      hook: "postrouting",
      priority: -150,
      rules: ([4, 6] as const).map((family) => ({
        matches: [
          { device: "oifname", is: DEVICE },
          { address: "daddr", inSet: `mesh${family}` },
        ],
        action: "keepSource",
      })),
    },
  ],
};

const nft = (priority: number) => `nft '
table inet masquerading { chain c {
  type nat hook postrouting priority ${priority}
  ip saddr ${POD_SUBNET[4]} masquerade
  ip6 saddr ${POD_SUBNET[6]} masquerade
}; }'`;
const iptables = (backend: string) => `
iptables-${backend} -t nat -A POSTROUTING -s ${POD_SUBNET[4]} -j MASQUERADE
ip6tables-${backend} -t nat -A POSTROUTING -s ${POD_SUBNET[6]} -j MASQUERADE`;

/** The sources of a ping's requests as they leave by the device. */
async function sources(family: 4 | 6): Promise<string[]> {
  await using capture = await router.node.capture(DEVICE, {
    filter: family === 4 ? "icmp[icmptype] == icmp-echo" : "icmp6 and ip6[40] == 128",
  });
  expect(await router.pod.ping(REMOTE[family])).toBe(true);
  await capture.sync();
  const packets = await capture.packets();
  return [...new Set(packets.map((line) => / (\S+) > /.exec(line)?.[1] ?? line))];
}

describe.each([
  ["nft at priority 100", nft(100)],
  ["nft at priority 99", nft(99)],
  ["nft at priority -100", nft(-100)],
  ["iptables-legacy", iptables("legacy")],
  ["iptables-nft", iptables("nft")],
])("against the masquerade of %s", (_, masquerade) => {
  test.each([4, 6] as const)("packets into the device keep their source (IPv%i)", async (family) => {
    await router.sh(masquerade);
    const [translated] = await sources(family);
    expect(translated).not.toBe(POD[family]);
    await ensureTable(KEEP, router.netns);
    expect(await sources(family)).toEqual([POD[family]]);
    await removeTables([KEEP], router.netns);
    expect(await sources(family)).toEqual([translated]);
  });
});

test.each([
  ["ip", 4],
  ["ip6", 6],
] as const)("so they do by a table of family %s", async (family, version) => {
  await router.sh(nft(100));
  const chains = KEEP.chains.map((chain) => ({
    ...chain,
    rules: [{ matches: [{ device: "oifname", is: DEVICE } as const], action: "keepSource" as const }],
  }));
  await ensureTable({ family, name: "podvpn-test", chains }, router.netns);
  expect(await sources(version)).toEqual([POD[version]]);
});

test("what goes elsewhere is masqueraded as before", async () => {
  await router.sh(nft(100));
  await ensureTable({ ...KEEP, sets: KEEP.sets?.map((set) => ({ ...set, prefixes: [] })) ?? [] }, router.netns);
  expect(await sources(4)).not.toEqual([POD[4]]);
});
