import { describe, expect, test, vi } from "vitest";
import { Code, Fault } from "../../../src/fault.ts";
import { Bench, config, FakeRegistry, record } from "./fakes.ts";
import { address, endpoint, key, prefix } from "./support.ts";

const soon = (check: () => void | Promise<void>) => vi.waitFor(check, { timeout: 5000, interval: 5 });
const ready = (bench: Bench) => soon(() => expect(bench.agent.unready()).toEqual([]));

describe("an agent", () => {
  test("publishes its own node, and makes tunnels to all others", async () => {
    await using bench = new Bench(new FakeRegistry(record(2), record(3)));
    await ready(bench);
    expect(bench.registry.get("n1")).toMatchObject({
      podPrefixes: ["10.101.1.0/24"],
      underlay: { private: ["10.9.0.1"] },
    });
    expect(bench.wireguard.peers).toEqual(["n2", "n3"]);
    expect(bench.wireguard.applied.at(-1)?.tunnels[0]?.endpoint).toEqual(endpoint("10.9.0.2:51820"));
    expect(bench.wireguard.applied.at(-1)?.addresses).toEqual(["10.101.1.1"]);
    expect(bench.probes).toMatchObject({ own: ["10.101.1.1"], peers: ["n2", "n3"] });
  });

  test("is not ready, and makes nothing, before the registry has its own record", async () => {
    const registry = new FakeRegistry(record(2));
    registry.broken = new Fault(Code.io, "read-only", "mount it read-write");
    await using bench = new Bench(registry);
    await soon(() => expect(bench.told).toContain("own record is not published"));
    expect(bench.agent.unready()).toEqual(["the tunnels have not been applied yet"]);
    expect(bench.wireguard.applied).toEqual([]);
    registry.broken = undefined;
    await ready(bench);
    expect(bench.told.filter((line) => line === "own record is not published")).toHaveLength(1);
  });

  test("publishes once, and then only what changes", async () => {
    await using bench = new Bench(new FakeRegistry(record(2)));
    await ready(bench);
    bench.registry.touch();
    bench.registry.put(record(3));
    await soon(() => expect(bench.wireguard.peers).toEqual(["n2", "n3"]));
    expect(bench.registry.published).toBe(1);
    bench.underlay = [address("10.9.0.77")];
    bench.onUnderlay();
    await soon(() => expect(bench.registry.get("n1")?.underlay.private).toEqual(["10.9.0.77"]));
    expect(bench.registry.published).toBe(2);
  });

  test("publishes again what somebody has taken away, and does not take a stranger's record for its own", async () => {
    await using bench = new Bench(new FakeRegistry(record(2)));
    await ready(bench);
    bench.registry.remove("n1");
    await soon(() => expect(bench.registry.get("n1")).toBeDefined());
    bench.registry.broken = new Fault(Code.invalidConfig, "the registry has a node n1 with other keys", "rename it");
    bench.registry.put(
      record(1, { wireguard: { publicKey: key(99), port: 51820 }, podPrefixes: [prefix("10.101.99.0/24")] }),
    );
    await soon(() => expect(bench.told).toContain("own record is not published"));
    expect(bench.wireguard.applied.at(-1)?.podPrefixes).toEqual(["10.101.1.0/24"]);
  });

  test.each([
    ["that cannot be read", undefined],
    ["that says something else", record(1, { podPrefixes: [prefix("10.101.2.0/24")] })],
  ])("writes its own record anew where there is one %s, once", async (_what, refused) => {
    await using bench = new Bench(new FakeRegistry(record(2)));
    await ready(bench);
    bench.registry.refusals = [
      {
        where: "nodes/n1.yaml",
        name: "n1",
        what: "is wrong",
        remedy: "",
        kept: true,
        ...(refused && { record: refused }),
      },
    ];
    bench.registry.onPublish = () => {
      bench.registry.refusals = [];
    };
    bench.registry.touch();
    await soon(() => expect(bench.registry.published).toBe(2));
    bench.registry.put(record(3));
    await soon(() => expect(bench.wireguard.peers).toEqual(["n2", "n3"]));
    expect(bench.registry.published).toBe(2);
  });

  test("does not write a record anew that is refused for what it says itself", async () => {
    await using bench = new Bench(new FakeRegistry(record(2)));
    await ready(bench);
    const own = bench.registry.get("n1");
    bench.registry.refusals = [
      { where: "nodes/n1.yaml", name: "n1", what: "clashes", remedy: "", kept: true, ...(own && { record: own }) },
    ];
    bench.registry.put(record(3));
    await soon(() => expect(bench.wireguard.peers).toEqual(["n2", "n3"]));
    expect(bench.registry.published).toBe(1);
  });

  test("takes peers up that come, and drops those that go, with a line for each", async () => {
    await using bench = new Bench(new FakeRegistry(record(2)));
    await ready(bench);
    bench.registry.put(record(3));
    await soon(() => expect(bench.wireguard.peers).toEqual(["n2", "n3"]));
    bench.registry.remove("n2");
    await soon(() => expect(bench.wireguard.peers).toEqual(["n3"]));
    expect(bench.told).toEqual(
      expect.arrayContaining([expect.stringContaining("peer n3 added"), expect.stringContaining("peer n2 removed")]),
    );
  });

  test("asks a peer that goes nothing any more before its tunnel and its guard go", async () => {
    await using bench = new Bench(new FakeRegistry(record(2), record(3)));
    await ready(bench);
    await soon(() => expect(bench.probes.peers).toEqual(["n2", "n3"]));
    const asked: (readonly string[])[] = [];
    bench.wireguard.onApply = () => asked.push(bench.probes.peers);
    bench.registry.remove("n2");
    await soon(() => expect(bench.wireguard.peers).toEqual(["n3"]));
    expect(asked[0]).toEqual(["n3"]);
  });

  test("says nothing and writes nothing when nothing changed", async () => {
    await using bench = new Bench(new FakeRegistry(record(2)));
    await ready(bench);
    const [lines, applied] = [bench.lines.length, bench.wireguard.applied.length];
    bench.probes.change();
    bench.probes.doubt();
    await bench.agent.status();
    await bench.agent.metrics();
    await soon(async () => expect((await bench.agent.status()).ready).toBe(true));
    expect(bench.lines.length).toBe(lines);
    expect(bench.wireguard.applied.length).toBe(applied);
  });

  test("goes by what its drivers know when the registry alone has changed, and has all read after whatever else", async () => {
    await using bench = new Bench(new FakeRegistry(record(2)));
    await ready(bench);
    const { bases, failures } = bench.wireguard;
    bench.registry.put(record(3));
    await soon(() => expect(bench.wireguard.peers).toEqual(["n2", "n3"]));
    expect(bases.at(-1)).toBe("known");
    const before = bases.length;
    bench.onUnderlay();
    await soon(() => expect(bases.length).toBeGreaterThan(before));
    expect(bases.at(-1)).toBe("read");
    failures.push(new Fault(Code.kernel, "no device", "see dmesg"));
    bench.registry.put(record(4));
    await soon(() => expect(bench.wireguard.applied.length).toBeGreaterThan(before + 2));
    expect(bases.slice(before + 1)).toEqual(["known", "read"]);
  });

  test("lets go of everything when it is stopped, and takes nothing away", async () => {
    const bench = new Bench(new FakeRegistry(record(2)));
    await ready(bench);
    await bench[Symbol.asyncDispose]();
    expect(bench.wireguard).toMatchObject({ disposed: true, removed: 0, exists: true });
    expect(bench.probes.isHeardBySomebody).toBe(false);
    expect(bench.registry.get("n1")).toBeDefined();
  });
});

