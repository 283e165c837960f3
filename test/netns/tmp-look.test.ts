import { test } from "vitest";
import { AgentBed } from "./support/agent-bed.ts";
import { podvpn } from "./support/cli.ts";
test("look", async () => {
  await using bed = await AgentBed.create(3, { drivers: ["wireguard", "ipsec"] });
  await bed.configure(3, { drivers: ["ipsec"] });
  await bed.startAll();
  console.log((await podvpn(bed.at(1), "status")).stdout);
  console.log((await bed.at(1).exec(["script", "-qec", "/work/mesh/dist/podvpn status", "/dev/null"], { check: false })).stdout);
  console.log((await podvpn(bed.at(1), "graph")).stdout);
});
