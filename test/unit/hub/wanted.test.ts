import type { Section } from "vici";
import { describe, expect, test } from "vitest";
import type { HubConfig } from "../../../src/config/hub.ts";
import { parseHubConfig } from "../../../src/config/hub.ts";
import { planLoad } from "../../../src/hub/load.ts";
import { wantedOf } from "../../../src/hub/wanted.ts";

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
  test("one key without owner and one connection for anybody, with one key for all", () => {
    const { pools, shared, connections } = wantedOf(config());
    expect(pools).toEqual([
      { name: "10.173.0.0_16", addrs: "10.173.0.1-10.173.255.253" },
      { name: "fd00_173___64", addrs: "fd00:173::1-fd00:173::ffff" },
    ]);
    expect(shared.map(({ id, owners }) => ({ id, owners }))).toEqual([{ id: "pods", owners: [] }]);
    expect(connections).toEqual([
      {
        name: "pods",
        section: {
          version: "2",
          proposals: ["aes128gcm16-prfsha256-x25519"],
          pools: ["10.173.0.0_16", "fd00_173___64"],
          unique: "replace",
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
        },
      },
    ]);
  });

  test("only the addresses of listen, when there are any", () => {
    const [connection] = wantedOf(config({ pskFile: "/psk", listen: ["10.9.0.254", "fd00:9::fe"] })).connections;
    expect(connection?.section.local_addrs).toEqual(["10.9.0.254", "fd00:9::fe"]);
  });

  test("a key and a connection for each identity; the hub's own owns none of them", () => {
    const { shared, connections } = wantedOf(config(EACH));
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
  const wanted = wantedOf(config(EACH));
  const [one, two] = wanted.connections.map(({ name }) => name);

  test("into an empty charon brings pools, then keys, then connections", () => {
    const steps = planLoad(wanted, { shared: [], connections: [] });
    expect(steps.map((step) => step.do)).toEqual([
      "load-pool",
      "load-pool",
      "load-shared",
      "load-shared",
      "load-conn",
      "load-conn",
    ]);
  });

  test("sends nobody away whose connection is still wanted", () => {
    const loaded = [one ?? "", two ?? ""];
    const steps = planLoad(wanted, { shared: loaded, connections: loaded });
    expect(steps.filter(({ do: what }) => !what.startsWith("load-"))).toEqual([]);
  });

  test("shuts out who is not wanted any more, and only then ends the SAs", () => {
    const steps = planLoad(wanted, { shared: ["pods", one ?? ""], connections: ["pods"] });
    expect(steps.slice(-3)).toEqual([
      { do: "unload-conn", name: "pods" },
      { do: "unload-shared", name: "pods" },
      { do: "terminate", name: "pods" },
    ]);
  });
});
