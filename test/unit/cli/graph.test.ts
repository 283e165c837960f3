import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { AgentStatus, PeerStatus } from "../../../src/agent/status.ts";
import { meshGraph } from "../../../src/mesh/graph.ts";
import { graphText } from "../../../src/mesh/graph-text.ts";
import type { NodeRecord } from "../../../src/registry/node-record.ts";
import { recordText } from "../../../src/registry/record-text.ts";
import { downPeers, measuredBy } from "../../../src/status/measured.ts";
import { gateway, record, sited } from "../mesh/support/records.ts";
import { cli } from "./support/cli.ts";
import { strictDot } from "./support/dot.ts";

/** A registry's directory of nodes without IPsec. */
function registry(name: string, records: readonly NodeRecord[]): string {
  const made = join(directory, name);
  mkdirSync(join(made, "nodes"), { recursive: true });
  for (const each of records) {
    const { ipsec: _, ...rest } = each;
    writeFileSync(join(made, "nodes", `${each.name}.yaml`), recordText(rest));
  }
  return made;
}

let directory: string;
let full: string;
let sites: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "podvpn-graph-"));
  full = registry("full", [record(1), record(2), record(3)]);
  sites = registry("sites", [gateway(1, "west"), sited(2, "west"), gateway(3, "east"), sited(4, "east")]);
});
afterAll(() => rmSync(directory, { recursive: true }));

/** So that a node with an agent's configuration gives the same. */
const NOWHERE = ["--config", "/nonexistent/agent.yaml"];

describe("podvpn graph --registry", () => {
  it("shows the plan as text, without an agent: links are not measured", async () => {
    const { status, stdout, stderr } = await cli("graph", "--registry", full, ...NOWHERE);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toMatch(/^3 nodes, 3 links: 3 wireguard\n/);
    expect(stdout).toMatch(/^n1 +n2 +wireguard$/m);
    expect(stdout).not.toContain("STATE");
  });

  it("takes the topology that is asked for, else that of the configuration, else a full mesh", async () => {
    const links = async (...args: string[]) =>
      / (\d) links/.exec((await cli("graph", "--registry", sites, ...args)).stdout)?.[1];
    expect(await links(...NOWHERE)).toBe("6");
    expect(await links("--topology", "site", ...NOWHERE)).toBe("3");
    const config = join(directory, "agent.yaml");
    writeFileSync(config, "topology: site\n");
    expect(await links("--config", config)).toBe("3");
    expect(await links("--config", config, "--topology", "full")).toBe("6");
  });

  it("prints what Graphviz reads", async () => {
    const { stdout } = await cli("graph", "--registry", sites, "--topology", "site", "--dot");
    const { nodes, edges, subgraphs } = strictDot(stdout);
    expect([...nodes.values()].map((attributes) => attributes.get("label")).sort()).toEqual(["n1", "n2", "n3", "n4"]);
    expect(edges).toHaveLength(3);
    for (const { from, to } of edges) expect([...nodes.keys()]).toEqual(expect.arrayContaining([from, to]));
    expect(subgraphs).toHaveLength(2);
  });

  it("writes a picture that others may read, or prints it", async () => {
    const file = join(directory, "mesh.svg");
    expect(await cli("graph", "--registry", full, "--svg", file, ...NOWHERE)).toEqual({
      status: 0,
      stdout: "",
      stderr: "",
    });
    const picture = readFileSync(file, "utf8");
    expect(picture).toMatch(/^<svg /);
    expect(statSync(file).mode & 0o777).toBe(0o644);
    expect((await cli("graph", "--registry", full, "--svg", "-", ...NOWHERE)).stdout).toBe(picture);
  });

  it("tells of records that are refused, and shows the others", async () => {
    const bad = registry("bad", [record(1), record(2)]);
    writeFileSync(join(bad, "nodes/n3.yaml"), "name: n3\npodPrefixes: nonsense\n");
    const { status, stdout, stderr } = await cli("graph", "--registry", bad, ...NOWHERE);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^2 nodes, 1 link/);
    expect(stderr).toMatch(/n3\.yaml(:\d+)?: /);
  });

  it("refuses what it cannot use", async () => {
    expect(await cli("graph", "--dot", "--svg", "x")).toMatchObject({ status: 2 });
    const { status, stderr } = await cli("graph", "--registry", full, "--topology", "ring");
    expect({ status, stderr }).toMatchObject({ status: 2, stderr: expect.stringContaining('--topology is "ring"') });
    expect(await cli("graph", "--registry", full, "--svg", "/nonexistent/x.svg", ...NOWHERE)).toMatchObject({
      status: 1,
    });
  });
});

describe("what an agent knows of the mesh", () => {
  const peer = (name: string, overrides: Partial<PeerStatus> = {}): PeerStatus => ({
    name,
    driver: "wireguard",
    state: "up",
    since: "2026-01-02T03:04:05.000Z",
    prefixes: [],
    ...overrides,
  });
  const agent: Pick<AgentStatus, "peers"> & { node: { name: string } } = {
    node: { name: "n2" },
    peers: [
      peer("n1", { roundTripSeconds: 0.0005, loss: { out: 0.1, in: 0.25 } }),
      peer("n3", { state: "down" }),
      peer("n4", { driver: "ipsec" }),
    ],
  };

  it("is how its own links are, whichever end it is of, and nothing of those of others", () => {
    const measure = measuredBy(agent);
    const link = (one: string, other: string) => measure({ one, other, driver: "wireguard" });
    expect(link("n1", "n2")).toEqual({ state: "up", latencyMs: 0.5, loss: 0.25 });
    expect(link("n2", "n3")).toEqual({ state: "down" });
    expect(link("n1", "n3")).toBeUndefined();
    expect(link("n2", "n5")).toBeUndefined();
  });

  it("does not count for a link that is planned with another driver than the one that was measured", () => {
    expect(measuredBy(agent)({ one: "n2", other: "n4", driver: "wireguard" })).toBeUndefined();
  });

  it("says unknown of the others in the text", () => {
    const graph = meshGraph([record(1), record(2), record(3)], { topology: "full", down: downPeers(agent) });
    const text = graphText(graph, measuredBy(agent));
    expect(text).toMatch(/^n1 +n2 +wireguard +up +0\.50 ms +25 %$/m);
    expect(text).toMatch(/^n1 +n3 +wireguard +unknown +- +-$/m);
    expect(text).toMatch(/^n2 +n3 +wireguard +down/m);
  });

  it("says which gateways are dead: another one stands for their site", () => {
    const nodes = [gateway(1, "west"), gateway(3, "east"), gateway(5, "east")];
    const roles = (down: ReadonlySet<string>) =>
      meshGraph(nodes, { topology: "site", down }).nodes.map(({ role }) => role);
    expect(roles(new Set())).toEqual(["active gateway", "gateway", "active gateway"]);
    expect(roles(downPeers(agent))).toEqual(["gateway", "active gateway", "active gateway"]);
  });
});
