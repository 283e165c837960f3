import { connect, type IkeSa } from "vici";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { DataPlane } from "../../../src/ipsec/strongswan-conf.ts";
import type { Capture } from "../../../src/testbed/capture.ts";
import { patience } from "../../../src/testbed/patience.ts";
import { echo, PLAIN_PAYLOAD } from "../../../src/testbed/traffic.ts";
import { DriverBed } from "./driver-bed.ts";
import type { DriverNode } from "./driver-node.ts";
import { reaches, Streams } from "./driver-suite.ts";
import { eventually } from "./eventually.ts";
import { IpsecAgents } from "./ipsec-agents.ts";
import { MESH_KEY } from "./ipsec-driver.ts";
import { ipsecKind, MESH_CHARON } from "./ipsec-kind.ts";
import { PLAIN } from "./mesh.ts";

/** What holds when a node changes its IPsec key, whoever does the ESP. @param rounds How often each node does. */
export function ipsecRotationSuite(dataPlane: DataPlane, rounds: number): void {
  let bed: DriverBed;
  let capture: Capture;
  const [one, two] = [() => bed.at(1), () => bed.at(2)];

  beforeAll(async () => {
    bed = await DriverBed.create(ipsecKind(dataPlane), 3);
    capture = await bed.testbed.capture(PLAIN);
    for (const { pod } of bed.nodes.values()) await echo(pod);
    await bed.applyAll();
    for (const to of [two(), bed.at(3)]) await reaches(one(), to);
    await reaches(two(), bed.at(3));
  }, patience(60_000));
  afterAll(async () => {
    await capture?.[Symbol.asyncDispose]();
    await bed?.[Symbol.asyncDispose]();
  });

  test(
    "as often as it does, none of 1,000 packets a second is lost in either direction, and each tunnel is another one",
    async () => {
      await using agents = new IpsecAgents(bed);
      await agents.atRest();
      await using streams = await Streams.start([
        [one(), two()],
        [two(), one()],
        [two(), bed.at(3)],
      ]);
      for (let round = 0; round < rounds; round += 1) {
        // Of two nodes the one that is to begin tunnels, and the one that is not.
        for (const node of [one(), two()]) {
          const tunnels = await tunnelsOf(node);
          const key = await agents.rotate(node);
          expect(key).not.toBe("");
          const now = await tunnelsOf(node);
          expect(now.length).toBe(2);
          expect(now.filter((tunnel) => tunnels.includes(tunnel))).toEqual([]);
        }
      }
      await streams.expectNothingLost();
      await capture.sync();
      expect(await capture.packets(PLAIN)).toEqual([]);
      expect(await capture.carries(PLAIN_PAYLOAD)).toBe(false);
    },
    patience(120_000),
  );

  test(
    "the old key is of no use any more",
    async () => {
      const old = await one().node.readFile(MESH_KEY);
      {
        await using agents = new IpsecAgents(bed);
        await agents.rotate(one());
      }
      const fresh = await one().node.readFile(MESH_KEY);
      expect(fresh).not.toBe(old);
      await one().node.writeFile(MESH_KEY, old, 0o600);
      await one().restart();
      await one().apply(bed.wanted(one()));
      // Its peers go on by the tunnels of before, and refuse the new ones.
      const { stdout } = await eventuallyLogged(two(), /constraint|no trusted|AUTH_FAILED/);
      expect(stdout).toMatch(/constraint|no trusted|AUTH_FAILED/);
      expect(await one().pod.ping(two().ips[0] ?? "")).toBe(true);
      await one().node.writeFile(MESH_KEY, fresh, 0o600);
      await one().restart();
      await using agents = new IpsecAgents(bed);
      await agents.atRest();
      await reaches(one(), two());
    },
    patience(60_000),
  );

  async function eventuallyLogged(node: DriverNode, pattern: RegExp) {
    const read = () => node.node.exec(["cat", `${MESH_CHARON}/charon.log`]);
    await eventually(`charon of ${node.record.name} says ${pattern}`, 20_000, async () => {
      return pattern.test((await read()).stdout);
    });
    return await read();
  }
}

/** The tunnels of a node, without those that are about to end: the SPIs by which it receives. */
async function tunnelsOf({ node }: DriverNode): Promise<string[]> {
  await using vici = await connect({ path: node.path(`${MESH_CHARON}/vici`), timeout: patience(10_000) });
  const sas: IkeSa[] = [];
  for await (const sa of vici.listSas()) sas.push(sa);
  return sas
    .filter(({ state }) => state === "ESTABLISHED")
    .flatMap(({ childSas }) => childSas.flatMap(({ spiIn }) => spiIn ?? []));
}
