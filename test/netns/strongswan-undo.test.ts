import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RuntimeError } from "../../src/cni/runtime.ts";
import { Code } from "../../src/fault.ts";
import type { Node } from "../../src/testbed/node.ts";
import type { AttachOptions, Pod } from "../../src/testbed/pod.ts";
import type { Snapshot } from "../../src/testbed/snapshot.ts";
import { Cluster, conf } from "./support/cluster.ts";
import { DUAL_STACK } from "./support/dual-stack.ts";
import { hubForgets } from "./support/failed-add.ts";
import { FaultyPlugin, killed, SOUND, seededRandom } from "./support/faulty.ts";
import { Gate, HELD, waitsForLock } from "./support/gate.ts";
import { mountedOver } from "./support/mounted.ts";
import { expectUnchanged } from "./support/unchanged.ts";

let cluster: Cluster;
let node: Node;
let plugin: FaultyPlugin;
/** The node without pods, after its first one: the bridge and the directories of that stay. */
let empty: Snapshot;

beforeAll(async () => {
  cluster = await Cluster.create(1);
  node = cluster.node();
  plugin = await FaultyPlugin.install(node);
  await withPod(async (pod) => {
    // The executable as well: it unpacks its addons once, for all pods of the node.
    await pod.add(DUAL_STACK, plugin.dyingAt(60_000));
    await pod.del(DUAL_STACK, SOUND);
    // The reference plugin's ipMasq leaves empty tables of iptables behind.
    await pod.add(CHAIN, SOUND);
    await pod.del(CHAIN, SOUND);
  });
  empty = await node.snapshot();
});
afterAll(() => cluster?.[Symbol.asyncDispose]());

/** The same, with the link made by the reference plugin before us. */
const CHAIN = {
  cniVersion: "1.0.0",
  name: DUAL_STACK.name,
  plugins: [
    { type: "bridge", bridge: "cni0", isDefaultGateway: true, ipMasq: true, ipam: DUAL_STACK.ipam },
    { type: "strongswan", vpn: DUAL_STACK.vpn },
  ],
};

let pods = 0;

/** Each with a name of its own: nothing of one can pass for a later one's. One that failed is no burden to the next. */
async function withPod(use: (pod: Pod) => Promise<void>): Promise<void> {
  pods += 1;
  await using pod = await node.addPod(`p${pods}`);
  try {
    await use(pod);
  } catch (error) {
    await pod.del(DUAL_STACK, SOUND).catch(() => undefined);
    throw error;
  }
}

/** Neither the node nor the hub knows of any pod. */
async function expectNothingLeft(): Promise<void> {
  await expectUnchanged(node, empty);
  await hubForgets(cluster.hub);
}

/** Does `round` for effect 1, 2, … until a call ended before it was killed; that is how often it was. */
async function forEachEffect(round: (options: AttachOptions, effect: number) => Promise<boolean>): Promise<number> {
  for (let effect = 1; ; effect += 1) {
    try {
      if (!(await round(plugin.dying(effect), effect))) return effect - 1;
    } catch (error) {
      throw new Error(`killed after effect ${effect}: ${error instanceof Error ? error.message : error}`, {
        cause: error,
      });
    }
  }
}

/** For an ADD that the hub refuses unless it is killed before. */
function unlessRefused(error: unknown): void {
  if (!(error instanceof RuntimeError && error.code === Code.authentication)) throw error;
}

/** Milliseconds that ADD and DEL of the executable take here and now. */
async function usualDurations(): Promise<{ add: number; del: number }> {
  let [begin, added, deleted] = [0, 0, 0];
  await withPod(async (pod) => {
    begin = performance.now();
    await pod.add(DUAL_STACK, plugin.dyingAt(60_000));
    added = performance.now();
    await pod.del(DUAL_STACK, plugin.dyingAt(60_000));
    deleted = performance.now();
  });
  return { add: added - begin, del: deleted - added };
}

describe("instrumentation", () => {
  test("sees files, processes, netlink and VICI in ADD and DEL", async () => {
    await withPod(async (pod) => {
      const add = await plugin.effects((options) => pod.add(DUAL_STACK, options));
      for (const name of [
        /^mkdir /,
        /^create /,
        /^write /,
        /^spawn .*bridge/,
        /^spawn .*charon/,
        /^make the nft table/,
      ]) {
        expect(add).toContainEqual(expect.stringMatching(name));
      }
      for (const name of [/^add the address/, /^add the .*rule/, /^add the .*route/, /^vici initiate/]) {
        expect(add).toContainEqual(expect.stringMatching(name));
      }
      expect(add.length).toBeGreaterThan(20);
      const del = await plugin.effects((options) => pod.del(DUAL_STACK, options));
      for (const name of [/^vici terminate/, /^signal 15/, /^spawn .*bridge/, /^remove \/run/, /^remove the .*route/]) {
        expect(del).toContainEqual(expect.stringMatching(name));
      }
      expect(del.length).toBeGreaterThan(7);
    });
    await expectNothingLeft();
  });
});

/** The stock hub's own virtual address: who reaches it has a tunnel. */
const HUB_VIRTUAL_IP = "10.173.255.254";

/** With a PSK that is not the hub's: an ADD that takes everything back by itself. */
const REFUSED = { ...DUAL_STACK, vpn: { ...DUAL_STACK.vpn, PSK: "not the PSK of the hub" } };

/** Another subnet, for another bridge; the files of its reservations have the same names. */
const OTHER_IPAM = { type: "host-local", subnet: "172.18.1.0/24" };

