import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { kinds } from "../../src/demo/mesh/kind.ts";
import { PATTERN } from "../../src/demo/ping.ts";
import { tellWire } from "../../src/demo/story.ts";
import type { Node } from "../../src/testbed/node.ts";
import { SHARED_DIRECTORY } from "../../src/testbed/shared.ts";
import { diffSnapshots, type Snapshot } from "../../src/testbed/snapshot.ts";
import { Testbed } from "../../src/testbed/testbed.ts";
import { DIST } from "../netns/support/cluster.ts";
import { withoutProgram } from "../netns/support/mounted.ts";

const DEMO = [`${DIST}/podvpn`, "demo", "mesh"] as const;
/** Of the demo, on a machine with several times as much to do. */
const TIMEOUT = { timeout: 300_000 };
/** Of a test with a whole demo in it. */
const LONG = 400_000;

// On a machine of a testbed, as test/netns/demo.test.ts: all that it could leave behind is in that machine's snapshot.
let testbed: Testbed;
let machine: Node;
let before: Snapshot;
let sharedBefore: string;

beforeAll(async () => {
  testbed = await Testbed.create();
  machine = await testbed.node("machine", { addresses: ["10.9.0.1/24"] });
  before = await machine.snapshot();
  sharedBefore = await shared();
});
afterAll(() => testbed[Symbol.asyncDispose]());

/** What the machine has where the demo's nodes have the directory that they share. */
async function shared(): Promise<string> {
  return (await machine.exec(["ls", "-A", SHARED_DIRECTORY])).stdout;
}

/** The processes of a namespace end before its process 1 does, but bash reaps what unshare(1) leaves a moment later. */
async function nothingLeft(): Promise<void> {
  await expect.poll(async () => diffSnapshots(before, await machine.snapshot())).toEqual([]);
  expect(await shared()).toBe(sharedBefore);
}

/** Lines that a terminal of 80 columns would break. */
function wideLines(text: string): string[] {
  return text.split("\n").filter((line) => line.length > 80);
}

async function withoutPing<Result>(act: () => Promise<Result>): Promise<Result> {
  await using _noPing = await withoutProgram(machine, "/usr/bin/ping");
  return await act();
}

/** The stories of both drivers, in their order. */
function storiesOf(stdout: string): readonly [string, string] {
  const [wireguard = "", ipsec = ""] = stdout.split(/^(?=mesh, )/m);
  expect(wireguard).toMatch(/^mesh, WireGuard: /);
  expect(ipsec).toMatch(/^mesh, IPsec: /);
  return [wireguard, ipsec];
}

/** What a step expected and saw. */
function step(story: string, number: number): string {
  const found = story.split(/^(?=\d+\. )/m).find((part) => part.startsWith(`${number}. `));
  return found ?? `there is no step ${number}`;
}

/** What all nodes are on the node that looks, by its `podvpn status` in this step: the names and states of its peers. */
function peersIn(text: string): (string | undefined)[][] {
  return [...text.matchAll(/^(node-\w) +10\.9\.0\.\d:\d+ +(\w+) /gm)].map(([, name, state]) => [name, state]);
}

