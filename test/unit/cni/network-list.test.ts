import { describe, expect, it } from "vitest";
import { parseNetworkList, pluginConfig } from "../../../src/cni/network-list.ts";

const LIST = { cniVersion: "1.0.0", name: "net", plugins: [{ type: "bridge" }, { type: "strongswan" }] };

function fault(code: number, message: string) {
  return expect.objectContaining({ name: "Fault", code, message: expect.stringContaining(message) });
}

describe("parseNetworkList", () => {
  it("reads a list", () => {
    expect(parseNetworkList({ ...LIST, disableCheck: true })).toEqual({
      name: "net",
      cniVersion: "1.0.0",
      explicitVersion: true,
      plugins: LIST.plugins,
      disableCheck: true,
      disableGC: false,
    });
  });

  it("takes a single configuration for a list of one", () => {
    const single = { name: "net", type: "strongswan", vpn: {} };
    expect(parseNetworkList(single)).toMatchObject({ cniVersion: "0.1.0", explicitVersion: false, plugins: [single] });
  });

  it.each([
    ["0.4.0", ["0.4.0", "1.0.0", "1.1.0"], "1.1.0"],
    ["0.4.0", ["1.0.0", "9.0.0"], "1.0.0"],
    ["1.0.0", ["0.4.0"], "1.0.0"],
    [undefined, ["0.4.0", "0.3.1"], "0.4.0"],
    ["0.3.1", undefined, "0.3.1"],
  ])("of cniVersion %s and cniVersions %j takes %s", (cniVersion, cniVersions, taken) => {
    expect(parseNetworkList({ ...LIST, cniVersion, cniVersions })).toMatchObject({ cniVersion: taken });
  });

  it.each([
    [{ ...LIST, cniVersion: "9.0.0" }, 1, 'cniVersion is "9.0.0"'],
    [{ ...LIST, name: undefined }, 7, "name is missing"],
    [{ ...LIST, name: "a/b" }, 7, 'name is "a/b"'],
    [{ ...LIST, plugins: [] }, 7, "plugins is []; give at least one plugin"],
    [{ ...LIST, plugins: {} }, 7, "plugins is {}; give a list"],
    [{ ...LIST, plugins: [{ type: "a" }, {}] }, 7, "plugins[1].type is missing"],
    [{ ...LIST, plugins: ["bridge"] }, 7, 'plugins[0] is "bridge"; give an object'],
  ])("refuses %j", (configuration, code, message) => {
    expect(() => parseNetworkList(configuration)).toThrow(fault(code, message));
  });
});

describe("pluginConfig", () => {
  it("gives every plugin the list's name and version, and the previous result", () => {
    const list = parseNetworkList(LIST);
    const prevResult = { cniVersion: "1.0.0" };
    expect(pluginConfig(list, { type: "bridge", name: "other", mtu: 1400 }, { prevResult })).toEqual({
      type: "bridge",
      name: "net",
      cniVersion: "1.0.0",
      mtu: 1400,
      prevResult,
    });
  });

  it("leaves a single configuration without version as it is", () => {
    const single = { name: "net", type: "strongswan", vpn: { serverIP: "10.9.0.254" } };
    expect(pluginConfig(parseNetworkList(single), single, {})).toEqual(single);
  });

  it("turns announced capabilities into runtimeConfig, and only those", () => {
    const plugin = { type: "portmap", capabilities: { portMappings: true, bandwidth: false, ips: true } };
    const capabilityArgs = { portMappings: [{ hostPort: 80 }], bandwidth: {}, mac: "02::" };
    expect(pluginConfig(parseNetworkList(LIST), plugin, { capabilityArgs })).toEqual({
      type: "portmap",
      name: "net",
      cniVersion: "1.0.0",
      runtimeConfig: { portMappings: [{ hostPort: 80 }] },
    });
  });

  it("passes the list of valid attachments on, also an empty one", () => {
    const config = pluginConfig(parseNetworkList(LIST), { type: "bridge" }, { validAttachments: [] });
    expect(config).toMatchObject({ "cni.dev/valid-attachments": [] });
  });
});
