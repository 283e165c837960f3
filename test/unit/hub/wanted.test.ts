import type { Section } from "vici";
import { describe, expect, test } from "vitest";
import type { HubConfig } from "../../../src/config/hub.ts";
import { parseHubConfig } from "../../../src/config/hub.ts";
import { arrivalsCommand } from "../../../src/hub/arrivals.ts";
import type { Entry } from "../../../src/hub/book.ts";
import { type Loaded, planLoad } from "../../../src/hub/load.ts";
import { wantedOf } from "../../../src/hub/wanted.ts";
import { type Address, parseAddress } from "../../../src/net/address.ts";

const address = (text: string): Address => parseAddress(text) ?? expect.fail(text);
const entry = (identity: string, ...addresses: string[]): Entry => ({ identity, addresses: addresses.map(address) });
const WINDOW = ["10.173.0.2", "10.173.0.3", "fd00:173::2"].map(address);

function config(overrides: Record<string, unknown> = { pskFile: "/psk" }): HubConfig {
  const raw = { virtualSubnets: ["10.173.0.0/16", "fd00:173::/64"], ...overrides };
  return parseHubConfig(raw, "hub.yaml", {
    euid: 0,
    readSecretFile: (path) => ({ uid: 0, mode: 0o100600, bytes: Buffer.from(path) }),
  });
}

const EACH = {
  identities: [
    { identity: "c1.eth0@n1", pskFile: "/a" },
    { identity: "c1/eth0@n1", pskFile: "/b" },
  ],
};

describe("what charon gets", () => {
  test("a pool for each address; a connection for each lease, and one for anybody", () => {
    const entries = [entry("pod-1", "10.173.0.1", "fd00:173::1")];
    const { pools, shared, connections } = wantedOf(config(), { entries, window: WINDOW, now: 0 });
    expect(pools).toEqual([
      { name: "10.173.0.1", addrs: "10.173.0.1-10.173.0.1" },
      { name: "fd00_173__1", addrs: "fd00:173::1-fd00:173::1" },
      { name: "10.173.0.2", addrs: "10.173.0.2-10.173.0.2" },
      { name: "10.173.0.3", addrs: "10.173.0.3-10.173.0.3" },
      { name: "fd00_173__2", addrs: "fd00:173::2-fd00:173::2" },
      { name: "waiting-4", addrs: "240.0.0.0/24" },
      { name: "waiting-6", addrs: "100::/112" },
    ]);
    expect(shared.map(({ id, owners }) => ({ id, owners }))).toEqual([{ id: "pods", owners: [] }]);
    const section = {
      version: "2",
      proposals: ["aes128gcm16-prfsha256-x25519"],
      unique: "never",
      mobike: "no",
      dpd_delay: "30s",
      rekey_time: "4h",
      local: { auth: "psk", id: "server" },
      remote: { auth: "psk" },
      children: {
        net: {
          local_ts: ["10.173.0.0/16", "fd00:173::/64"],
          esp_proposals: ["aes128gcm16-x25519"],
          start_action: "none",
          dpd_action: "clear",
          rekey_time: "1h",
        },
      },
    };
    expect(connections).toEqual([
      {
        name: expect.stringMatching(/^pod-1-[\da-f]{12}$/),
        section: {
          ...section,
          pools: ["10.173.0.1", "fd00_173__1", "waiting-4", "waiting-6"],
          remote: { auth: "psk", id: "pod-1" },
        },
      },
      {
        name: "pods",
        section: {
          ...section,
          pools: ["10.173.0.2", "10.173.0.3", "fd00_173__2"],
          children: { net: { ...section.children.net, updown: arrivalsCommand("/var/lib/podvpn/hub/leases.json") } },
        },
      },
    ]);
  });

  test("a connection for where each pod came from last, when there are many, unless it has been away for long", () => {
    const host = address("10.9.0.7");
    const online = Array.from({ length: 256 }, (_, index) => ({ ...entry(`p${index}`, `10.173.1.${index}`), host }));
    const remote = (entries: readonly Entry[], now: number) =>
      wantedOf(config(), { entries, window: [], now }).connections.map(({ section }) => section.remote_addrs);
    expect(new Set(remote(online, 0))).toEqual(new Set([undefined]));
    const away: Entry = { ...entry("away", "10.173.0.1"), host, offline: { since: 0 } };
    expect(remote([away, ...online], 30_000).slice(0, 2)).toEqual([["10.9.0.7"], ["10.9.0.7"]]);
    expect(remote([away, ...online], 30_001).slice(0, 2)).toEqual([undefined, ["10.9.0.7"]]);
    expect(remote([away, ...online], 0).at(-1), "the one for anybody").toBeUndefined();
  });

  test("only the addresses of listen, when there are any", () => {
    const own = config({ pskFile: "/psk", listen: ["10.9.0.254", "fd00:9::fe"] });
    const [connection] = wantedOf(own, { entries: [], window: WINDOW, now: 0 }).connections;
    expect(connection?.section.local_addrs).toEqual(["10.9.0.254", "fd00:9::fe"]);
  });

  test("a key and a connection for each identity, and none for anybody; the hub's own owns no key", () => {
    const entries = [entry("c1.eth0@n1", "10.173.0.1"), entry("c1/eth0@n1", "10.173.0.2")];
    const { shared, connections } = wantedOf(config(EACH), { entries, window: [], now: 0 });
    expect(shared.map(({ owners }) => owners)).toEqual([["c1.eth0@n1"], ["c1/eth0@n1"]]);
    expect(connections.map(({ section }) => (section.remote as Section).id)).toEqual(["c1.eth0@n1", "c1/eth0@n1"]);
    expect(connections.map(({ name }) => name)).toEqual([
      expect.stringMatching(/^c1\.eth0_n1-[\da-f]{12}$/),
      expect.stringMatching(/^c1_eth0_n1-[\da-f]{12}$/),
    ]);
    expect(new Set(connections.map(({ name }) => name)).size).toBe(2);
  });
});