describe("a driver that fails", () => {
  const BOTH = { drivers: ["wireguard", "ipsec"] };
  const ipsecNode = record(3, { drivers: ["ipsec"], ipsec: { identity: "n3" } });

  test("keeps no other from its work, makes the agent not ready, and is tried again", async () => {
    await using bench = new Bench(new FakeRegistry(record(2), ipsecNode), config(BOTH));
    bench.ipsec.failures.push(new Fault(Code.charon, "charon does not start", "see its log"));
    await soon(() => expect(bench.wireguard.peers).toEqual(["n2"]));
    await soon(() =>
      expect(bench.agent.unready()).toEqual(expect.arrayContaining([expect.stringContaining("ipsec fails")])),
    );
    expect((await bench.agent.status()).drivers).toMatchObject([{ state: "working" }, { state: "failing" }]);
    await ready(bench);
    expect(bench.ipsec.peers).toEqual(["n3"]);
    expect(bench.told).toEqual(expect.arrayContaining(["driver fails", "driver works again"]));
  });

  test("is said to fail once for each reason, however often it is tried", async () => {
    await using bench = new Bench(new FakeRegistry(record(2)));
    bench.wireguard.failures.push(...[1, 2].map(() => new Fault(Code.kernel, "no device", "see dmesg")));
    await ready(bench);
    expect(bench.told.filter((line) => line === "driver fails")).toHaveLength(1);
    expect((await bench.agent.metrics()).find(({ name }) => name === "podvpn_apply_errors_total")?.samples).toEqual([
      { labels: { driver: "wireguard" }, value: 2 },
    ]);
  });

  test("is tried at once when something else is wanted of it", async () => {
    await using bench = new Bench(new FakeRegistry(record(2)));
    await ready(bench);
    bench.wireguard.failures.push(
      ...Array.from({ length: 50 }, () => new Fault(Code.kernel, "no device", "see dmesg")),
    );
    bench.registry.put(record(3));
    await soon(() => expect(bench.agent.unready()).not.toEqual([]));
    const tried = bench.wireguard.applied.length;
    bench.registry.put(record(4));
    await vi.waitFor(() => expect(bench.wireguard.applied.length).toBeGreaterThan(tried), {
      timeout: 400,
      interval: 5,
    });
  });

  test("that dies is applied again at once, and counted", async () => {
    await using bench = new Bench(new FakeRegistry(record(2)));
    await ready(bench);
    bench.wireguard.die();
    await soon(() => expect(bench.wireguard.exists).toBe(true));
    await soon(async () => expect((await bench.agent.status()).drivers[0]?.restarts).toBe(1));
    bench.wireguard.die();
    await soon(async () => expect((await bench.agent.status()).drivers[0]?.restarts).toBe(2));
    expect(bench.told).toEqual(expect.arrayContaining(["driver died", "driver was started again"]));
  });

  test("that has no peers any more is taken away, after the others guard what was its own", async () => {
    await using bench = new Bench(
      new FakeRegistry(record(2), ipsecNode),
      config({ ...BOTH, podPrefixes: "10.101.1.0/24" }),
    );
    await ready(bench);
    expect(bench.ipsec.guarded).toEqual(["10.101.3.0/24"]);
    const order: string[] = [];
    const apply = bench.wireguard.apply.bind(bench.wireguard);
    bench.wireguard.apply = async (wanted) => {
      order.push(`guard ${wanted.guarded.join(" ")}`);
      return apply(wanted);
    };
    const remove = bench.ipsec.remove.bind(bench.ipsec);
    bench.ipsec.remove = async () => {
      order.push("remove");
      return remove();
    };
    bench.registry.put(record(3));
    await soon(() => expect(bench.ipsec.removed).toBe(1));
    expect(order.slice(0, 2)).toEqual(["guard 10.101.2.0/23", "remove"]);
  });
});

