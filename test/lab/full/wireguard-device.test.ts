import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openNetns } from "../../../src/os/namespace.ts";
import { Testbed } from "../../../src/testbed/testbed.ts";
import { openKernel, removeKernel } from "../../../src/wireguard/kernel.ts";
import { deviceSuite } from "../../netns/support/device-suite.ts";

// For a kernel that has WireGuard; on any other all of it fails.

describe("a kernel device", () => {
  deviceSuite("kernel");
});

describe("a WireGuard link of somebody else", () => {
  let testbed: Testbed;

  beforeAll(async () => {
    testbed = await Testbed.create();
  });
  afterAll(async () => {
    await testbed[Symbol.asyncDispose]();
  });

  test("is no device of ours, and stays", async () => {
    const node = await testbed.node("n1", { addresses: ["10.9.0.1/24"] });
    using netns = openNetns(`/proc/${node.pid}/ns/net`);
    await node.exec(["ip", "link", "add", "foreign9", "type", "wireguard"]);
    expect(await openKernel("foreign9", netns)).toBeUndefined();
    await removeKernel("foreign9", netns);
    expect((await node.exec(["ip", "link", "show", "foreign9"])).code).toBe(0);
  });
});
