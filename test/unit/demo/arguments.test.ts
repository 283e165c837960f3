import { describe, expect, it } from "vitest";
import { main } from "../../../src/cli/main.ts";

/** None of these gets as far as the demo itself. */
async function refusal(...args: string[]) {
  let stderr = "";
  const terminal = {
    stdout: () => undefined,
    stderr: (text: string) => {
      stderr += text;
    },
  };
  return { status: await main(["demo", ...args], terminal), stderr };
}

describe("podvpn demo", () => {
  it("refuses a plugin that it has no demo of, and names those that it has", async () => {
    const { status, stderr } = await refusal("openvpn");
    expect(status).toBe(2);
    expect(stderr).toContain('there is no demo of "openvpn"; there are those of strongswan, wireguard and mesh');
  });

  it("refuses more than one name", async () => {
    expect(await refusal("wireguard", "strongswan")).toMatchObject({ status: 2 });
  });

  it("refuses to keep and to take down at once", async () => {
    const { status, stderr } = await refusal("--keep", "--down");
    expect(status).toBe(2);
    expect(stderr).toContain("--keep and --down exclude each other");
  });
});