describe("peers", () => {
  test("that come up, lose packets and go down are told of, once", async () => {
    await using bench = new Bench(new FakeRegistry(record(2)));
    await ready(bench);
    bench.setHealth("n2", "up");
    await soon(() => expect(bench.told).toContain("peer is up"));
    bench.setHealth("n2", "degraded");
    await soon(() => expect(bench.told).toContain("peer is degraded"));
    bench.setHealth("n2", "down");
    await soon(() => expect(bench.told).toContain("peer is down"));
    const status = await bench.agent.status();
    expect(status.peers).toMatchObject([{ name: "n2", state: "down", endpoint: "10.9.0.2:51820" }]);
    expect(status).toMatchObject({ healthy: false, ready: true, problems: ["n2 is down"] });
    expect(bench.told.filter((line) => line.startsWith("peer is"))).toHaveLength(3);
  });

  test("whose agent alone is gone are not searched elsewhere", async () => {
    const twoPlaces = record(2, { underlay: { private: [address("10.9.0.2")], public: [address("192.0.2.2")] } });
    await using bench = new Bench(new FakeRegistry(twoPlaces));
    await ready(bench);
    bench.setHealth("n2", "up");
    await soon(() => expect(bench.told).toContain("peer is up"));
    bench.setHealth("n2", "down");
    await soon(async () => {
      // The peer's kernel refuses our probes, through the tunnel.
      const more = (bytes: number) => bytes + 80;
      bench.wireguard.tunnels = bench.wireguard.tunnels.map((one) => ({
        ...one,
        receivedBytes: more(one.receivedBytes),
      }));
      bench.probes.doubt();
      expect((await bench.agent.status()).peers[0]?.state).toBe("degraded");
    });
    expect((await bench.agent.status()).peers[0]?.reason).toContain("agent does not answer");
  });

  test("that are tried at another endpoint are nobody's damage: nobody is told that somebody broke something", async () => {
    const registry = new FakeRegistry(record(2, { underlay: { private: [], public: ["n2.example.org"] } }));
    await using bench = new Bench(registry);
    bench.wireguard.answer = { ...bench.wireguard.answer, altered: ["n2"] };
    bench.names = { "n2.example.org": [address("192.0.2.2")] };
    await soon(() => expect(bench.lines.some(({ message }) => message === "tunnels applied")).toBe(true));
    expect(bench.wireguard.applied.at(-1)?.tunnels[0]?.endpoint).toEqual(endpoint("192.0.2.2:51820"));
    expect(bench.told).not.toContain("tunnels were not as they should be, and are again");
  });

  test("with a host name are reached as soon as that has an address", async () => {
    const named = record(2, { underlay: { private: [], public: ["n2.example.org"] } });
    const registry = new FakeRegistry(named);
    await using bench = new Bench(registry);
    bench.names = { "n2.example.org": [address("192.0.2.2")] };
    await soon(() => expect(bench.wireguard.applied.at(-1)?.tunnels[0]?.endpoint).toEqual(endpoint("192.0.2.2:51820")));
  });

  test("that are no possible peers are named with the reason", async () => {
    await using bench = new Bench(new FakeRegistry(record(2, { drivers: ["ipsec"], ipsec: { identity: "n2" } })));
    await ready(bench);
    expect((await bench.agent.status()).unreachable).toEqual([
      { name: "n2", reason: expect.stringContaining("no driver") },
    ]);
  });
});