describe("an ADD killed after any of its effects", () => {
  test("is undone by one DEL", async () => {
    const count = await forEachEffect(async (options) => {
      let died = false;
      await withPod(async (pod) => {
        died = await killed(pod.add(DUAL_STACK, options));
        await pod.del(DUAL_STACK, SOUND);
      });
      await expectNothingLeft();
      return died;
    });
    expect(count).toBeGreaterThan(20);
  });

  test("is undone by one DEL when the namespace has gone", async () => {
    const count = await forEachEffect(async (options) => {
      let died = false;
      await withPod(async (pod) => {
        died = await killed(pod.add(DUAL_STACK, options));
        await pod.remove();
        await pod.del(DUAL_STACK, SOUND);
      });
      await expectNothingLeft();
      return died;
    });
    expect(count).toBeGreaterThan(20);
  });

  test("is no obstacle to a second ADD, also when it was the first of its bridge", async () => {
    let complete = 0;
    const unlessComplete = (error: unknown) => {
      if (!(error instanceof RuntimeError && /already has eth0/.test(error.msg))) throw error;
      complete += 1;
    };
    const count = await forEachEffect(async (options, effect) => {
      const configuration = conf({ bridge: `cni-undo${effect}`, ipam: OTHER_IPAM });
      let died = false;
      try {
        await withPod(async (pod) => {
          died = await killed(pod.add(configuration, options));
          if (died) await pod.add(configuration, SOUND).catch(unlessComplete);
          expect(await pod.ping(HUB_VIRTUAL_IP, 1)).toBe(true);
          await pod.del(configuration, SOUND);
        });
      } finally {
        await node.exec(["ip", "link", "delete", configuration.bridge]);
      }
      await expectNothingLeft();
      return died;
    });
    // Killed after its last effect: all is made, only the result was not told. Then a second ADD is one too many.
    expect(complete).toBeLessThanOrEqual(1);
    expect(count).toBeGreaterThan(20);
  });

  test("is undone by one DEL of its chain, which removes the link", async () => {
    const count = await forEachEffect(async (options) => {
      let died = false;
      await withPod(async (pod) => {
        died = await killed(pod.add(CHAIN, options));
        await pod.del(CHAIN, SOUND);
      });
      await expectNothingLeft();
      return died;
    });
    expect(count).toBeGreaterThan(15);
  });

  test("is undone by one DEL when it was failing and taking back", async () => {
    const count = await forEachEffect(async (options) => {
      let died = false;
      await withPod(async (pod) => {
        died = await killed(pod.add(REFUSED, options).catch(unlessRefused));
        await pod.del(REFUSED, SOUND);
      });
      await expectNothingLeft();
      return died;
    });
    expect(count).toBeGreaterThan(25);
  });
});

describe("a DEL killed after any of its effects", () => {
  test("is completed by a second DEL", async () => {
    const count = await forEachEffect(async (options) => {
      let died = false;
      await withPod(async (pod) => {
        await pod.add(DUAL_STACK, SOUND);
        died = await killed(pod.del(DUAL_STACK, options));
        await pod.del(DUAL_STACK, SOUND);
      });
      await expectNothingLeft();
      return died;
    });
    expect(count).toBeGreaterThan(7);
  });

  test("is completed by a second DEL when the namespace has gone in between", async () => {
    const count = await forEachEffect(async (options) => {
      let died = false;
      await withPod(async (pod) => {
        await pod.add(DUAL_STACK, SOUND);
        died = await killed(pod.del(DUAL_STACK, options));
        await pod.remove();
        await pod.del(DUAL_STACK, SOUND);
      });
      await expectNothingLeft();
      return died;
    });
    expect(count).toBeGreaterThan(7);
  });
});

describe("a program that outlives the killed plugin", () => {
  test("a bridge that is still adding makes DEL wait for it", async () => {
    const gate = await Gate.install(node, HELD.bridge);
    await withPod(async (pod) => {
      const add = killed(pod.add(DUAL_STACK, gate.before(SOUND)));
      await gate.killCaller();
      expect(await add).toBe(true);
      const del = pod.del(DUAL_STACK, gate.before(SOUND));
      await waitsForLock(node, del);
      await gate.open();
      await del;
    });
    expect(await gate.journal()).toEqual([
      "bridge-ADD begins",
      "bridge-ADD ends",
      "bridge-DEL begins",
      "bridge-DEL ends",
    ]);
    await expectNothingLeft();
  });

  test("a charon that is only about to start makes DEL wait until it can be found", async () => {
    const gate = await Gate.install(node, HELD.charon);
    await withPod(async (pod) => {
      await using _shell = await mountedOver(node, "/bin/sh", "--bind", gate.path);
      const add = killed(pod.add(DUAL_STACK, SOUND));
      await gate.killCaller();
      expect(await add).toBe(true);
      const del = pod.del(DUAL_STACK, SOUND);
      await waitsForLock(node, del);
      await gate.open();
      await del;
    });
    await expectNothingLeft();
  });
});

describe("a plugin killed at any time", () => {
  const ROUNDS = 15;

  test(`is undone by one DEL, ${ROUNDS} times in ADD and in DEL`, async ({ annotate }) => {
    const seed = Number(process.env.PODVPN_TEST_SEED ?? Date.now() % 2 ** 32);
    await annotate(`to try the same again: PODVPN_TEST_SEED=${seed}`);
    const random = seededRandom(seed);
    const usual = await usualDurations();
    let killings = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
      await withPod(async (pod) => {
        const addFor = random() * usual.add;
        const died = await killed(pod.add(DUAL_STACK, plugin.dyingAt(addFor)));
        const delFor = random() * usual.del;
        const diedAgain = await killed(pod.del(DUAL_STACK, plugin.dyingAt(delFor)));
        if (diedAgain) await pod.del(DUAL_STACK, SOUND);
        killings += Number(died) + Number(diedAgain);
      });
      await expectNothingLeft();
    }
    expect(killings).toBeGreaterThan(ROUNDS / 3);
  });
});
