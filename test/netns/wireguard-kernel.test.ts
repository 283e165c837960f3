import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { addLink } from "../../src/netlink/links.ts";
import type { Netlink } from "../../src/netlink/netlink.ts";
import { openRoute } from "../../src/netlink/open.ts";
import { inNetns, type Netns, openNetns } from "../../src/os/namespace.ts";
import type { Node } from "../../src/testbed/node.ts";
import { Testbed } from "../../src/testbed/testbed.ts";
import { kernelRefusal, openKernel, removeKernel } from "../../src/wireguard/kernel.ts";

// What shows on every kernel; the suite of devices needs one that has WireGuard, and is in test/lab.

describe("the kernel that is asked for WireGuard", () => {
  let testbed: Testbed;
  let node: Node;
  let netns: Netns;
  let nl: Netlink;

  beforeAll(async () => {
    testbed = await Testbed.create();
    node = await testbed.node("n1", { addresses: ["10.9.0.1/24"] });
    netns = openNetns(`/proc/${node.pid}/ns/net`);
    nl = inNetns(netns, openRoute);
  });
  afterAll(async () => {
    nl.close();
    netns[Symbol.dispose]();
    await testbed[Symbol.asyncDispose]();
  });

  test("refuses what it refuses iproute2, and nothing has been made", async () => {
    const links = (await node.exec(["ip", "-o", "link"])).stdout;
    // The sockets are opened before the first await: they are the node's.
    const answer = await inNetns(netns, kernelRefusal);
    expect((await node.exec(["ip", "-o", "link"])).stdout).toBe(links);
    const { code } = await node.exec(["ip", "link", "add", "probe", "type", "wireguard"], { check: false });
    if (code === 0) await node.exec(["ip", "link", "delete", "probe"]);
    expect(answer === undefined).toBe(code === 0);
    expect(answer ?? "ENOTSUP").toBe("ENOTSUP");
  });

  test("has no device of ours in a link of another kind, which stays", async () => {
    await addLink(nl, { kind: "bridge", name: "podvpn9", group: 174 });
    expect(await openKernel("podvpn9", netns)).toBeUndefined();
    await removeKernel("podvpn9", netns);
    expect((await node.exec(["ip", "link", "show", "podvpn9"])).code).toBe(0);
    expect(await openKernel("nobody9", netns)).toBeUndefined();
    await removeKernel("nobody9", netns);
  });
});