describe("a share of the network", () => {
  const NETWORK = { podPrefixes: undefined, network: "10.101.0.0/16" };

  test("is kept over a restart of the agent", async () => {
    const registry = new FakeRegistry(record(2));
    {
      await using bench = new Bench(registry, config(NETWORK));
      await ready(bench);
    }
    const before = registry.get("n1");
    await using bench = new Bench(registry, config(NETWORK));
    await ready(bench);
    expect(registry.get("n1")).toEqual(before);
  });

  test("is another one when somebody took the same before", async () => {
    const registry = new FakeRegistry(record(2));
    await using bench = new Bench(registry, config(NETWORK));
    await ready(bench);
    const own = registry.get("n1");
    if (own === undefined) throw new Error("not published");
    const rival = record(3, { podPrefixes: own.podPrefixes, since: (own.since ?? 0) - 1000, addresses: [] });
    // As the registry does: one of the two is refused, and told with its record.
    registry.refusals = [
      { where: "nodes/n1.yaml", name: "n1", what: "overlaps n3", remedy: "take another", kept: false, record: own },
    ];
    registry.remove("n1");
    registry.put(rival);
    await soon(() => {
      const now = registry.get("n1");
      expect(now?.podPrefixes).not.toEqual(own.podPrefixes);
      expect(now?.since).toBeGreaterThan(rival.since ?? 0);
    });
  });

  test("is taken once, while the registry goes on to tell of the refused record before", async () => {
    const registry = new FakeRegistry(record(2));
    await using bench = new Bench(registry, config(NETWORK));
    await ready(bench);
    const own = registry.get("n1");
    if (own === undefined) throw new Error("not published");
    registry.refusals = [
      { where: "nodes/n1.yaml", name: "n1", what: "overlaps n3", remedy: "take another", kept: false, record: own },
    ];
    registry.put(record(3, { podPrefixes: own.podPrefixes, since: (own.since ?? 0) - 1000, addresses: [] }));
    await soon(() => expect(registry.get("n1")?.podPrefixes).not.toEqual(own.podPrefixes));
    const taken = registry.get("n1");
    for (const index of [4, 5, 6]) {
      registry.put(record(index));
      await soon(() => expect(bench.wireguard.peers).toContain(`n${index}`));
    }
    expect(registry.get("n1")).toEqual(taken);
  });

  test("leaves what is not anybody's guarded by the first driver", async () => {
    await using bench = new Bench(new FakeRegistry(record(2)), config(NETWORK));
    await ready(bench);
    const own = bench.registry.get("n1")?.podPrefixes ?? [];
    expect(bench.wireguard.guarded.join(" ")).toContain("10.101.");
    expect(bench.wireguard.guarded).not.toContain(own[0]);
  });
});

