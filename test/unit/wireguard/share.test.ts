import { describe, expect, test } from "vitest";
import { asksForShare } from "../../../plugins/wireguard/share.ts";

const AGENT = { agent: true };
const conf = (ipam: unknown, wireguard: unknown = AGENT) => ({ name: "mesh", type: "wireguard", wireguard, ipam });

describe("a configuration", () => {
  test("leaves its subnets to the agent where host-local has none", () => {
    expect(asksForShare(conf({ type: "host-local" }))).toBe(true);
    expect(asksForShare(conf({ type: "host-local", routes: [{ dst: "0.0.0.0/0" }], dataDir: "/run/ipam" }))).toBe(true);
  });

  test.each([
    ["has a subnet", conf({ type: "host-local", subnet: "10.1.0.0/24" })],
    ["has ranges", conf({ type: "host-local", ranges: [[{ subnet: "10.1.0.0/24" }]] })],
    ["has an IPAM that has its own", conf({ type: "static" })],
    ["is a member of a chain", conf(undefined)],
    ["has an IPAM that is nothing", conf(null)],
    ["has peers by hand", conf({ type: "host-local" }, { peers: [] })],
    ["says that the agent is not there", conf({ type: "host-local" }, { agent: false })],
    ["has nothing of podvpn", conf({ type: "host-local" }, null)],
  ])("does not where it %s", (_why, raw) => {
    expect(asksForShare(raw)).toBe(false);
  });
});
