import { readFileSync } from "node:fs";
import { afterEach, describe, expect, test } from "vitest";
import type { Driver } from "../../src/registry/node-record.ts";
import { echo, Sender } from "../../src/testbed/traffic.ts";
import { AgentBed, meshAddress, PLAIN } from "../netns/support/agent-bed.ts";
import { eventually } from "../netns/support/eventually.ts";

let bed: AgentBed;
afterEach(() => bed[Symbol.asyncDispose]());

/** Three nodes that are joined. */
async function start(driver: Driver = "wireguard"): Promise<void> {
  bed = await AgentBed.create(3, { drivers: [driver] });
  await bed.startAll();
}

/** Datagrams a second, between the node that rotates and another; and between all others. */
const RATE = 1000;
const OTHERS = 100;
const keyFile = (driver: Driver = "wireguard") => `/var/lib/podvpn/mesh/${driver}.key`;
const published = (index: number) => /publicKey: (\S+)/.exec(readFileSync(bed.file(index), "utf8"))?.[1];

/** Streams from each of these nodes to the next, which must lose nothing. */
async function streams(pairs: readonly (readonly [number, number])[]): Promise<readonly Sender[] & AsyncDisposable> {
  await using undo = new AsyncDisposableStack();
  for (const to of new Set(pairs.map(([, to]) => to))) undo.use(await echo(bed.at(to)));
  const senders: Sender[] = [];
  for (const [from, to] of pairs)
    senders.push(undo.use(await Sender.start(bed.at(from), meshAddress(to), pairs[0]?.[0] === from ? RATE : OTHERS)));
  for (const sender of senders) await sender.answers(100, 10_000);
  const owned = undo.move();
  return Object.assign(senders, { [Symbol.asyncDispose]: () => owned.disposeAsync() });
}

/** What of all streams together got lost, and no full queue has dropped. */
async function lostOf(senders: readonly Sender[]): Promise<number> {
  const counts = await Promise.all(senders.map((sender) => sender.answers(1.5 * OTHERS, 20_000)));
  return Math.max(0, counts.reduce((sum, { lost }) => sum + lost, 0) - (await bed.dropped()));
}

describe("podvpn rotate", () => {
  test.each(["wireguard", "ipsec"] as const)(
    "gives a node new keys of %s without a packet lost, and nothing leaves in plain",
    async (driver) => {
      await start(driver);
      const [oldKey, oldFile] = [published(1), await bed.at(1).readFile(keyFile(driver))];
      const capture = await bed.testbed.capture();
      await using senders = await streams([
        [1, 2],
        [2, 1],
        [2, 3],
      ]);
      const { code, stdout } = await bed.podvpn(1, "rotate");
      expect(stdout).toMatch(/^the keys of this node are being changed\n(waits for .*\n)+the new keys count; .*\n$/);
      expect(code).toBe(0);
      expect(published(1)).not.toBe(oldKey);
      expect(await bed.at(1).readFile(keyFile(driver))).not.toBe(oldFile);
      expect((await bed.at(1).exec(["ls", "/var/lib/podvpn/mesh"])).stdout).not.toContain("next");
      expect(await lostOf(senders)).toBe(0);
      expect(await capture.packets(PLAIN)).toEqual([]);
      await capture.stop();
      await bed.joined(1, 2, 3);
      for (const { node } of bed.nodes) {
        await eventually("the second device is gone", 30_000, async () => {
          return (await node.exec(["ip", "link", "show", "podvpn1"], { check: false })).code !== 0;
        });
      }
    },
  );

  test("goes on when the agent is killed in the middle of it", async () => {
    await start();
    const oldKey = published(1);
    await using senders = await streams([[1, 2]]);
    expect((await bed.podvpn(1, "rotate", "--no-wait")).code).toBe(0);
    await eventually("the next key is published", 10_000, () =>
      readFileSync(bed.file(1), "utf8").includes("nextPublicKey"),
    );
    await bed.stop(1, "SIGKILL");
    bed.start(1);
    await eventually("the new key counts", 60_000, () => {
      return published(1) !== oldKey && !readFileSync(bed.file(1), "utf8").includes("nextPublicKey");
    });
    expect(await lostOf(senders)).toBe(0);
    await bed.joined(1, 2, 3);
  });

  test("of two nodes at once is done one after the other", async () => {
    await start();
    const before = [published(1), published(2)];
    const results = await Promise.all([bed.podvpn(1, "rotate"), bed.podvpn(2, "rotate")]);
    expect(results.map(({ code, stdout }) => [code, stdout.split("\n").at(-2)])).toEqual(
      [0, 0].map((code) => [code, expect.stringContaining("the new keys count")]),
    );
    expect([published(1), published(2)].some((key) => before.includes(key))).toBe(false);
    await bed.joined(1, 2, 3);
  });

  test("is done by itself when keys are old enough", async () => {
    await start();
    const oldKey = published(1);
    await bed.at(1).exec(["touch", "-d", "2 hours ago", keyFile()]);
    await bed.configure(1, { rotateEvery: "1h" });
    await eventually("the new key counts", 60_000, () => published(1) !== oldKey);
    await bed.joined(1, 2, 3);
  });

  test("says so where no agent runs", async () => {
    bed = await AgentBed.create(1);
    expect(await bed.podvpn(1, "rotate")).toMatchObject({ code: 1, stderr: expect.stringContaining("no agent runs") });
  });
});
