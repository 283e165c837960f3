import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { applyGuard } from "../../src/guard/apply.ts";
import { journal } from "../../src/hub/journal.ts";
import { upkeep } from "../../src/hub/upkeep.ts";
import type { Node } from "../../src/testbed/node.ts";
import { HUB_DIRECTORY, Hub, prefix } from "./support/hub.ts";
import { CONFIG, HubBed, join, KEYS, OWN, PLAIN, SUBNETS } from "./support/hub-bed.ts";

let bed: HubBed;
let hubNode: Node;

beforeEach(async () => {
  bed = await HubBed.create();
  hubNode = bed.hubNode;
});
afterEach(() => bed[Symbol.asyncDispose]());

describe("the holes of a hub", () => {
  beforeEach(async () => {
    await Hub.configure(hubNode, CONFIG, KEYS);
  });

  test("a packet to a virtual IP that is not online leaves no hub in plain, and its sender hears of it", async () => {
    await using _ = await Hub.start(hubNode);
    await using one = await bed.client(1);
    await one.join(join("a"));
    const offline = ["10.173.7.7", "fd00:173::77"];
    const capture = await bed.testbed.capture();
    for (const target of offline) {
      const { code, stdout } = await one.ping(target);
      expect(code).toBe(1);
      expect(stdout).toMatch(/From (?:10\.173\.255\.254|fd00:173::ffff:ffff:ffff:ffff) .*[Uu]nreachable/);
    }
    expect(await capture.packets(PLAIN)).toEqual([]);

    await bed.openTheHoles();
    for (const target of offline) {
      await one.ping(target);
      expect(await capture.count(`dst host ${target}`), "without the guard").toBeGreaterThan(0);
    }
  });

  test("a plain packet with a virtual source, a pod's or nobody's, is not passed on to a pod as if it were genuine", async () => {
    await using _ = await Hub.start(hubNode);
    await using victim = await bed.client(1);
    await using other = await bed.client(2);
    const attacker = await bed.clientNode(3);
    const targets = (await victim.join(join("victim"))).virtualIPs;
    const online = (await other.join(join("other"))).virtualIPs;
    await attacker.exec(["ip", "route", "add", SUBNETS[0], "via", "10.9.0.254"]);
    await attacker.exec(["ip", "-6", "route", "add", SUBNETS[1], "via", "fd00:9::fe"]);

    for (const [index, target] of targets.entries()) {
      const six = target.includes(":");
      const sources = [online[index] ?? "", six ? "fd00:173::99" : "10.173.9.9"];
      for (const source of sources) await attacker.exec(["ip", "address", "add", source, "dev", "lo"]);
      const [udp, bracketed] = six ? ["UDP6", (ip: string) => `[${ip}]`] : ["UDP4", (ip: string) => ip];
      await using received = victim.node.spawn(["socat", "-d", "-d", "-u", `${udp}-RECV:9999`, "STDOUT"]);
      await received.line(/starting data transfer/, 5000);
      const send = async (from: Node, source: string, text: string) => {
        const to = `${udp}-SENDTO:${bracketed(target)}:9999,bind=${bracketed(source)}`;
        await from.exec(["socat", "-u", "STDIN", to], { input: `${text}\n` });
      };
      const attack = async (name: string) => {
        for (const source of sources) await send(attacker, source, `${name} of ${source}`);
        // Genuine, and sent after the others: when it is there, they would be.
        await send(hubNode, OWN[index] ?? "", `after ${name}`);
        await received.line(new RegExp(`^after ${name}$`), 5000);
        return received.lines.filter((line) => line.startsWith(name));
      };
      expect(await attack("guarded")).toEqual([]);
      await bed.openTheHoles();
      expect(await attack("open"), "without the guard").toEqual(sources.map((source) => `open of ${source}`));
      await bed.withGuard(applyGuard);
    }
  });

  test("stay closed when somebody flushes the machine's filter rules", async () => {
    await using _ = await Hub.start(hubNode);
    await hubNode.exec(["nft", "flush", "ruleset"]);
    expect(await bed.guardMissing()).toEqual(["nft table inet podvpn-hub"]);
    const told: string[] = [];
    const directory = hubNode.path(HUB_DIRECTORY);
    const record = { subnets: SUBNETS.map(prefix), dataPlane: "userspace" } as const;
    const log = journal("error", (text) => told.push(text));
    await bed.withGuard((_guard, netns) => upkeep(record, directory, log, netns));
    expect(await bed.guardMissing()).toEqual([]);
    expect(told).toEqual([expect.stringContaining("nft table inet podvpn-hub")]);
    await bed.withGuard((_guard, netns) => upkeep(record, directory, log, netns));
    expect(told, "when all is well").toHaveLength(1);
  });
});
