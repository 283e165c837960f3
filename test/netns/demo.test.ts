import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { modes } from "../../src/demo/modes.ts";
import { PAYLOAD } from "../../src/demo/ping.ts";
import { tellWire } from "../../src/demo/story.ts";
import { Testbed } from "../../src/testbed/testbed.ts";
import { DIST } from "./support/cluster.ts";
import { DemoMachine, wideLines } from "./support/demo-machine.ts";
import { withoutProgram } from "./support/mounted.ts";

const DEMO = [`${DIST}/podvpn`, "demo"] as const;
const TIMEOUT = { timeout: 60_000 };

let machine: DemoMachine;
beforeAll(async () => {
  machine = await DemoMachine.create();
});
afterAll(() => machine[Symbol.asyncDispose]());

describe("the demo", () => {
  it("shows both plugins: all pods reach each other, encrypted only; what is killed leaks nothing, and nothing is left", async () => {
    const { stdout } = await machine.node.exec(DEMO, TIMEOUT);
    expect(wideLines(stdout)).toEqual([]);
    const [strongswan = "", wireguard = ""] = stdout.split(/^(?=strongswan: |wireguard: )/m);
    for (const story of [strongswan, wireguard]) {
      expect(story).not.toContain("lost");
      expect(story).toMatch(/encrypted \(.* [1-9]\d+ packets/);
      expect(story).toMatch(/plain \(.* 0 packets/);
      expect(story).toMatch(/what the pings carried +cannot be read/);
      expect(story).toContain("Plain packets on the wire all the while: 0");
      expect(story).toMatch(/rules, filters and files: 0$/m);
      expect(story).toMatch(/Taken down, nothing is left\. \d?\d\.\d s in all\./);
    }

    expect(strongswan.match(/^ {2}[abc][12] {3}node-[abc] +10\.173\.[\d.]+ +172\.17\.[\d.]+ +\d+ ms$/gm)).toHaveLength(
      6,
    );
    expect(strongswan.match(/ESP\(spi=/g)).toHaveLength(2);
    expect(strongswan).toMatch(/charon of a1 is killed\..*\n.* a1 to b1 +3 of 3 +0 of 3\n +b1 to a1 +3 of 3 +0 of 3\n/);
    expect(strongswan).toMatch(/CHECK of a1 .*\(code 108\):\n +the pod's charon does not run/);

    expect(wireguard.match(/^ {2}[abc][12] {3}node-[abc] +172\.17\.[\d.]+ +\d+ ms$/gm)).toHaveLength(6);
    expect(new Set(wireguard.match(/^ {2}node-[abc] .* [\w+/]{43}=$/gm)).size).toBe(3);
    expect(wireguard.match(/\.51820 > 10\.9\.0\.\d\.51820: UDP, length/g)).toHaveLength(2);
    expect(wireguard.match(/^ +\w\d to \w\d +3 of 3 +0 of 3$/gm)).toHaveLength(4);
    expect(wireguard).toMatch(/CHECK of a1 .*\(code 108\):\n.*(?:wireguard-go|podvpn0)/);
    expect(wireguard.match(/^ +\w\d to \w\d +3 of 3$/gm)).toHaveLength(4);
    await machine.nothingLeft();
  });

  it("says what is not as it should be, and fails", async () => {
    await using _noPing = await withoutProgram(machine.node, "/usr/bin/ping");
    const { code, stderr } = await machine.node.exec([...DEMO, "wireguard"], { ...TIMEOUT, check: false });
    expect(code).toBe(1);
    expect(stderr).toContain("wireguard: 30 pings from pod to pod got no answer\n");
    expect(stderr).toContain("wireguard: the wire carried no packets of pods in WireGuard\n");
    expect(stderr).toContain("wireguard: a1 to b1 had no traffic before the kill\n");
    expect(stderr).toContain("wireguard: a1 to b1 has no traffic again\n");
  });

  it("tells the error of a plugin in its own words, and takes everything down", async () => {
    await using _noBridge = await withoutProgram(machine.node, "/usr/lib/cni/bridge");
    const { code, stderr } = await machine.node.exec([...DEMO, "wireguard"], { ...TIMEOUT, check: false });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^\npodvpn demo: plugin wireguard: .*bridge.*\n$/);
  });

  it.each([
    ["strongswan", "INT", "Machines out of", 130],
    ["strongswan", "TERM", "Pods, by", 143],
    ["wireguard", "INT", "Every packet", 130],
    ["wireguard", "INT", "Ping by", 130],
    ["wireguard", "HUP", "Pings answered", 129],
    ["--keep", "INT", "wireguard: pods", 130],
  ])("with %j takes everything down on SIG%s at %j", async (argument, signal, moment, status) => {
    const demo = machine.node.spawn([...DEMO, argument]);
    await demo.line(new RegExp(moment), 60_000);
    await machine.node.exec(["pkill", `-${signal}`, "-o", "-f", DEMO.join(" ")]);
    expect(await demo.ended).toBe(`exit status ${status}`);
    expect(demo.lines.at(-1)).toBe(`podvpn demo: interrupted by SIG${signal}; everything is taken down`);
    await machine.nothingLeft();
  });

  it("is gone when it is killed", async () => {
    const demo = machine.node.spawn([...DEMO, "wireguard"]);
    await demo.line(/Pods, by/, 60_000);
    await machine.node.exec(["pkill", "-KILL", "-o", "-f", DEMO.join(" ")]);
    await demo.ended;
    await machine.nothingLeft();
  });

  it("stays up with --keep until --down, and the commands that it prints work", async () => {
    const { stdout } = await machine.node.exec([...DEMO, "--keep"], TIMEOUT);
    expect(wideLines(stdout)).toEqual([]);
    const [strongswan = "", wireguard = ""] = stdout.split(/^(?=\w+ stays up)/m).slice(1);
    const sh = async (line: string) => (await machine.node.exec(["sh", "-ec", line])).stdout;
    for (const [story, encrypted] of [
      [strongswan, "udp port 4500"],
      [wireguard, "udp port 51820"],
    ] as const) {
      const command = (pattern: RegExp) => pattern.exec(story)?.[0].trim() ?? "";
      const ping = `${command(/.* ping 1.*/)} -c 2`;
      expect(await sh(ping)).toContain("2 received");
      expect((await sh(command(/.* status/))).match(/node-a-a[12]/g)).toHaveLength(2);
      expect(await sh(`${command(/.* tcpdump .*/)} -c 1 '${encrypted}' & ${ping}; wait`)).toMatch(/ IP 10\.9\./);
    }
    expect((await sh(/.* hub leases/.exec(strongswan)?.[0] ?? "")).match(/10\.173\./g)).toHaveLength(6);
    expect((await sh(/.* wg show/.exec(wireguard)?.[0] ?? "")).match(/10\.9\.0\.\d:51820/g)).toHaveLength(2);

    const again = await machine.node.exec([...DEMO, "wireguard", "--keep"], { check: false });
    expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining("podvpn demo --down") });

    expect((await machine.node.exec([...DEMO, "strongswan", "--down"])).stdout).toMatch(
      /^taken down: strongswan \(.*node-c/,
    );
    expect((await machine.node.exec([...DEMO, "--down"])).stdout).toMatch(/^taken down: wireguard \(.*node-c/);
    await machine.nothingLeft();
    expect((await machine.node.exec([...DEMO, "--down"])).stdout).toBe("no demo is up\n");
  });
});

describe("the demo's look at the wire", () => {
  it.each(modes)(
    "of $plugin sees a packet of a pod, what it carries, and a question for a pod's address",
    async (mode) => {
      await using wire = await Testbed.create();
      await using capture = await wire.capture();
      const pods = mode.plugin === "wireguard" ? "172.17" : "10.173";
      const [one, other] = await Promise.all(
        [1, 2].map((index) => wire.node(`n${index}`, { addresses: [`10.9.0.${index}/24`, `${pods}.0.${index}/16`] })),
      );
      const pattern = Buffer.from(PAYLOAD).toString("hex");
      await one?.exec(["ping", "-c", "1", "-p", pattern, `${pods}.0.2`]);
      await other?.exec(["ping", "-c", "1", "-W", "0.1", `${pods}.7.7`], { check: false });
      const told: string[] = [];
      const wrong = await tellWire((text) => told.push(text), mode.wire, capture);
      expect(wrong).toContain("what pods sent could be read on the wire");
      expect(wrong).toContainEqual(expect.stringMatching(/^the wire carried \d+ plain packets$/));
      expect(await capture.packets(mode.wire.plain.filter)).toContainEqual(
        expect.stringContaining(`who-has ${pods}.7.7`),
      );
      expect(told.join("\n")).toContain(`ARP, Request who-has ${pods}.0.2`);
    },
  );
});
