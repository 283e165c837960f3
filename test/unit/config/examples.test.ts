import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parseNetworkList, pluginConfig } from "../../../src/cni/network-list.ts";
import { parse } from "./support.ts";

const directory = new URL("../../../conf-examples/", import.meta.url);
/** Those of `strongswan`; that of `wireguard` with the agent is in wireguard-agent.test.ts. */
const files = readdirSync(directory).filter((name) => /^(?!wireguard-).*\.(?:json|conf|conflist)$/.test(name));

/** The configuration that the plugin gets of an example. */
function read(name: string) {
  const list = parseNetworkList(JSON.parse(readFileSync(new URL(name, directory), "utf8")));
  const plugin = list.plugins.find(({ type }) => type === "strongswan");
  if (plugin === undefined) throw new Error(`${name} has no strongswan plugin`);
  return { list, config: parse(pluginConfig(list, plugin, {}), { readSecretFile }) };
}

const readSecretFile = () => ({ uid: 0, mode: 0o100600, bytes: new Uint8Array(Buffer.from("from-file\n")) });

test("there is an example of each form", () => {
  expect(files.sort()).toEqual([
    "chained.conflist",
    "dual-stack.conflist",
    "psk-file.json",
    "seed.json",
    "strongswan-node.conflist",
    "strongswan.conflist",
    "two-hubs.json",
  ]);
});

describe("each example is a legal configuration", () => {
  test.each(files)("%s", (name) => {
    const { list, config } = read(name);
    expect(list.name).toBe("podvpn");
    expect(config.virtualSubnets).toContain("10.173.0.0/16");
    expect(config.servers[0]).toBe("10.9.0.254");
    expect(config.hostSubnets).toEqual(["10.9.0.0/24"]);
  });
});

describe("and shows what it is named after", () => {
  test("seed.json names no version, which means 0.1.0", () => {
    expect(read("seed.json").list).toMatchObject({ cniVersion: "0.1.0", explicitVersion: false });
  });

  test("strongswan.conflist is of 1.1.0", () => {
    expect(read("strongswan.conflist").list.cniVersion).toBe("1.1.0");
  });

  test("dual-stack.conflist has both families, in the tunnel and on the bridge", () => {
    const { list, config } = read("dual-stack.conflist");
    expect(config.virtualSubnets).toEqual(["10.173.0.0/16", "fd00:173::/64"]);
    expect(JSON.stringify(list.plugins[0]?.ipam)).toMatch(/172\.17\.1\.0.*fd00:172/);
  });

  test("chained.conflist leaves the bridge to the plugin before", () => {
    const [bridge, strongswan] = read("chained.conflist").list.plugins;
    expect(bridge?.type).toBe("bridge");
    expect(Object.keys(strongswan ?? {})).toEqual(["type", "vpn"]);
  });

  test("psk-file.json holds no key, the others one that is clearly to be replaced", () => {
    for (const name of files) {
      const key = Buffer.from(read(name).config.psk.reveal()).toString();
      expect(key).toBe(name === "psk-file.json" ? "from-file" : "replace-this-with-a-secret-of-your-own");
    }
  });

  test("strongswan-node.conflist has one charon for all pods, the others one for each", () => {
    for (const name of files) {
      expect(read(name).config.attach).toBe(name === "strongswan-node.conflist" ? "node" : "pod");
    }
  });

  test("two-hubs.json has a second hub to try", () => {
    expect(read("two-hubs.json").config.servers).toEqual(["10.9.0.254", "10.9.0.253"]);
  });
});
