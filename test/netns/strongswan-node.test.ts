import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RuntimeError } from "../../src/cni/runtime.ts";
import type { Node } from "../../src/testbed/node.ts";
import type { Snapshot } from "../../src/testbed/snapshot.ts";
import { Testbed } from "../../src/testbed/testbed.ts";
import { BUILT, conf } from "./support/cluster.ts";
import { expectUnchanged } from "./support/unchanged.ts";

// `attach: node` on a kernel that may not do it; where it does, test/lab shows that it works.

let testbed: Testbed;
let node: Node;
let before: Snapshot;
/** Whether this kernel has XFRM interfaces and ESP: by ip(8), which shares no code with us. */
let able: boolean;

beforeAll(async () => {
  testbed = await Testbed.create();
  node = await testbed.node("n1", { addresses: ["10.9.0.1/24"] });
  const attempts = [
    "ip link add try0 type xfrm if_id 7",
    "ip xfrm state add src 127.0.0.9 dst 127.0.0.9 proto esp spi 0x77 mode tunnel aead 'rfc4106(gcm(aes))' 0x1122334455667788990011223344556677889900 128",
  ];
  const results = await Promise.all(attempts.map((line) => node.exec(["sh", "-c", line], { check: false })));
  able = results.every(({ code }) => code === 0);
  await node.exec(["ip", "xfrm", "state", "flush"]);
  await node.exec(["ip", "link", "delete", "try0"], { check: false });
  const pod = await node.addPod("first"); // what only the first use of a node makes
  await pod.add(conf({ vpn: { timeout: "100ms" } }), BUILT).catch(() => undefined);
  await pod.remove();
  before = await node.snapshot();
});
afterAll(() => testbed?.[Symbol.asyncDispose]());

/** Without a hub: an ADD that got as far as asking one has all that it needs of the kernel. */
const NODE = conf({ cniVersion: "1.1.0", vpn: { attach: "node", timeout: "500ms" } });

const REFUSAL =
  /^vpn\.attach is "node", but the kernel (?:refuses ESP|makes no XFRM interface) \(\w+\); load .*, or set vpn\.attach to pod$/;

async function fault(call: Promise<unknown>): Promise<RuntimeError> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof RuntimeError) return error;
  throw error ?? new Error("succeeded");
}

describe("attach: node", () => {
  test("names what this kernel lacks, if it does, before anything is made", async () => {
    const pod = await node.addPod("refused");
    const error = await fault(pod.add(NODE, BUILT));
    await pod.remove();
    if (able) expect(error.code).toBe(104);
    else expect(error).toMatchObject({ code: 101, msg: expect.stringMatching(REFUSAL) });
    await expectUnchanged(node, before, /cni0|\/var\/lib\/cni/);
  });

  test("is told by STATUS, too", async () => {
    await using pod = await node.addPod("asked");
    const status = pod.runtime(BUILT).status(NODE);
    if (able) await status;
    else expect(await fault(status)).toMatchObject({ code: 50, msg: expect.stringMatching(REFUSAL) });
  });

  test("and ESP in user space exclude each other", async () => {
    await using pod = await node.addPod("contrary");
    const error = await fault(pod.add(conf({ vpn: { attach: "node", dataplane: "userspace" } }), BUILT));
    expect(error).toMatchObject({ code: 7, msg: expect.stringContaining('vpn.attach is "node", and vpn.dataplane') });
  });

  test("is nothing that DEL needs: a pod that never was, is gone", async () => {
    const pod = await node.addPod("never");
    await pod.del(NODE, BUILT);
    await pod.remove();
    await expectUnchanged(node, before, /cni0|\/var\/lib\/cni/);
  });
});