test("refused records are told when they come and when they are mended, and are in the status", async () => {
  const registry = new FakeRegistry(record(2));
  await using bench = new Bench(registry);
  await ready(bench);
  registry.refusals = [{ where: "nodes/n9.yaml:3", what: "mtu is 7", remedy: "correct it", kept: true }];
  registry.touch();
  await soon(() => expect(bench.told).toContain("record refused"));
  expect((await bench.agent.status()).registry.refusals).toMatchObject([{ where: "nodes/n9.yaml:3", kept: true }]);
  registry.refusals = [];
  registry.touch();
  await soon(() => expect(bench.told).toContain("record is not refused any more"));
});

test("a registry that cannot be read changes nothing, and is told", async () => {
  await using bench = new Bench(new FakeRegistry(record(2)));
  await ready(bench);
  bench.registry.onError?.(new Fault(Code.io, "ESTALE", "mount it again"));
  const status = await bench.agent.status();
  expect(status.registry).toMatchObject({ error: expect.stringContaining("ESTALE"), nodes: 2 });
  expect(status).toMatchObject({ healthy: false, ready: true });
  expect(bench.wireguard.peers).toEqual(["n2"]);
});

test("a node whose record is refused keeps what it has, and keeps it alive", async () => {
  await using bench = new Bench(new FakeRegistry(record(2)));
  await ready(bench);
  const own = bench.registry.get("n1");
  if (own === undefined) throw new Error("not published");
  bench.registry.refusals = [
    { where: "nodes/n1.yaml", name: "n1", what: "overlaps n3", remedy: "take another", kept: false, record: own },
  ];
  bench.registry.remove("n1");
  await soon(() => expect(bench.told).toContain("record refused"));
  bench.wireguard.die();
  await soon(() => expect(bench.wireguard.exists).toBe(true));
  expect(bench.wireguard.peers).toEqual(["n2"]);
});

