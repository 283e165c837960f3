import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DriverBed } from "../netns/support/driver-bed.ts";
import { driverSuite, reaches } from "../netns/support/driver-suite.ts";
import { PLAIN } from "../netns/support/mesh.ts";
import { stopped, wireguardGo } from "../netns/support/wg.ts";
import { wireguardKind } from "../netns/support/wireguard-kind.ts";

describe("the WireGuard driver of the agent, in user space", () => {
  driverSuite(wireguardKind("userspace"));
});

describe("the WireGuard driver of the agent", () => {
  let bed: DriverBed;
  const [one, two] = [() => bed.at(1), () => bed.at(2)];
  const apply = () => one().apply(bed.wanted(one()));

  beforeAll(async () => {
    bed = await DriverBed.create(wireguardKind("userspace"), 2);
    await bed.applyAll();
    await reaches(one(), two());
  });
  afterAll(() => bed?.[Symbol.asyncDispose]());

  test("opens a firewall that drops what is forwarded, and closes it when it goes", async () => {
    const { node } = one();
    for (const program of ["iptables-nft", "ip6tables-nft"]) await node.exec([program, "-P", "FORWARD", "DROP"]);
    expect(await one().pod.ping(two().ips[0] ?? "")).toBe(false);
    await one().restart(); // an agent that has just looked does not look again for a while
    expect((await apply()).obstacles).toEqual([]);
    await reaches(one(), two());
    await one().remove();
    expect((await node.exec(["iptables-nft", "-S", "FORWARD"])).stdout.trim()).toBe("-P FORWARD DROP");
    for (const program of ["iptables-nft", "ip6tables-nft"]) await node.exec([program, "-P", "FORWARD", "ACCEPT"]);
    await apply();
    await reaches(one(), two());
  });

  test("starts a wireguard-go anew that hangs", async () => {
    const before = await wireguardGo(one().node);
    await stopped(one().node, before);
    expect(await apply()).toMatchObject({ started: true });
    expect(await wireguardGo(one().node)).not.toBe(before);
    await reaches(one(), two());
  });

  test("mends what somebody has broken, and says whose tunnels that were", async () => {
    const { node } = one();
    await node.exec(["ip", "route", "del", "10.1.2.0/24", "dev", "podvpn0"]);
    expect(await apply()).toMatchObject({ made: [], altered: ["n2"], removed: [], started: false });
    const [key = ""] = [two().record.wireguard?.publicKey];
    await node.exec(["wg", "set", "podvpn0", "peer", key, "remove"]);
    expect(await apply()).toMatchObject({ made: ["n2"], altered: [], started: false });
    await node.exec(["nft", "flush", "ruleset"]);
    expect(await apply()).toMatchObject({ made: [], altered: [], removed: [] });
    expect((await node.exec(["nft", "list", "tables"])).stdout).toContain("podvpn-mesh-podvpn0");
    await reaches(one(), two());
  });

  test("goes on with all else when one peer's prefixes are this node's own network, and says so", async () => {
    await using capture = await bed.testbed.capture(PLAIN);
    const wanted = bed.wanted(one());
    // The registry would have refused it: the driver is the last one to see it.
    const greedy = wanted.tunnels.map((tunnel) => {
      return { ...tunnel, peer: { ...tunnel.peer, prefixes: [...tunnel.peer.prefixes, ...wanted.podPrefixes] } };
    });
    const { obstacles } = await one().apply({ ...wanted, tunnels: greedy });
    expect(obstacles).toEqual([
      expect.stringMatching(/^10\.1\.1\.0\/24 of n2 holds 10\.1\.1\.1 of this node's vpod; give n2 other/),
      expect.stringMatching(/^fd00:1:1::\/64 of n2 holds fd00:1:1::1 of this node's vpod; give n2 other/),
    ]);
    await reaches(one(), two());
    expect((await apply()).obstacles).toEqual([]);
    await capture.sync();
    expect(await capture.packets(PLAIN)).toEqual([]);
  });

  test("does not take a device that pods of another network use", async () => {
    await one().remove();
    const attachment = { version: 1, type: "wireguard", network: "podnet", interface: "podvpn0" };
    const record = { version: 1, interface: "podvpn0", network: "podnet", guarded: [], podSubnets: [] };
    await one().node.writeFile("/run/podvpn/devices/podvpn0/device.json", JSON.stringify(record));
    await one().node.writeFile("/run/podvpn/pods/a+eth0/attachment.json", JSON.stringify(attachment));
    await expect(apply()).rejects.toMatchObject({
      code: 7,
      message: expect.stringMatching(/podvpn0", which pods of the network podnet use.*another interface/),
    });
    await one().node.exec(["rm", "-rf", "/run/podvpn/devices/podvpn0", "/run/podvpn/pods/a+eth0"]);
    expect(await apply()).toMatchObject({ started: true });
    await reaches(one(), two());
  });
});
