import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { chooseDataPlane } from "../../src/dataplane/choose.ts";
import { applyGuard, missingOfGuard, removeGuard } from "../../src/guard/apply.ts";
import { type Guard, type GuardRequest, planGuard } from "../../src/guard/plan.ts";
import { type Prefix, parsePrefix } from "../../src/net/prefix.ts";
import { openNetns } from "../../src/os/namespace.ts";
import type { Node } from "../../src/testbed/node.ts";
import { Testbed } from "../../src/testbed/testbed.ts";

let testbed: Testbed;
let node: Node;

beforeAll(async () => {
  testbed = await Testbed.create();
  node = await testbed.node("n1", { addresses: ["10.9.0.1/24", "fd00:9::1/64"] });
  await testbed.node("n2", { addresses: ["10.9.0.2/24", "fd00:9::2/64"] });
});
afterAll(async () => {
  await testbed[Symbol.asyncDispose]();
});

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new TypeError(text);
  return parsed;
}

function guardOf(overrides: Partial<GuardRequest>): Guard {
  return planGuard({
    name: "eth0",
    virtualSubnets: [prefix("10.173.0.0/16"), prefix("fd00:173::/64")],
    excluded: [],
    dataPlane: "userspace",
    refuse: "blackhole",
    ...overrides,
  });
}

/** The node stands for a pod here: it has an eth0 with a default route, and a guard does not care. */
async function guarded(guard: Guard, action: () => Promise<void>): Promise<void> {
  using netns = openNetns(`/proc/${node.pid}/ns/net`);
  await applyGuard(guard, netns);
  try {
    expect(await missingOfGuard(guard, netns)).toEqual([]);
    await action();
  } finally {
    await removeGuard(guard, netns);
  }
  expect(await missingOfGuard(guard, netns)).toHaveLength(
    guard.rules.length + guard.routes.length + guard.tables.length + guard.policies.length,
  );
}

async function sendEverything(): Promise<void> {
  for (const target of ["10.173.0.9", "fd00:173::9"]) {
    await node.exec(["ping", "-c", "1", "-W", "1", target], { check: false });
    // Bound to the device the kernel sends even without a route: only the filter or the policies stop this one.
    await node.exec(["ping", "-c", "1", "-W", "1", "-I", "eth0", target], { check: false });
  }
}

describe.each(["userspace", "kernel"] as const)("the guard for %s ESP", (dataPlane) => {
  test("lets nothing out for a virtual subnet, not even from a socket that is bound to eth0", async () => {
    await using capture = await testbed.capture("net 10.173.0.0/16 or net fd00:173::/64");
    await guarded(guardOf({ dataPlane }), sendEverything);
    await capture.sync();
    expect(await capture.packets()).toEqual([]);
  });

  test("is what stops it: without the guard the same packets are on the wire", async () => {
    await using capture = await testbed.capture("net 10.173.0.0/16 or net fd00:173::/64");
    await sendEverything();
    await capture.sync();
    expect(await capture.count()).toBeGreaterThan(0);
  });

  test("takes in nothing from a virtual subnet, neither at the virtual IP nor at the address of the link", async () => {
    const sender = testbed.nodes.get("n2");
    if (sender === undefined) throw new Error("no n2");
    await sender.exec(["ip", "address", "add", "10.173.0.7/32", "dev", "lo"]);
    await node.exec(["ip", "address", "add", "10.173.0.1/32", "dev", "eth0"]);
    await sender.exec(["ip", "route", "add", "10.173.0.1/32", "via", "10.9.0.1"]);
    await node.exec(["ip", "route", "add", "10.173.0.7/32", "via", "10.9.0.2"]);
    const ping = async (target: string) =>
      (await sender.exec(["ping", "-c", "1", "-W", "1", "-I", "10.173.0.7", target], { check: false })).code === 0;
    expect([await ping("10.9.0.1"), await ping("10.173.0.1")]).toEqual([true, true]);
    const received = async () =>
      (await node.exec(["nstat", "-asz", "IcmpInEchos"])).stdout.match(/IcmpInEchos\s+(\d+)/)?.[1];
    await guarded(guardOf({ dataPlane }), async () => {
      const before = await received();
      expect([await ping("10.9.0.1"), await ping("10.173.0.1")]).toEqual([false, false]);
      expect(await received()).toBe(before);
    });
    await node.exec(["ip", "route", "del", "10.173.0.7/32"]);
    await node.exec(["ip", "address", "del", "10.173.0.1/32", "dev", "eth0"]);
    await sender.exec(["ip", "route", "del", "10.173.0.1/32"]);
    await sender.exec(["ip", "address", "del", "10.173.0.7/32", "dev", "lo"]);
  });

  test("leaves an excluded prefix alone, also inside a full tunnel", async () => {
    const request = { dataPlane, virtualSubnets: [prefix("0.0.0.0/0")], excluded: [prefix("10.9.0.0/24")] };
    await guarded(guardOf(request), async () => {
      await node.exec(["ping", "-c", "1", "-W", "1", "10.9.0.2"]);
      const { code } = await node.exec(["ping", "-c", "1", "-W", "1", "10.8.0.2"], { check: false });
      expect(code).not.toBe(0);
    });
  });

  test("is idempotent, and is put in place again over one with other subnets", async () => {
    using netns = openNetns(`/proc/${node.pid}/ns/net`);
    await applyGuard(guardOf({ dataPlane, virtualSubnets: [prefix("10.174.0.0/16")] }), netns);
    await guarded(guardOf({ dataPlane }), async () => {
      await applyGuard(guardOf({ dataPlane }), netns);
      expect(await missingOfGuard(guardOf({ dataPlane }), netns)).toEqual([]);
    });
    await removeGuard(guardOf({ dataPlane, virtualSubnets: [prefix("10.174.0.0/16")] }), netns);
  });
});

