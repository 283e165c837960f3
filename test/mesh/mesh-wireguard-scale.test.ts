import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ApplyBasis, WantedTunnel, WantedTunnels } from "../../src/agent/driver.ts";
import { echo } from "../../src/testbed/traffic.ts";
import { DriverBed } from "../netns/support/driver-bed.ts";
import { reaches, Streams } from "../netns/support/driver-suite.ts";
import { stranger } from "../netns/support/stranger.ts";
import { shownDevice } from "../netns/support/wg.ts";
import { wireguardKind } from "../netns/support/wireguard-kind.ts";

const COUNT = 1000;

describe("a thousand peers of the WireGuard driver", () => {
  let bed: DriverBed;
  let strangers: WantedTunnel[];
  const [one, two] = [() => bed.at(1), () => bed.at(2)];

  beforeAll(async () => {
    bed = await DriverBed.create(wireguardKind("userspace"), 2);
    for (const { pod } of bed.nodes.values()) await echo(pod);
    await bed.applyAll();
    await reaches(one(), two());
    strangers = Array.from({ length: COUNT }, (_, index) =>
      stranger(index, [`10.1.${100 + (index >> 4)}.${(index % 16) * 16}/28`]),
    );
  });
  afterAll(() => bed?.[Symbol.asyncDispose]());

  function wanted(others: readonly WantedTunnel[]): WantedTunnels {
    const own = bed.wanted(one());
    return { ...own, tunnels: [...own.tunnels, ...others] };
  }

  test("come, change one by one, and go, while nothing is written of the others and no packet of theirs is lost", async ({
    annotate,
  }) => {
    const took: string[] = [];
    const timed = async (what: string, peers: readonly WantedTunnel[], basis: ApplyBasis = "read") => {
      const begin = performance.now();
      const applied = await one().apply(wanted(peers), basis);
      took.push(`${what} ${(performance.now() - begin).toFixed(0)} ms`);
      return applied;
    };
    await using streams = await Streams.start([[one(), two()]]);
    expect((await timed("all come", strangers)).made).toHaveLength(COUNT);
    expect((await shownDevice(one().node)).peers.size).toBe(COUNT + 1);
    await one().effects();
    expect(await timed("the same", strangers)).toMatchObject({ made: [], altered: [], removed: [], started: false });
    expect(await one().effects()).toEqual([]);

    const changed = strangers.with(500, stranger(500, ["10.1.200.0/24"]));
    const applied = await timed("one changes", changed);
    expect(applied).toMatchObject({ made: [], altered: ["s500"], removed: [] });
    expect((await one().effects()).length).toBeLessThan(10);

    const again = strangers.with(500, stranger(500, ["10.1.201.0/24"], changed[500]?.peer.wireguard?.publicKey));
    expect(await timed("one changes of those that are known", again, "known")).toMatchObject({ altered: ["s500"] });
    expect(await one().effects()).toEqual([
      expect.stringContaining("uapi set"),
      expect.stringContaining("add the unicast route to 10.1.201.0/24"),
      expect.stringContaining("remove the unicast route to 10.1.200.0/24"),
    ]);

    const { removed } = await timed("all go", []);
    expect(removed).toHaveLength(COUNT);
    expect((await one().node.exec(["ip", "-4", "route"])).stdout).not.toContain("10.1.200.0/24 dev");
    await streams.expectNothingLost();
    await annotate(took.join(", "));
  });
});
