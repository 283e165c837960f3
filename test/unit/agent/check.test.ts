import { describe, expect, test } from "vitest";
import { forecast, forecastText } from "../../../src/agent/check.ts";
import { config, record } from "./fakes.ts";
import { prefix } from "./support.ts";

const state = (...nodes: ReturnType<typeof record>[]) => ({ version: "1", nodes, refusals: [] });

describe("what an agent would do", () => {
  test("is its tunnels, and who cannot be reached", () => {
    const stranger = record(3, { drivers: ["ipsec"], ipsec: { identity: "n3" } });
    const own = record(1);
    const found = forecast({ config: config(), own, state: state(own, record(2), stranger), hasKeys: true });
    expect(found.plan.peers.map(({ name }) => name)).toEqual(["n2"]);
    expect(found.warnings).toEqual([expect.stringMatching(/^n3 cannot be reached: no driver in common/)]);
  });

  test("has the record that would be published in place of the one that is there", () => {
    const own = record(1, { podPrefixes: [prefix("10.101.77.0/24")] });
    const found = forecast({ config: config(), own, state: state(record(1), record(2)), hasKeys: true });
    expect(found.plan.podPrefixes).toEqual(["10.101.77.0/24"]);
  });

  test("says what is missing, and what the registry refuses", () => {
    const refusal = { where: "nodes/n9.yaml:2", what: "mtu is 7", remedy: "correct it", kept: false };
    const own = record(1, { underlay: { private: [], public: [] } });
    const found = forecast({ config: config(), own, state: { ...state(), refusals: [refusal] }, hasKeys: false });
    expect(found.warnings).toEqual([
      expect.stringContaining("keys of this node are not there"),
      expect.stringContaining("would be published"),
      expect.stringContaining("no underlay address"),
      "nodes/n9.yaml:2: mtu is 7; correct it",
    ]);
  });

  test("fits a terminal", () => {
    const many = Array.from({ length: 30 }, (_, index) => record(index + 2));
    const found = forecast({ config: config(), own: record(1), state: state(...many), hasKeys: true });
    const lines = forecastText(found, 80).split("\n");
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(lines.filter((line) => /^n\d+ +wireguard +10\.9\.0\.\d+ +10\.101\.\d+\.0\/24$/.test(line))).toHaveLength(30);
    expect(
      forecastText(forecast({ config: config(), own: record(1), state: state(), hasKeys: true }), undefined),
    ).toContain("no peers");
  });
});
