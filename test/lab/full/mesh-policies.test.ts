import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Capture } from "../../../src/testbed/capture.ts";
import { echo, PLAIN_PAYLOAD } from "../../../src/testbed/traffic.ts";
import { AgentBed, PLAIN, podSubnet, podSubnet6 } from "../../netns/support/agent-bed.ts";
import { doctor, findingOf, run } from "../../netns/support/doctor.ts";
import { eventually } from "../../netns/support/eventually.ts";
import { installPlugins } from "../../netns/support/installed.ts";
import { type MeshPod, meshPod } from "../../netns/support/mesh-pod.ts";

// For a kernel that has ESP and XFRM interfaces; on any other all of it fails.

describe("IPsec between nodes whose policies somebody takes away", () => {
  let bed: AgentBed;
  let capture: Capture;
  let pods: MeshPod[];

  beforeAll(async () => {
    bed = await AgentBed.create(3, { drivers: ["ipsec"], ipsec: { dataplane: "kernel" } });
    pods = [];
    for (const { node, index } of bed.nodes) pods.push(await meshPod(node, index));
    for (const { pod } of pods) await echo(pod);
    await installPlugins(bed.at(1));
    capture = await bed.testbed.capture();
    await bed.startAll();
    await reached(2, 3);
  });
  afterAll(async () => {
    await capture?.[Symbol.asyncDispose]();
    await bed?.[Symbol.asyncDispose]();
  });

  const pod = (index: number) => {
    const found = pods[index - 1];
    if (found === undefined) throw new RangeError(`there is no pod ${index}`);
    return found;
  };

  /** Pods of these nodes, from that of the first one, in both families. */
  const reaches = async (index: number) => {
    const { ip, ip6 } = pod(index);
    return (await pod(1).pod.ping(ip)) && (await pod(1).pod.ping(ip6));
  };
  const reached = async (...indexes: readonly number[]) => {
    for (const index of indexes) await eventually(`pod ${index} is reached`, 40_000, () => reaches(index));
  };

  async function expectNothingPlain(): Promise<void> {
    await capture.sync();
    expect(await capture.packets(PLAIN)).toEqual([]);
    expect(await capture.carries(PLAIN_PAYLOAD)).toBe(false);
  }

  /** Those of the tunnel to the second node. */
  const deletions = [
    [podSubnet(1), podSubnet(2)],
    [podSubnet6(1), podSubnet6(2)],
  ].flatMap(([here, there]) => [
    `ip xfrm policy delete src ${here} dst ${there} dir out if_id 0x6d6573`,
    `ip xfrm policy delete src ${there} dst ${here} dir in if_id 0x6d6573`,
    `ip xfrm policy delete src ${there} dst ${here} dir fwd if_id 0x6d6573`,
  ]);

  test("lets nothing out in plain when all of them are flushed, and the agent has them back", async () => {
    const flush = "ip xfrm policy flush; ip xfrm policy | grep -c if_id || true"; // the agent may have them back at once
    expect((await bed.at(1).exec(["sh", "-ec", flush])).stdout.trim()).toBe("0");
    await eventually("the policies are back", 60_000, async () => {
      const { stdout } = await bed.at(1).exec(["ip", "xfrm", "policy"]);
      return [podSubnet(2), podSubnet6(3)].every((there) => stdout.includes(`dst ${there}`));
    });
    await reached(2, 3);
    await expectNothingPlain();
  });

  test("without an agent is found by podvpn doctor, for the peer that lacks them; and the command mends it", async () => {
    await bed.stop(1, "SIGKILL");
    await bed.at(1).exec(["sh", "-ec", deletions.join("\n")]);
    expect(await reaches(2)).toBe(false);
    await reached(3);
    const diagnosis = await doctor(bed.at(1));
    const lacking = diagnosis.bad.filter(({ check }) => check === "ESP");
    expect(lacking.map(({ what }) => what)).toEqual([expect.stringMatching(/^n2: .* lack policies/)]);
    await run(bed.at(1), findingOf(diagnosis, "ESP", /lack policies/));
    await reached(2, 3);
    expect((await doctor(bed.at(1))).bad.filter(({ check }) => check === "ESP" || check === "tunnel")).toEqual([]);
    await expectNothingPlain();
  });
});
