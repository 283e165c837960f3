import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { addLink } from "../../src/netlink/links.ts";
import type { Netlink } from "../../src/netlink/netlink.ts";
import { openRoute, openXfrm } from "../../src/netlink/open.ts";
import { addPolicy, ensureNoPolicy, listPolicies, listStates } from "../../src/netlink/xfrm.ts";
import { ensureNoState, removeState, removeXfrmOf } from "../../src/netlink/xfrm-states.ts";
import { inNetns } from "../../src/os/namespace.ts";
import { BareNetns } from "./support/bare-netns.ts";
import { prefix } from "./support/hub.ts";

// In a namespace without a name; `ip` is the judge. A kernel without ESP can still reserve an SPI, which makes a state.

let bare: BareNetns;
let nl: Netlink;
let xfrm: Netlink;

beforeEach(async () => {
  bare = await BareNetns.create();
  nl = inNetns(bare.netns, openRoute);
  xfrm = inNetns(bare.netns, openXfrm);
});

afterEach(async () => {
  nl.close();
  xfrm.close();
  await bare[Symbol.asyncDispose]();
});

function run(command: string): string {
  return bare.shell(command);
}

const OUT = { direction: "out", src: prefix("10.173.0.1/32"), dst: prefix("10.173.0.0/16") } as const;

describe("security associations", () => {
  test("of both families are removed, each alone; one that is gone is ESRCH, or fine", async () => {
    run("ip xfrm state allocspi src 10.9.0.1 dst 10.9.0.254 proto esp reqid 7 mode tunnel min 4096 max 4200");
    run("ip xfrm state allocspi src fd00::1 dst fd00::fe proto esp reqid 8 mode tunnel min 4096 max 4200");
    const [first, second] = await listStates(xfrm);
    if (first === undefined || second === undefined) throw new TypeError("two states were made");
    await removeState(xfrm, first);
    expect(run("ip xfrm state")).toContain(`spi 0x${second.spi.toString(16).padStart(8, "0")}`);
    expect(run("ip xfrm state | grep -c spi").trim()).toBe("1");
    await expect(removeState(xfrm, first)).rejects.toMatchObject({ errno: "ESRCH" });
    expect(await ensureNoState(xfrm, first)).toBe(false);
    expect(await ensureNoState(xfrm, second)).toBe(true);
    expect(run("ip xfrm state")).toBe("");
  });
});

describe("policies of XFRM interfaces", () => {
  test("differ by its number, and are removed with it alone", async () => {
    const policy = { ...OUT, action: "block", priority: 7 } as const;
    for (const ifId of [0x1000_0001, 0x1000_0002]) await addPolicy(xfrm, { ...policy, ifId });
    await addPolicy(xfrm, policy);
    expect(
      run("ip xfrm policy")
        .match(/if_id \S+/g)
        ?.sort(),
    ).toEqual(["if_id 0x10000001", "if_id 0x10000002"]);
    expect(await ensureNoPolicy(xfrm, { ...OUT, ifId: 0x1000_0001 })).toBe(true);
    expect(await ensureNoPolicy(xfrm, { ...OUT, ifId: 0x1000_0001 })).toBe(false);
    const ids = (await listPolicies(xfrm)).map(({ ifId }) => ifId);
    expect(ids).toHaveLength(2);
    expect(ids).toEqual(expect.arrayContaining([0x1000_0002, undefined]));
  });

  test("all of one interface go at once, and no others", async () => {
    const policy = { action: "block", priority: 7 } as const;
    for (const ifId of [1, 2]) {
      for (const direction of ["in", "out", "fwd"] as const)
        await addPolicy(xfrm, { ...OUT, ...policy, direction, ifId });
    }
    await addPolicy(xfrm, { ...OUT, ...policy });
    await removeXfrmOf(xfrm, (ifId) => ifId === 1);
    expect(run("ip xfrm policy").match(/if_id \S+/g)).toEqual(["if_id 0x2", "if_id 0x2", "if_id 0x2"]);
    expect(await listPolicies(xfrm)).toHaveLength(4);
  });
});

test("an XFRM interface of a kernel that has none is refused as such, or made with its number", async () => {
  const made = await addLink(nl, { kind: "xfrm", name: "pvx1", ifId: 0x1000_0001 }).then(
    () => run("ip -d link show pvx1"),
    (error: { readonly errno?: string }) => error.errno,
  );
  expect(made === "ENOTSUP" || /if_id 0x10000001/.test(String(made)), String(made)).toBe(true);
});
