import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { echo, Sender } from "../../src/testbed/traffic.ts";
import { AgentBed, meshAddress, PLAIN } from "../netns/support/agent-bed.ts";
import { eventually } from "../netns/support/eventually.ts";

/** In the order of the nodes: two gateways and a node in the north, a gateway and a node in the south. */
const NODES = [
  { site: "north", gateway: true },
  { site: "north", gateway: true },
  { site: "north", gateway: false },
  { site: "south", gateway: true },
  { site: "south", gateway: false },
] as const;

const indexes = NODES.map((_, at) => at + 1);
const others = (index: number) => indexes.filter((other) => NODES[other - 1]?.site !== NODES[index - 1]?.site);

let bed: AgentBed;

/** Nodes that are no gateways have no way to the other site's at all: not even a packet gets there. */
async function close(index: number): Promise<void> {
  const rules = others(index).flatMap((other) => [
    `add rule inet site out ip daddr 10.9.0.${other} drop`,
    `add rule inet site out ip6 daddr fd00:9::${other} drop`,
  ]);
  const chain = "add table inet site; add chain inet site out { type filter hook output priority 0; }";
  await bed.at(index).exec(["nft", [chain, ...rules].join("; ")]);
}

describe.each(["wireguard", "ipsec"] as const)("sites that gateways join by %s", (driver) => {
  beforeEach(async () => {
    bed = await AgentBed.create(NODES.length, { drivers: [driver], topology: "site" });
    for (const [at, { site, gateway }] of NODES.entries()) {
      const index = at + 1;
      const underlay = gateway ? { public: [`10.9.0.${index}`] } : {};
      await bed.configure(index, { site, gateway, underlay });
      if (!gateway) await close(index);
    }
    for (const index of indexes) bed.start(index);
    // What nobody has said to be of the mesh is not guarded (but with "network", which guards all of it).
    for (const index of indexes) await bed.until(index, "all are known", ({ registry }) => registry.nodes === 5);
  });
  afterEach(() => bed[Symbol.asyncDispose]());

  const pass = (from: number, to: number) =>
    eventually(`pings from n${from} to n${to} pass`, 40_000, async () => {
      return (await bed.pings(from, to)) && (await bed.pings(to, from));
    });

  test("reach each other through these; another gateway takes over from one that dies, and nothing is plain", async () => {
    const capture = await bed.testbed.capture(PLAIN);
    await pass(3, 5);
    await pass(1, 4);
    await pass(2, 5);
    const peers = async (index: number) => (await bed.status(index))?.peers.map(({ name }) => name).sort();
    expect(await peers(3)).toEqual(["n1", "n2"]);
    expect(await peers(5)).toEqual(["n4"]);

    await using _echo = await echo(bed.at(4));
    await using untouched = await Sender.start(bed.at(5), meshAddress(4), 100);
    await untouched.answers(50, 20_000);
    await bed.at(1).exec(["ip", "link", "set", "eth0", "down"]);
    await bed.until(3, "n1 is down", ({ peers }) => peers.some(({ name, state }) => name === "n1" && state === "down"));
    await pass(3, 5);
    await pass(2, 4);

    await bed.at(1).exec(["ip", "link", "set", "eth0", "up"]);
    await bed.joined(1, 2, 3);
    await pass(3, 5);
    await pass(1, 4);
    const { lost } = await untouched.answers(150, 20_000);
    expect(Math.max(0, lost - (await bed.dropped()))).toBe(0);
    await capture.sync();
    expect(await capture.packets(PLAIN)).toEqual([]);
    await capture.stop();
  });
});