/** Either alone stops everything: neither falls with the other. */
test.each([
  { name: "the policies are flushed, charon's among them", flush: ["ip", "xfrm", "policy", "flush"] as const },
  { name: "the filter is flushed", flush: ["nft", "flush", "ruleset"] as const },
])("the guard for kernel ESP lets nothing out, nor in, when $name", async ({ flush }) => {
  const sender = testbed.nodes.get("n2");
  if (sender === undefined) throw new Error("no n2");
  await sender.exec(["ip", "address", "add", "10.173.0.7/32", "dev", "lo"]);
  await node.exec(["ip", "route", "add", "10.173.0.7/32", "via", "10.9.0.2"]);
  await using capture = await testbed.capture("dst net 10.173.0.0/16 or dst net fd00:173::/64");
  await guarded(guardOf({ dataPlane: "kernel" }), async () => {
    await node.exec(flush);
    await sendEverything();
    const spoofed = ["ping", "-c", "1", "-W", "1", "-I", "10.173.0.7", "10.9.0.1"] as const;
    expect((await sender.exec(spoofed, { check: false })).code).not.toBe(0);
  });
  await capture.sync();
  expect(await capture.packets()).toEqual([]);
  await node.exec(["ip", "route", "del", "10.173.0.7/32"]);
  await sender.exec(["ip", "address", "del", "10.173.0.7/32", "dev", "lo"]);
});

test("a filter of the guard that has lost its rules is missed, though the table is there", async () => {
  const guard = guardOf({ dataPlane: "userspace" });
  using netns = openNetns(`/proc/${node.pid}/ns/net`);
  await guarded(guard, async () => {
    await node.exec(["nft", "flush", "chain", "inet", guard.tables[0]?.name ?? "", "out"]);
    expect(await missingOfGuard(guard, netns)).toEqual([
      expect.stringContaining("rules of the chain out of the nft table inet podvpn-"),
    ]);
  });
});

describe("the choice of the data plane", () => {
  test("asks the kernel by a real attempt: this one has no ESP, so auto is user space", async () => {
    using netns = openNetns(`/proc/${node.pid}/ns/net`);
    expect(await chooseDataPlane("auto", netns)).toBe("userspace");
    await expect(chooseDataPlane("kernel", netns)).rejects.toThrow(/kernel refuses ESP \(E[A-Z]+\)/);
  });
});