describe("the demo of the mesh", () => {
  it(
    "shows with both drivers that nodes find each other, join, change keys and report one that is cut off, without a ping lost",
    async () => {
      const { stdout, stderr, code } = await machine.exec(DEMO, { ...TIMEOUT, check: false });
      expect({ code, stderr }, stdout).toEqual({ code: 0, stderr: "" });
      expect(wideLines(stdout)).toEqual([]);
      const stories = storiesOf(stdout);
      for (const [index, story] of stories.entries()) {
        const driver = ["wireguard", "ipsec"][index];
        const plugin = ["wireguard", "bridge"][index];
        expect(story).toContain(`    drivers: [${driver}]\n`);
        expect(step(story, 1)).toMatch(/seen +all 12 ends of tunnels are up, after \d+\.\d s\n/);
        expect(step(story, 2)).toMatch(/seen +12 streams of pings, by IPv4 and by IPv6, are answered\n/);
        expect(step(story, 2)).toContain(`the plugin \`${plugin}\` called as a container runtime`);
        expect(
          step(story, 2).match(/^ {2}[abcd]1 +node-[abcd] +10\.101\.\d+\.2 +fd00:101:0:\w+::2 +\d+ ms$/gm),
        ).toHaveLength(4);
        expect(step(story, 3)).toMatch(/seen +node-e is up on all after \d+\.\d s; 0 of [1-9]\d+ pings lost\n/);
        expect(step(story, 4)).toMatch(/seen +20 streams of pings are answered\n/);
        const healthy = step(story, 5);
        expect(healthy).toMatch(/^node-a# podvpn status\nnode node-a: podvpn /m);
        expect(peersIn(healthy)).toEqual(["b", "c", "d", "e"].map((letter) => [`node-${letter}`, "up"]));
        expect(healthy).toMatch(/^healthy\n\[exit status 0\]$/m);
        expect(healthy).toMatch(/^node-a# podvpn graph\n5 nodes, 10 links: 10 (?:wireguard|ipsec); 4 up$/m);
        expect(step(story, 6)).toMatch(/^node-b# podvpn rotate\nthe keys of this node are being changed\n/m);
        expect(step(story, 6)).toMatch(/seen +…(\S+) has become …(?!\1)\S+ after [\d.]+ s; 0 of [1-9]\d+ pings lost\n/);
        const reported = step(story, 7);
        expect(reported).toMatch(/seen +node-d is down for all others after [0-4]\.\d s; 0 of [1-9]\d+ pings lost\n/);
        expect(peersIn(reported)).toContainEqual(["node-d", "down"]);
        expect(reported).toMatch(/^NOT HEALTHY: 1 of 4 peers\n\[exit status 1\]$/m);
        expect(step(story, 8)).toMatch(/seen +it is no longer down for any, after [\d.]+ s; all pings are answered\n/);
        expect(step(story, 9)).toMatch(/seen +5 of 5 have left; left behind: nothing\n/);
        expect(story).toMatch(/^ {2}encrypted \(.* [1-9]\d{3,} packets$/m);
        expect(story).toMatch(/^ {2}plain \(10\.101\.0\.0\/16, fd00:101::\/48\) +0 packets$/m);
        expect(story).toMatch(/^ {2}else .* 0 packets$/m);
        expect(story).toMatch(/what the pings carried +cannot be read/);
        expect(story).toMatch(/Taken down, nothing is left\. \d+\.\d s in all\./);
      }
      expect(stories[0].match(/\.51820 > 10\.9\.0\.\d\.51820: UDP, length/g)).toHaveLength(2);
      expect(stories[1].match(/ESP\(spi=/g)).toHaveLength(2);
      await nothingLeft();
    },
    LONG,
  );

  it(
    "says what did not come, goes on with the other driver, and fails",
    async () => {
      const { code, stdout, stderr } = await withoutPing(() => machine.exec(DEMO, { ...TIMEOUT, check: false }));
      expect(code).toBe(1);
      for (const driver of ["wireguard", "ipsec"]) {
        expect(stderr).toMatch(new RegExp(`^podvpn demo: mesh-${driver}: step 2: .*pings from a1 to b1 answered`, "m"));
      }
      for (const story of storiesOf(stdout)) expect(step(story, 3)).toBe("there is no step 3");
      await nothingLeft();
    },
    LONG,
  );

  it.each([
    ["INT", "^1\\. ", 130],
    ["TERM", "^6\\. ", 143],
  ])(
    "takes everything down on SIG%s at %j",
    async (signal, moment, status) => {
      const demo = machine.spawn(DEMO);
      await demo.line(new RegExp(moment), TIMEOUT.timeout);
      await machine.exec(["pkill", `-${signal}`, "-o", "-f", DEMO.join(" ")]);
      expect(await demo.ended).toBe(`exit status ${status}`);
      expect(demo.lines.at(-1)).toBe(`podvpn demo: interrupted by SIG${signal}; everything is taken down`);
      await nothingLeft();
    },
    LONG,
  );

  it(
    "is gone when it is killed",
    async () => {
      const demo = machine.spawn(DEMO);
      await demo.line(/^3\. /, TIMEOUT.timeout);
      await machine.exec(["pkill", "-KILL", "-o", "-f", DEMO.join(" ")]);
      await demo.ended;
      await nothingLeft();
    },
    LONG,
  );

  it(
    "stays up with --keep until --down, with its agents, and the commands that it prints work",
    async () => {
      const { stdout } = await machine.exec([...DEMO, "--keep"], TIMEOUT);
      expect(wideLines(stdout)).toEqual([]);
      const kept = stdout.split(/^(?=mesh-\w+ stays up)/m).slice(1);
      expect(kept).toHaveLength(2);
      for (const text of kept) {
        const run = async (pattern: RegExp, more = "") => {
          return (await machine.exec(["sh", "-c", `${pattern.exec(text)?.[0].trim()} ${more}`])).stdout;
        };
        expect(await run(/^ .*\/podvpn rotate$/m)).toContain("the new keys count");
        const graph = await run(/^ .*\/podvpn graph$/m);
        expect(graph.match(/^node-a +node-[bcde] +(?:wireguard|ipsec) +(?:up|degraded) /gm)).toHaveLength(4);
        expect(await run(/^ .* ping 10.*/m, "-c 2")).toContain("2 received");
      }
      expect((await machine.exec([...DEMO, "--down"])).stdout).toMatch(
        /^taken down: mesh-wireguard \(.*node-e.*\)\ntaken down: mesh-ipsec \(.*node-e.*\)\n$/,
      );
      await nothingLeft();
    },
    LONG,
  );
});

describe("the demo's look at the wire of a mesh", () => {
  it.each(kinds)(
    "with $driver sees a packet of a pod, what it carries, and whatever else is no tunnel",
    async (kind) => {
      await using wire = await Testbed.create();
      await using capture = await wire.capture();
      const [one, two] = await Promise.all(
        [1, 2].map((index) => wire.node(`n${index}`, { addresses: [`10.9.0.${index}/24`, `10.101.0.${index}/16`] })),
      );
      await one?.exec(["ping", "-c", "1", "-p", PATTERN, "10.101.0.2"]);
      await two?.exec(["bash", "-c", "echo -n plain >/dev/udp/10.9.0.1/9"]);
      const told: string[] = [];
      const wrong = await tellWire((text) => told.push(text), kind.wire, capture);
      expect(wrong).toContain("what pods sent could be read on the wire");
      expect(wrong).toContainEqual(expect.stringMatching(/^the wire carried [2-9] plain packets$/));
      expect(wrong).toContainEqual(expect.stringMatching(/^the wire carried 3 packets of another kind$/));
      expect(told.join("\n")).toContain("ARP, Request who-has 10.101.0.2");
    },
  );
});
