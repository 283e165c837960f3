import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Node } from "../../src/testbed/node.ts";
import { diffSnapshots } from "../../src/testbed/snapshot.ts";
import { eventually } from "./support/eventually.ts";
import { HUB_DIRECTORY, Hub, hubCharonPid } from "./support/hub.ts";
import { CONFIG, HubBed, join, KEYS, OWN, PLAIN } from "./support/hub-bed.ts";

let bed: HubBed;
let hubNode: Node;

beforeEach(async () => {
  bed = await HubBed.create();
  hubNode = bed.hubNode;
});
afterEach(() => bed[Symbol.asyncDispose]());

async function leasesOnDisk(): Promise<string> {
  return (await hubNode.exec(["cat", "/var/lib/podvpn/hub/leases.json"], { check: false })).stdout;
}

describe("a hub that did not end as it should", () => {
  test("killed: is started again without the pods' noticing, and still puts everything back in the end", async () => {
    await Hub.configure(hubNode, CONFIG, KEYS);
    await hubNode.exec(["mkdir", "-m", "700", "/run/podvpn"]);
    await bed.setSysctl("ipv4/ip_forward", "0");
    const before = await bed.everything();
    await using first = await Hub.start(hubNode);
    await using one = await bed.client(1);
    await one.join(join("a"));
    const [child, charon] = [await one.childId(), await hubCharonPid(hubNode)];
    expect(await first.kill("KILL")).toBe("killed by SIGKILL");
    expect(await one.ping(OWN[0]), "without podvpn hub").toMatchObject({ code: 0 });

    await using second = await Hub.start(hubNode);
    await second.program.line(/ info online: a, 10\.173\.0\.1 /, 5000);
    expect(await hubCharonPid(hubNode)).toBe(charon);
    expect(await one.childId()).toBe(child);
    expect(await one.ping(OWN[0])).toMatchObject({ code: 0 });
    expect(await second.kill("TERM")).toBe("exit status 0");
    expect(diffSnapshots(before, await bed.everything())).toEqual([]);
  });

  test("killed, and started with other subnets: nothing of the first ones is left", async () => {
    await Hub.configure(hubNode, CONFIG, KEYS);
    await hubNode.exec(["mkdir", "-m", "700", "/run/podvpn"]);
    const before = await bed.everything();
    await using first = await Hub.start(hubNode);
    await first.kill("KILL");
    await Hub.configure(hubNode, { ...CONFIG, virtualSubnets: ["10.174.0.0/16"] }, KEYS);
    await using second = await Hub.start(hubNode);
    const there = diffSnapshots(before, await bed.everything()).join("\n");
    expect(there).toContain("10.174.255.254");
    expect(there).not.toMatch(/10\.173\.|fd00:173:/);
    await second.kill("TERM");
    expect(diffSnapshots(before, await bed.everything())).toEqual([]);
  });

  test("its charon dies: it ends with status 1, nothing leaves in plain, and the next one serves again", async () => {
    await Hub.configure(hubNode, CONFIG, KEYS);
    await hubNode.exec(["mkdir", "-m", "700", "/run/podvpn"]);
    const before = await bed.everything();
    await using first = await Hub.start(hubNode);
    await using one = await bed.client(1);
    const [ip] = (await one.join(join("a"))).virtualIPs;
    // Until then, some milliseconds, the address is known to charon alone, and would be lost with it.
    await eventually("the lease is on disk", 5000, async () => (await leasesOnDisk()).includes('"a"'));
    const capture = await bed.testbed.capture();
    await hubNode.exec(["kill", "-KILL", await hubCharonPid(hubNode)]);
    expect(await first.program.ended).toBe("exit status 1");
    expect(first.program.lines.join("\n")).toContain("podvpn hub: charon died: no pod has a tunnel\n");
    expect(await bed.guardMissing()).toEqual([]);
    await hubNode.exec(["ping", "-c", "1", "-W", "1", ip ?? ""], { check: false });
    expect(await capture.packets(PLAIN)).toEqual([]);

    await using second = await Hub.start(hubNode);
    await second.program.line(/ info online: a, 10\.173\.0\.1 /, 30_000); // the pod finds out by itself
    expect(await capture.packets(PLAIN)).toEqual([]);
    await hubNode.exec(["kill", "-KILL", await hubCharonPid(hubNode)]);
    await second.program.ended;
    expect((await bed.podvpn("hub", "clear")).stdout).toBe("/run/podvpn/hub is cleared\n");
    expect(diffSnapshots(before, await bed.everything())).toEqual([]);
    expect((await bed.podvpn("hub", "clear")).stdout).toBe("there is nothing in /run/podvpn/hub\n");
  });

  test("killed in a network namespace that is gone: starts as if there had been none", async () => {
    await Hub.configure(hubNode, CONFIG, KEYS);
    await using first = await Hub.start(hubNode);
    await first.kill("KILL");
    await hubNode.exec(["kill", "-KILL", await hubCharonPid(hubNode)]);
    const record = JSON.parse(await hubNode.readFile(`${HUB_DIRECTORY}/hub.json`));
    const foreign = { ...record, netns: "net:[1]", sysctls: [{ key: "net/ipv4/ip_forward", before: "0", after: "1" }] };
    await hubNode.writeFile(`${HUB_DIRECTORY}/hub.json`, JSON.stringify(foreign));
    await using second = await Hub.start(hubNode);
    await second.kill("TERM");
    expect(await bed.sysctl("ipv4/ip_forward")).toBe("1");
  });

  test("its charon does not answer any more: the next start replaces it", async () => {
    await Hub.configure(hubNode, CONFIG, KEYS);
    await using first = await Hub.start(hubNode);
    const charon = await hubCharonPid(hubNode);
    await first.kill("KILL");
    await hubNode.exec(["kill", "-STOP", charon]);
    await using second = await Hub.start(hubNode);
    await second.program.line(/ error the charon that runs does not answer/, 1000);
    expect(await hubCharonPid(hubNode)).not.toBe(charon);
    await second.kill("TERM");
  });
});

test("a pod that asks while charon has no configuration yet hears nothing, rather than a refusal that ends its asking", async () => {
  await Hub.configure(hubNode, CONFIG, KEYS);
  // Once through, to learn which effect is charon's start.
  const learning = Hub.runDying(hubNode, 0, "/run/effects");
  await learning.program.line(/ info serving /, 15_000);
  await learning.program.stop();
  const effects = (await hubNode.readFile("/run/effects")).split("\n");
  const started = effects.findIndex((line) => line.includes("charon-systemd")) + 1;
  expect(started).toBeGreaterThan(1);

  const dying = Hub.runDying(hubNode, started, "/run/effects.dying");
  await dying.program.ended;
  await using pod = await bed.client(1);
  // 104: no answer. Refused, it would be 106.
  await expect(pod.join(join("pod"))).rejects.toMatchObject({ code: 104 });

  await using _hub = await Hub.start(hubNode);
  expect((await pod.join(join("pod"))).virtualIPs).toHaveLength(2);
});
