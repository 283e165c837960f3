import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parseNetworkList, pluginConfig } from "../../../src/cni/network-list.ts";
import { wireguardFields } from "../../../src/config/wireguard-fields.ts";
import { issuesOf, parse, withWireguard } from "./wireguard-support.ts";

const agents = (keys: Record<string, unknown> = {}) => withWireguard({ peers: undefined, agent: true, ...keys });

describe("agent: true", () => {
  test("needs nothing else, and has no key, no peers and no prefixes of its own", async () => {
    const config = await parse(agents());
    expect(config).toMatchObject({ attach: "node", agent: true, peers: [], meshPrefixes: [] });
    expect((await parse(agents({ attach: "node" }))).agent).toBe(true);
  });

  test("false is as if it were not there", async () => {
    expect(await parse(withWireguard({ agent: false }))).toEqual(await parse(withWireguard({})));
  });

  const others = Object.keys(wireguardFields()).filter((key) => key !== "agent" && key !== "attach");
  const values: Record<string, unknown> = {
    interface: "wg0",
    privateKeyFile: "/etc/podvpn/key",
    listenPort: 51_820,
    address: "10.8.0.1/24",
    mtu: 1400,
    fwmark: 7,
    table: 99,
    peers: [],
    peersFile: "/etc/podvpn/peers.yaml",
    configFile: "/etc/wireguard/wg0.conf",
    dataplane: "auto",
    removeWithLastPod: false,
  };

  test.each(others)("beside it, %s is an error that names it", async (key) => {
    expect(values[key], "a value for each key").toBeDefined();
    const [issue, ...more] = await issuesOf(agents({ [key]: values[key] }));
    expect(issue).toContain(`wireguard.${key} is given, and wireguard.agent is true: take it out`);
    expect(more).toEqual([]);
  });

  test("attach: pod is an error: the agent's device is the node's", async () => {
    const [issue] = await issuesOf(agents({ attach: "pod" }));
    expect(issue).toContain('wireguard.attach is "pod", and wireguard.agent is true');
  });

  test("all that is wrong is told at once", async () => {
    expect(await issuesOf(agents({ attach: "pod", mtu: 1400, peers: [], agnet: true }))).toHaveLength(4);
  });

  test("the bridge may have any name: that of the agent's device is not in the configuration", async () => {
    expect((await parse(withWireguard({ peers: undefined, agent: true }, { bridge: "podvpn0" }))).agent).toBe(true);
  });
});

test("conf-examples/wireguard-agent.conflist is a legal configuration of it, and leaves the subnets to the agent", async () => {
  const file = new URL("../../../conf-examples/wireguard-agent.conflist", import.meta.url);
  const list = parseNetworkList(JSON.parse(readFileSync(file, "utf8")));
  const [plugin] = list.plugins;
  const config = await parse(plugin === undefined ? {} : pluginConfig(list, plugin, {}));
  expect(config.agent).toBe(true);
  expect(plugin?.ipam).toEqual({ type: "host-local" });
});
