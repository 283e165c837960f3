import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { doctor, findingOf, run } from "../../netns/support/doctor.ts";
import { ExaminedNode, FAULTS, testFaults } from "../../netns/support/doctor-faults.ts";

let examined: ExaminedNode;
beforeAll(async () => {
  examined = await ExaminedNode.create();
});
afterAll(() => examined?.[Symbol.asyncDispose]());

describe("podvpn doctor on a node with the CNI plugins alone", () => {
  testFaults(
    FAULTS.filter(({ isMore }) => isMore === true),
    () => examined,
  );

  test("finds a path that loses large packets, and the command mends it", async () => {
    await using cleanup = new AsyncDisposableStack();
    cleanup.defer(() => examined.mesh.testbed.setMtu(1500));
    for (const one of examined.mesh.nodes) {
      cleanup.defer(() => examined.sh("ip link set podvpn0 mtu 1420", one.node).then(() => undefined));
    }
    await examined.mesh.testbed.setMtu(1400); // the switch loses what is larger, and says nothing
    for (const one of examined.mesh.nodes) await examined.sh("ip link set eth0 mtu 1500", one.node);
    const large = async () => {
      const argv = ["ping", "-n", "-c", "1", "-W", "1", "-s", "1350", examined.there.ip] as const; // 1378 bytes, which may be cut
      return (await examined.here.pod.exec([...argv, "-M", "dont"], { check: false })).code === 0;
    };
    expect(await large()).toBe(false);
    // Each node is told of what it sends itself: the answers are as large.
    for (const one of examined.mesh.nodes) {
      const finding = findingOf(await doctor(one.node), "path MTU", /packets of up to 1(?:39[7-9]|400) bytes pass/);
      expect(finding.command).toMatch(/^ip link set podvpn0 mtu 13(?:3[7-9]|40)$/);
      await run(one.node, finding);
    }
    await examined.expectWell();
    expect(await large()).toBe(true);
  });
});
