import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { kinds } from "../../src/demo/mesh/kind.ts";
import { PATTERN } from "../../src/demo/ping.ts";
import { tellWire } from "../../src/demo/story.ts";
import { Testbed } from "../../src/testbed/testbed.ts";
import { DIST } from "../netns/support/cluster.ts";
import { DemoMachine, step, storiesOf, wideLines } from "../netns/support/demo-machine.ts";

const DEMO = [`${DIST}/podvpn`, "demo", "mesh"] as const;
/** Of the demo, on a machine with several times as much to do. */
const TIMEOUT = { timeout: 300_000 };
/** Of a test with a whole demo in it. */
const LONG = 400_000;

let machine: DemoMachine;
beforeAll(async () => {
  machine = await DemoMachine.create();
});
afterAll(() => machine[Symbol.asyncDispose]());

/** What all nodes are on the node that looks, by its `podvpn status` in this step: the names and states of its peers. */
function peersIn(text: string): (string | undefined)[][] {
  return [...text.matchAll(/^(node-\w) +10\.9\.0\.\d:\d+ +(\w+) /gm)].map(([, name, state]) => [name, state]);
}

describe("the demo of the mesh", () => {
  it(
    "shows with both drivers that nodes find each other, join, change keys and report one that is cut off, without a ping lost",
    async () => {
      const { stdout, stderr, code } = await machine.node.exec(DEMO, { ...TIMEOUT, check: false });
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
      await machine.nothingLeft();
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
