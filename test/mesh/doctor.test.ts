import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Check } from "../../src/doctor/finding.ts";
import { doctor, findingOf, run } from "../netns/support/doctor.ts";
import { ExaminedNode, FAULTS, testFaults } from "../netns/support/doctor-faults.ts";
import { PODVPN } from "../netns/support/hub.ts";
import { nodeAddress } from "../netns/support/mesh.ts";

let examined: ExaminedNode;
beforeAll(async () => {
  examined = await ExaminedNode.create();
});
afterAll(() => examined?.[Symbol.asyncDispose]());

describe("podvpn doctor on a node with the CNI plugins alone", () => {
  test("finds nothing bad, and tells what was measured", async () => {
    await examined.expectWell();
    const { findings } = await doctor(examined.node);
    const whats = (check: Check) => findings.filter((finding) => finding.check === check).map(({ what }) => what);
    expect(findings.filter(({ outcome }) => outcome === "warning")).toEqual([]);
    expect(whats("path MTU")).toEqual([expect.stringMatching(/packets of 1480 bytes pass whole/)]);
    expect(whats("encryption")).toEqual([
      expect.stringMatching(/of 2280 bytes that were answered podvpn0 counted \d+ bytes out and \d+ in/),
    ]);
    expect(whats("pods")).toContain(
      `from n1-here eth0 to 10.1.2.1 (${examined.mesh.at(2).publicKey}): 2 of 2 answered`,
    );
  });

  testFaults(
    FAULTS.filter(({ isMore }) => isMore !== true),
    () => examined,
  );

  test("finds what is answered in plain, and the command encrypts it", async () => {
    for (const [index, other] of [
      [1, 2],
      [2, 1],
    ] as const) {
      const plain = `nft delete table inet podvpn-mesh-podvpn0; ip route add 10.1.${other}.0/25 via ${nodeAddress(other)} dev eth0`;
      await examined.sh(plain, examined.mesh.at(index).node);
    }
    expect(await examined.here.pod.ping(examined.there.ip)).toBe(true); // no loss at all
    const diagnosis = await doctor(examined.node);
    const finding = findingOf(
      diagnosis,
      "encryption",
      /bytes were answered, and podvpn0 counted .* they went in plain/,
    );
    await using capture = await examined.mesh.testbed.capture("net 10.1.0.0/16");
    expect(await examined.here.pod.ping(examined.there.ip)).toBe(true);
    await capture.sync();
    expect(await capture.count()).toBeGreaterThan(0);
    await run(examined.node, finding);
    await examined.sh(`ip route del 10.1.1.0/25; ${PODVPN} doctor --mend podvpn0`, examined.mesh.at(2).node);
    await examined.expectWell();
    const before = await capture.count();
    expect(await examined.here.pod.ping(examined.there.ip)).toBe(true);
    await capture.sync();
    expect(await capture.count()).toBe(before);
  });

  test("finds a peer at which nobody listens, and says where to look", async () => {
    const { node: other } = examined.mesh.at(2);
    const pid = (await examined.sh("cat /run/podvpn/devices/podvpn0/wireguard-go.pid", other)).split(/\s/)[0];
    await examined.sh(`kill -STOP ${pid}`, other);
    const stopped = findingOf(await doctor(examined.node), "underlay", /bytes went out, and nothing came back/);
    expect(stopped.remedy).toMatch(/podvpn doctor/);
    await examined.sh(`kill -CONT ${pid}`, other);
    await examined.expectWell();
  });

  test("finds a damaged record", async () => {
    const file = "/run/podvpn/devices/podvpn1/device.json";
    await examined.sh(`mkdir -p /run/podvpn/devices/podvpn1; echo '{' >${file}`);
    const finding = findingOf(await doctor(examined.node), "agent", /podvpn1\/device\.json is not a record/);
    expect(finding.command).toBe(`rm ${file}`);
    await run(examined.node, finding);
    await examined.expectWell();
    await examined.sh("rmdir /run/podvpn/devices/podvpn1");
  });
});
