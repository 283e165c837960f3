import { execFile } from "node:child_process";
import { afterAll, beforeAll, expect, test } from "vitest";
import { promtool } from "../../scripts/promtool.mjs";
import { AgentBed } from "../netns/support/agent-bed.ts";

let bed: AgentBed;
beforeAll(async () => {
  bed = await AgentBed.create(3, { drivers: ["wireguard", "ipsec"] });
  await bed.configure(3, { drivers: ["ipsec"] });
  await bed.startAll();
});
afterAll(() => bed?.[Symbol.asyncDispose]());

/** What Prometheus itself says of metrics, as `promtool check metrics`. */
async function checked(metrics: string): Promise<{ readonly code: number | null; readonly output: string }> {
  const path = await promtool();
  return await new Promise((resolve) => {
    const child = execFile(path, ["check", "metrics"], (_error, stdout, stderr) => {
      resolve({ code: child.exitCode, output: `${stdout}${stderr}` });
    });
    child.stdin?.end(metrics);
  });
}

async function metricsOf(index: number): Promise<string> {
  return (await bed.at(index).exec(["curl", "-sS", "http://127.0.0.1:9174/metrics"])).stdout;
}

test("promtool has nothing to say against the metrics of an agent with both drivers, whose peers are up or down", async () => {
  await bed.until(1, "all has been measured", ({ peers }) =>
    peers.every(({ loss, roundTripSeconds: time }) => loss && time),
  );
  const well = await metricsOf(1);
  expect(well).toMatch(/^podvpn_peer_up\{peer="n3",driver="ipsec"\} 1$/m);
  expect(await checked(well)).toEqual({ code: 0, output: "" });
  await bed.at(2).setUnderlay(false);
  await bed.until(1, "n2 is down", ({ peers }) => peers.some(({ state }) => state === "down"));
  const bad = await metricsOf(1);
  expect(bad).toMatch(/^podvpn_peer_up\{peer="n2",driver="wireguard"\} 0$/m);
  expect(await checked(bad)).toEqual({ code: 0, output: "" });
});

test("promtool would: this very check finds a counter that is not called one", async () => {
  const { code, output } = await checked(
    (await metricsOf(1)).replaceAll("podvpn_registry_changes_total", "podvpn_changes"),
  );
  expect(code).not.toBe(0);
  expect(output).toContain("podvpn_changes");
});
