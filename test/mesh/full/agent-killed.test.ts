import { afterEach, describe, expect, test } from "vitest";
import { AgentBed, PLAIN } from "../../netns/support/agent-bed.ts";
import { DIST } from "../../netns/support/cluster.ts";
import { eventually } from "../../netns/support/eventually.ts";
import { expectUnchanged } from "../../netns/support/unchanged.ts";

let bed: AgentBed;
afterEach(() => bed[Symbol.asyncDispose]());

/** `bundle-faults.cjs` dies after its PODVPN_KILL_AFTER-th effect (src/os/effect.ts). */
const FAULTY = ["bash", "-c", `exec -a podvpn "${process.execPath}" "${DIST}/bundle-faults.cjs" "$@"`, "--"] as const;
const EFFECTS = "/opt/podvpn-test/effects";

/** Of every so many steps the agent is started again; after the others the node leaves at once. */
const AGAIN = 6;

/** Takes the node out of the mesh, and podvpn off the node. */
async function goes(): Promise<void> {
  for (const args of [["agent", "--leave"], ["uninstall"]]) {
    expect(await bed.podvpn(1, ...args), args.join(" ")).toMatchObject({ code: 0, stderr: "" });
  }
}

describe.each(["wireguard", "ipsec"] as const)("an agent with %s that is killed at any step of its start", (driver) => {
  test("leaves nothing behind, or is finished by the next one; and nothing is plain", {
    timeout: 900_000,
  }, async () => {
    bed = await AgentBed.create(2, { drivers: [driver] });
    bed.start(2);
    const node = bed.at(1);
    await node.writeFile(EFFECTS, "");
    const before = await node.snapshot();
    await using capture = await bed.testbed.capture(PLAIN);

    bed.startBy(FAULTY, 1, { PODVPN_EFFECTS: EFFECTS });
    await bed.joined(1, 2);
    const count = (await node.readFile(EFFECTS)).split("\n").length - 1;
    await node.writeFile(EFFECTS, "");
    expect(count).toBeGreaterThan(20);
    await bed.stop(1, "SIGKILL");
    await goes();
    await expectUnchanged(node, before);

    for (let step = 1; step <= count; step += 1) {
      const agent = bed.startBy(FAULTY, 1, { PODVPN_KILL_AFTER: String(step) });
      expect(await agent.ended, `after step ${step}`).toBe("killed by SIGKILL");
      if (step % AGAIN === 0) {
        bed.start(1);
        await bed.joined(1, 2);
        await eventually(`after step ${step} pings pass`, 20_000, () => bed.pings(1, 2));
        await bed.stop(1);
      }
      await goes();
      await expectUnchanged(node, before);
    }
    await capture.sync();
    expect(await capture.packets(PLAIN)).toEqual([]);
  });
});
