import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { WantedTunnel, WantedTunnels } from "../../src/agent/driver.ts";
import { DriverBed } from "../netns/support/driver-bed.ts";
import { reaches } from "../netns/support/driver-suite.ts";
import { stranger } from "../netns/support/stranger.ts";
import { killed, shownDevice, wireguardGo } from "../netns/support/wg.ts";
import { wireguardKind } from "../netns/support/wireguard-kind.ts";

const UNCHANGED = { made: [], altered: [], removed: [], started: false, obstacles: [] };

describe("the WireGuard driver, told that nothing but the wish has changed,", () => {
  let bed: DriverBed;
  const [first, second] = [stranger(1, ["10.1.101.0/24"]), stranger(2, ["10.1.102.0/24"])];
  const [one, two] = [() => bed.at(1), () => bed.at(2)];
  const keyOf = ({ peer }: WantedTunnel) => peer.wireguard?.publicKey ?? "";
  const elsewhere = (prefix: string) => stranger(1, [prefix], first.peer.wireguard?.publicKey);

  beforeAll(async () => {
    bed = await DriverBed.create(wireguardKind("userspace"), 2);
    await bed.applyAll();
    await reaches(one(), two());
  });
  afterAll(() => bed?.[Symbol.asyncDispose]());
  beforeEach(async () => {
    await one().apply(wanted(first, second));
    await one().effects();
  });

  function wanted(...others: readonly WantedTunnel[]): WantedTunnels {
    const own = bed.wanted(one());
    return { ...own, tunnels: [...own.tunnels, ...others] };
  }
  const peers = async () => (await shownDevice(one().node)).peers;
  const routes = async () => (await one().node.exec(["ip", "-4", "route", "show", "dev", "podvpn0"])).stdout;

  test("writes nothing when that has not changed either", async () => {
    expect(await one().apply(wanted(first, second), "known")).toEqual(UNCHANGED);
    expect(await one().effects()).toEqual([]);
  });

  test("takes up who comes, follows who changes, and drops who goes, with their routes", async () => {
    const third = stranger(3, ["10.1.103.0/24"]);
    expect(await one().apply(wanted(first, second, third), "known")).toMatchObject({ made: ["s3"], altered: [] });
    expect((await peers()).get(keyOf(third))).toMatchObject({
      allowedIPs: ["10.1.103.0/24"],
      endpoint: "192.0.2.3:51820",
    });
    const moved = elsewhere("10.1.111.0/24");
    expect(await one().apply(wanted(moved, second, third), "known")).toMatchObject({ made: [], altered: ["s1"] });
    expect((await peers()).get(keyOf(first))?.allowedIPs).toEqual(["10.1.111.0/24"]);
    expect(await one().apply(wanted(moved, second), "known")).toMatchObject({ altered: [], removed: ["s3"] });
    expect([...(await peers()).keys()]).not.toContain(keyOf(third));
    expect(await routes()).toContain("10.1.111.0/24");
    expect(await routes()).not.toMatch(/10\.1\.10[13]\.0/);
    const state = await one().observe();
    expect(state?.tunnels.map(({ name }) => name).sort()).toEqual(["n2", "s1", "s2"]);
    // All of it is as if everything had been read.
    await one().effects();
    expect(await one().apply(wanted(moved, second))).toEqual(UNCHANGED);
    expect(await one().effects()).toEqual([]);
  });

  test("gives a prefix that one loses to another in one go", async () => {
    const [less, more] = [elsewhere("10.1.112.0/24"), stranger(2, ["10.1.101.0/24", "10.1.102.0/24"], keyed(second))];
    const { altered } = await one().apply(wanted(less, more), "known");
    expect(altered).toEqual(["s1", "s2"]);
    expect((await peers()).get(keyOf(second))?.allowedIPs).toEqual(["10.1.101.0/24", "10.1.102.0/24"]);
    expect(await one().effects()).not.toContainEqual(expect.stringContaining("10.1.101.0/24"));
  });

  test("looks at nobody who is wanted as before: who was changed behind its back is put right when all is read", async () => {
    await one().node.exec(["wg", "set", "podvpn0", "peer", keyOf(second), "remove"]);
    expect(await one().apply(wanted(elsewhere("10.1.113.0/24"), second), "known")).toMatchObject({ altered: ["s1"] });
    expect([...(await peers()).keys()]).not.toContain(keyOf(second));
    expect(await one().apply(wanted(elsewhere("10.1.113.0/24"), second))).toMatchObject({ made: ["s2"] });
    expect([...(await peers()).keys()]).toContain(keyOf(second));
  });

  test("reads back what it has written, and everything when it is not there", async () => {
    for (const tunnel of [first, second]) {
      await one().node.exec(["wg", "set", "podvpn0", "peer", keyOf(tunnel), "remove"]);
    }
    await one().apply(wanted(elsewhere("10.1.114.0/24"), second), "known");
    expect((await peers()).get(keyOf(first))?.allowedIPs).toEqual(["10.1.114.0/24"]);
    expect((await peers()).get(keyOf(second))?.allowedIPs).toEqual(["10.1.102.0/24"]);
  });

  test("makes a device anew that is another one by now, with all its peers", async () => {
    await killed(one().node, await wireguardGo(one().node));
    const applied = await one().apply(wanted(elsewhere("10.1.115.0/24"), second), "known");
    expect(applied).toMatchObject({ started: true, removed: [] });
    expect((await peers()).size).toBe(3);
    await reaches(one(), two());
  });

  test("leaves a peer where it has roamed to, however often another address of it is told, until nothing comes from it", async () => {
    const [tunnel, ...others] = wanted(first, second).tunnels;
    if (tunnel?.endpoint === undefined) throw new TypeError("no tunnel");
    const told = { ...tunnel, endpoint: { ...tunnel.endpoint, port: 4 } };
    const own = wanted();
    await reaches(one(), two());
    await one().apply({ ...own, tunnels: [told, ...others] }, "known");
    expect((await peers()).get(keyOf(tunnel))?.endpoint).toMatch(/:51820$/);
    await one().apply({ ...own, tunnels: [{ ...told, isLost: true }, ...others] }, "known");
    expect((await peers()).get(keyOf(tunnel))?.endpoint).toMatch(/:4$/);
    await one().apply({ ...own, tunnels: [{ ...tunnel, isLost: true }, ...others] }, "known");
    await reaches(one(), two());
  });
});

function keyed({ peer }: WantedTunnel) {
  return peer.wireguard?.publicKey;
}
