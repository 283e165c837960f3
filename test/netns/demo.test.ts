import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Node } from "../../src/testbed/node.ts";
import { diffSnapshots, type Snapshot } from "../../src/testbed/snapshot.ts";
import { Testbed } from "../../src/testbed/testbed.ts";
import { DIST } from "./support/cluster.ts";

const DEMO = [`${DIST}/podvpn`, "demo"] as const;

// The demo runs on a machine of a testbed: all that it could leave behind is then in that machine's snapshot, and
// demos that run on the real one at the same time are not seen.
let testbed: Testbed;
let machine: Node;
let before: Snapshot;

beforeAll(async () => {
  testbed = await Testbed.create();
  machine = await testbed.node("machine", { addresses: ["10.9.0.1/24"] });
  before = await machine.snapshot();
});
afterAll(() => testbed[Symbol.asyncDispose]());

/** The processes of a namespace end before its process 1 does, but bash reaps what unshare(1) leaves a moment later. */
async function nothingLeft(): Promise<void> {
  await expect.poll(async () => diffSnapshots(before, await machine.snapshot())).toEqual([]);
}

describe("the demo", () => {
  it("shows that all pods reach each other, encrypted only, and leaves nothing", async () => {
    const { stdout } = await machine.exec(DEMO, { timeout: 60_000 });
    expect(stdout.split("\n").filter((line) => line.length > 80)).toEqual([]);
    expect(stdout.match(/^ {2}[abc][12] {3}node-[abc] +172\.17\.\d\.\d +10\.173\.\d+\.\d+ +\d+ ms$/gm)).toHaveLength(6);
    expect(stdout).not.toContain("lost");
    expect(stdout).toMatch(/encrypted .* [1-9]\d+ packets/);
    expect(stdout).toMatch(/plain \(.* 0 packets/);
    expect(stdout.match(/ESP\(spi=/g)).toHaveLength(2);
    expect(stdout).toMatch(/before +3 of 3.*after +0 of 3.*after +0 of 3.*plain on the wire +0 packets/s);
    expect(stdout).toContain("left: 0");
    expect(stdout).toMatch(/Taken down, nothing is left\. \d?\d\.\d s in all\./);
    await nothingLeft();
  });

  it.each([
    ["INT", "Machines out of", 130],
    ["INT", "From now on", 130],
    ["TERM", "Pods, by", 143],
    ["INT", "Ping over", 130],
    ["HUP", "The charon of", 129],
  ])("takes everything down on SIG%s at %j", async (signal, moment, status) => {
    const demo = machine.spawn(DEMO);
    await demo.line(new RegExp(moment), 60_000);
    await machine.exec(["pkill", `-${signal}`, "-o", "-f", DEMO.join(" ")]);
    expect(await demo.ended).toBe(`exit status ${status}`);
    expect(demo.lines.at(-1)).toBe(`podvpn demo: interrupted by SIG${signal}; everything is taken down`);
    await nothingLeft();
  });

  it("is gone when it is killed", async () => {
    const demo = machine.spawn(DEMO);
    await demo.line(/Pods, by/, 60_000);
    await machine.exec(["pkill", "-KILL", "-o", "-f", DEMO.join(" ")]);
    await demo.ended;
    await nothingLeft();
  });

  it("stays up with --keep until --down, and the commands that it prints work", async () => {
    const { stdout } = await machine.exec([...DEMO, "--keep"], { timeout: 60_000 });
    expect(stdout.split("\n").filter((line) => line.length > 80)).toEqual([]);
    const command = (pattern: RegExp) => pattern.exec(stdout)?.[0].trim() ?? "";
    const sh = async (line: string) => (await machine.exec(["sh", "-ec", line])).stdout;
    expect(await sh(`${command(/.* ping 10.*/)} -c 2`)).toContain("2 received");
    expect((await sh(command(/.* hub leases/))).match(/10\.173\./g)).toHaveLength(6);
    expect(
      await sh(`${command(/.* tcpdump .*/)} -c 1 'udp port 4500' & ${command(/.* ping 10.*/)} -c 2; wait`),
    ).toContain("ESP");

    const again = await machine.exec([...DEMO, "--keep"], { check: false });
    expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining("podvpn demo --down") });

    expect((await machine.exec([...DEMO, "--down"])).stdout).toMatch(/^taken down: .*node-c/);
    await nothingLeft();
    expect((await machine.exec([...DEMO, "--down"])).stdout).toBe("no demo is up\n");
  });

  it("refuses contradictory options", async () => {
    expect(await machine.exec([...DEMO, "--keep", "--down"], { check: false })).toMatchObject({ code: 2 });
  });
});