describe("loading", () => {
  const nothing: Loaded = { pools: new Map(), shared: new Map(), connections: new Map() };
  const unknown = (...names: string[]) => new Map(names.map((name) => [name, ""]));
  const wanted = wantedOf(config(), { entries: [entry("a", "10.173.0.1")], window: WINDOW, now: 0 });
  const names = wanted.connections.map(({ name }) => name);

  test("into an empty charon brings pools, then keys, then connections, many in one message", () => {
    const steps = planLoad(wanted, nothing);
    expect(steps.map((step) => step.do)).toEqual(["load-pool", "load-shared", "load-conn"]);
    const thousand = Array.from({ length: 1000 }, (_, index) =>
      entry(`p${index}`, `10.173.${index >> 8}.${index & 255}`),
    );
    const many = planLoad(wantedOf(config(), { entries: thousand, window: WINDOW, now: 0 }), nothing);
    expect(many).toHaveLength(6 + 1 + 6);
  });

  test("sends nobody away whose connection is still wanted, and loads all that an earlier hub loaded once more", () => {
    const steps = planLoad(wanted, { pools: new Map(), shared: unknown("pods"), connections: unknown(...names) });
    expect(steps.map((step) => step.do)).toEqual(["load-pool", "load-shared", "load-conn"]);
  });

  test("shuts out who is not wanted any more, and only then ends the SAs", () => {
    const steps = planLoad(wanted, { ...nothing, shared: unknown("old-key"), connections: unknown("old") });
    expect(steps.slice(-3)).toEqual([
      { do: "unload-conn", name: "old" },
      { do: "unload-shared", name: "old-key" },
      { do: "terminate", name: "old" },
    ]);
  });

  test("brings only what has changed since the last time, and takes away the pool of an address that is nobody's", () => {
    const loaded: Loaded = {
      pools: new Map(wanted.pools.map(({ name, addrs }) => [name, addrs])),
      shared: new Map([["pods", "loaded"]]),
      connections: new Map(wanted.connections.map(({ name, section }) => [name, JSON.stringify(section)])),
    };
    expect(planLoad(wanted, loaded)).toEqual([]);
    const later = wantedOf(config(), { entries: [entry("b", "10.173.0.2")], window: WINDOW.slice(1), now: 0 });
    const steps = planLoad(later, loaded);
    expect(steps.map((step) => ("sections" in step ? [step.do, Object.keys(step.sections).length] : step.do))).toEqual([
      ["load-conn", 2],
      "unload-conn",
      "terminate",
      "unload-pool",
    ]);
    expect(steps.at(-1)).toEqual({ do: "unload-pool", name: "10.173.0.1" });
  });
});