test("a round that hangs hides neither itself nor the rest", async () => {
  await using bench = new Bench(new FakeRegistry(record(2)));
  await ready(bench);
  const hang = Promise.withResolvers<void>();
  const apply = bench.wireguard.apply.bind(bench.wireguard);
  bench.wireguard.apply = async (wanted) => {
    await hang.promise;
    return apply(wanted);
  };
  bench.registry.put(record(3));
  await soon(() => expect(bench.told).toEqual(expect.arrayContaining([expect.stringContaining("peer n3 added")])));
  expect((await bench.agent.status()).peers.map(({ name }) => name)).toEqual(["n2", "n3"]);
  hang.resolve();
  await soon(() => expect(bench.wireguard.peers).toEqual(["n2", "n3"]));
});

describe("the keys of a node", () => {
  test("are changed when somebody asks: published, taken by all peers, and then they count", async () => {
    await using bench = new Bench(new FakeRegistry(record(2), record(3)));
    await ready(bench);
    expect(await bench.agent.rotate()).toContain("are being changed");
    await soon(() => expect(bench.registry.get("n1")?.wireguard?.nextPublicKey).toBe(key(11)));
    bench.wireguard.moved.add("n2");
    await soon(async () => expect((await bench.agent.status()).rotation?.waitsFor).toBe("n3 to take the next key"));
    expect(await bench.agent.rotate()).toContain("under way already");
    bench.wireguard.moved.add("n3");
    // Never is a change over, for whoever asks, before the new key is there to be seen.
    await soon(async () => {
      const { rotation, node } = await bench.agent.status();
      expect(rotation === undefined ? node.publicKeys.wireguard : key(11)).toBe(key(11));
      expect(rotation).toBeUndefined();
    });
    expect(bench.registry.get("n1")?.wireguard).toEqual({ publicKey: key(11), port: 51820 });
    expect(bench.told).toEqual(expect.arrayContaining(["next keys count now"]));
  });

  test("are changed by one node at a time", async () => {
    const rival = { publicKey: key(2), nextPublicKey: key(22), port: 51820 };
    await using bench = new Bench(new FakeRegistry(record(2, { wireguard: rival })));
    await ready(bench);
    await bench.agent.rotate();
    await soon(async () => expect((await bench.agent.status()).rotation?.waitsFor).toContain("n2"));
    expect(bench.keys.hasNext).toBe(false);
    bench.wireguard.moved.add("n2");
    bench.registry.put(record(2));
    await soon(() => expect(bench.registry.get("n1")?.wireguard?.publicKey).toBe(key(11)));
  });

  test("go on being changed by an agent that is started anew", async () => {
    const registry = new FakeRegistry(record(2));
    const bench = new Bench(registry);
    await using _bench = bench;
    bench.keys.hasNext = true;
    bench.wireguard.moved.add("n2");
    await soon(() => expect(registry.get("n1")?.wireguard?.publicKey).toBe(key(11)));
  });

  test("are changed by themselves when they are old enough", async () => {
    const bench = new Bench(new FakeRegistry(record(2)), config({ rotateEvery: "30d" }));
    await using _bench = bench;
    bench.keys.made = Date.now() - 31 * 86_400_000;
    bench.wireguard.moved.add("n2");
    await soon(() => expect(bench.registry.get("n1")?.wireguard?.publicKey).toBe(key(11)));
    expect(bench.keys.hasNext).toBe(false);
  });

  test("cannot be changed where they are not podvpn's", async () => {
    await using bench = new Bench(new FakeRegistry(record(2)));
    bench.keys.canChange = false;
    await expect(bench.agent.rotate()).rejects.toMatchObject({ what: expect.stringContaining("no keys") });
  });
});
