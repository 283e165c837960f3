import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { forecast } from "../../../src/agent/check.ts";
import { ownRecord } from "../../../src/agent/own-record.ts";
import { type AgentConfig, parseAgentConfig } from "../../../src/config/agent.ts";
import { parseYaml } from "../../../src/config/yaml.ts";
import { sharesOf } from "../../../src/registry/allocate.ts";
import type { NodeRecord } from "../../../src/registry/node-record.ts";
import { isIssues, parseRecordText, recordText } from "../../../src/registry/record-text.ts";
import { address, key, prefix } from "./support.ts";

const DIRECTORY = new URL("../../../conf-examples/", import.meta.url);
const read = (file: string) => readFileSync(new URL(file, DIRECTORY), "utf8");
const context = { hostname: "node-1", euid: 0, readSecretFile: () => undefined };

function config(file: string, text = read(file)): AgentConfig {
  return parseAgentConfig(parseYaml(text, file), file, context);
}

function nodes(directory = "mesh/nodes"): NodeRecord[] {
  return readdirSync(new URL(`${directory}/`, DIRECTORY)).map((file) => {
    const record = parseRecordText(read(`${directory}/${file}`));
    if (isIssues(record)) throw new Error(`${file}: ${record.map(({ what }) => what).join(", ")}`);
    expect(file).toBe(`${record.name}.yaml`);
    return record;
  });
}

describe("agent.yaml", () => {
  test("is a legal configuration", () => {
    expect(config("agent.yaml")).toMatchObject({
      name: "node-1",
      pods: {
        from: "network",
        cuts: [
          { network: "10.101.0.0/16", length: 24 },
          { network: "fd00:101::/48", length: 64 },
        ],
      },
    });
  });

  test("shows the defaults, where it does not say example", () => {
    const lines = read("agent.yaml").split("\n");
    const shown: string[] = [];
    let isExample = false;
    for (const line of lines) {
      if (/^# \S/.test(line)) isExample = /example:$/i.test(line);
      else if (line === "") isExample = false;
      else if (line.startsWith("#") && !isExample) shown.push(line.slice(1));
    }
    const own = read("agent.yaml")
      .split("\n")
      .filter((line) => /^\w/.test(line))
      .join("\n");
    expect(shown.length).toBeGreaterThan(10);
    expect(config("agent.yaml", `${own}\n${shown.join("\n")}`)).toEqual(config("agent.yaml"));
  });

  test("shows examples that are legal as well", () => {
    const all = read("agent.yaml")
      .split("\n")
      .map((line) => line.replace(/^#(?=[a-z ]{1,2}\S)(?! )/, "").replace(/^#(?= {2})/, ""));
    const chosen = all.filter((line) => !line.startsWith("podPrefixes") && !/^drivers/.test(line));
    expect(config("agent.yaml", `drivers: [wireguard, ipsec]\n${chosen.join("\n")}`)).toMatchObject({
      site: "north",
      gateway: true,
      rotateEvery: 30 * 86_400_000,
      labels: { rack: "7" },
      ipsec: { authentication: { by: "key" } },
    });
  });
});

describe("the examples of meshes", () => {
  test("have a registry whose records are legal, those of agents as agents write them", () => {
    expect(nodes().map(({ name }) => name)).toEqual(["node1", "node2", "router"]);
    for (const record of nodes().slice(0, 2)) expect(read(`mesh/nodes/${record.name}.yaml`)).toBe(recordText(record));
  });

  test("give a node tunnels to all others of the registry", () => {
    const config1 = config("mesh/by-hand/node1.yaml");
    const own = {
      keys: { wireguard: key(1), ipsec: "x" },
      underlay: [address("10.9.0.1")],
      podPrefixes: [prefix("10.101.1.0/24")],
    };
    const { plan } = forecast({
      config: config1,
      own: ownRecord(config1, own),
      state: { version: "1", nodes: nodes(), refusals: [] },
      hasKeys: true,
    });
    expect(plan.peers.map(({ name, driver }) => [name, driver])).toEqual([
      ["node2", "wireguard"],
      ["router", "wireguard"],
    ]);
    expect(plan.unreachable).toEqual([]);
  });

  test.each(["by-hand/node1", "by-hand/node2", "sites/gateway", "sites/node"])(
    "%s.yaml is a legal configuration",
    (name) => {
      expect(config(`mesh/${name}.yaml`).name).toBeTruthy();
    },
  );

  test("have a tunnel by IPsec to a node that has nothing else", () => {
    expect([config("mesh/by-hand/node1.yaml").drivers, config("mesh/by-hand/node2.yaml").drivers]).toEqual([
      ["wireguard", "ipsec"],
      ["ipsec"],
    ]);
  });
});

describe("the example for OpenSVC", () => {
  test("has a legal configuration, and a registry with the shares that follow from it and from the nodes' names", () => {
    const { pods, drivers } = config("opensvc/agent.yaml");
    if (pods.from !== "network") throw new TypeError("it has no network");
    expect(drivers).toEqual(["ipsec"]);
    const before: NodeRecord[] = [];
    for (const record of nodes("opensvc/nodes")) {
      expect(read(`opensvc/nodes/${record.name}.yaml`)).toBe(recordText(record));
      const state = { version: "1", nodes: before, refusals: [] };
      expect(record.podPrefixes).toEqual(sharesOf(pods.cuts, record.name, state));
      before.push(record);
    }
    expect(before.map(({ name }) => name)).toEqual(["n1", "n2", "n3"]);
  });
});
