import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RuntimeError } from "../../src/cni/runtime.ts";
import type { Node } from "../../src/testbed/node.ts";
import type { AttachOptions, Pod } from "../../src/testbed/pod.ts";
import { diffSnapshots, type Snapshot } from "../../src/testbed/snapshot.ts";
import { FaultyPlugin, killed, SOUND, seededRandom } from "./support/faulty.ts";
import { Gate, HELD, waitsForLock } from "./support/gate.ts";
import { Mesh, podSubnet } from "./support/mesh.ts";
import { mountedOver } from "./support/mounted.ts";
import { expectUnchanged } from "./support/unchanged.ts";

/** A node on which pods are added and deleted; each round has it alone. */
interface Worker {
  readonly index: number;
  readonly node: Node;
  readonly plugin: FaultyPlugin;
  /** The node without pods and without a device, after its first one: the bridge and some directories stay. */
  readonly empty: Snapshot;
  /** What a complete ADD and DEL leave when the device stays. */
  readonly idle: Snapshot;
}

let mesh: Mesh;
/** Two, as rounds mostly wait. */
let workers: Worker[];
/** A pod on another node: who reaches it has a tunnel. */
let peer: Awaited<ReturnType<Mesh["addedPod"]>>;

beforeAll(async () => {
  mesh = await Mesh.create(3);
  workers = await Promise.all([1, 2].map(prepare));
  peer = await mesh.addedPod(3, "peer");
});
afterAll(() => mesh?.[Symbol.asyncDispose]());

/** Pods go with their device, and with a firewall and a setting of the node that podvpn has to open and to restore. */
async function prepare(index: number): Promise<Worker> {
  const { node } = mesh.at(index);
  const plugin = await FaultyPlugin.install(node, "wireguard");
  await node.exec(["iptables-nft", "-P", "FORWARD", "DROP"]);
  await withPod(node, async (pod) => {
    // The executable as well: it unpacks its addons once, for all pods of the node.
    await pod.add(removed(index), plugin.dyingAt(60_000));
    await pod.del(removed(index), SOUND);
    // The reference plugin's ipMasq leaves empty tables of iptables behind.
    await pod.add(chain(index), SOUND);
    await pod.del(chain(index), SOUND);
  });
  await node.exec(["sysctl", "-qw", SETTING]);
  await node.writeFile(`/var/lib/cni/networks/full/${fullAddress(index)}`, "somebody\r\neth0");
  await withPod(node, async (pod) => pod.add(full(index), SOUND).then(() => undefined, unlessFull));
  const empty = await node.snapshot();
  await withPod(node, async (pod) => {
    await pod.add(mesh.conf(index), SOUND);
    await pod.del(mesh.conf(index), SOUND);
  });
  const idle = await node.snapshot();
  expect(diffSnapshots(empty, idle)).toContain("+ processes: /usr/bin/wireguard-go -f podvpn0");
  await withPod(node, async (pod) => {
    await pod.add(removed(index), SOUND);
    await pod.del(removed(index), SOUND);
  });
  await expectUnchanged(node, empty);
  return { index, node, plugin, empty, idle };
}

/** Of the bridge, which stays: podvpn changes it, and puts it back when the device goes. */
const SETTING = "net.ipv4.conf.cni0.forwarding=0";

/** The configuration of a node whose device goes with its last pod. */
function removed(index: number): Record<string, unknown> {
  return mesh.conf(index, { wireguard: { removeWithLastPod: true } });
}

/** A pod with a device of its own. */
function ownDevice(index: number): Record<string, unknown> {
  return mesh.conf(index, { wireguard: { attach: "pod", interface: "wg0", address: "10.1.9.1/32" } });
}

/** With the link made by the reference plugin before us. */
function chain(index: number): Record<string, unknown> {
  const { cniVersion, name, bridge, isDefaultGateway, ipMasq, ipam, wireguard } = removed(index);
  return {
    cniVersion,
    name,
    plugins: [
      { type: "bridge", bridge, isDefaultGateway, ipMasq, ipam },
      { type: "wireguard", wireguard },
    ],
  };
}

/** On a network whose only address somebody has. */
function full(index: number): Record<string, unknown> {
  const address = fullAddress(index);
  const ipam = { type: "host-local", ranges: [[{ subnet: podSubnet(index), rangeStart: address, rangeEnd: address }]] };
  return { ...removed(index), name: "full", ipam };
}

const fullAddress = (index: number) => podSubnet(index).replace("0/24", "77");

let pods = 0;

/** Each with a name of its own: nothing of one can pass for a later one's. One that failed is no burden to the next. */
async function withPod(node: Node, use: (pod: Pod) => Promise<void>): Promise<void> {
  pods += 1;
  await using pod = await node.addPod(`p${pods}`);
  try {
    await use(pod);
  } catch (error) {
    const index = mesh.nodes.find((one) => one.node === node)?.index ?? 0;
    await pod.del(removed(index), SOUND).catch(() => undefined);
    throw error;
  }
}

/** As they were before all pods. */
async function expectNothingLeft({ node, empty }: Worker): Promise<void> {
  await expectUnchanged(node, empty);
  const { stdout } = await node.exec(["sysctl", SETTING.slice(0, SETTING.indexOf("="))]);
  expect(stdout.replaceAll(" ", "").trim()).toBe(SETTING);
}

/** One call of the plugin that is killed or not, in surroundings that do not matter to others. */
type Round = (worker: Worker, options: AttachOptions) => Promise<boolean>;

/** Does `round` for effect 1, 2, … until a call ended before it was killed; that is how often it was. */
async function forEachEffect(round: Round): Promise<number> {
  let next = 1;
  let end = Number.POSITIVE_INFINITY;
  const work = async (worker: Worker) => {
    while (next < end) {
      const effect = next;
      next += 1;
      try {
        if (!(await round(worker, worker.plugin.dying(effect)))) end = Math.min(end, effect);
      } catch (error) {
        end = 0; // the other one stops
        throw new Error(`killed after effect ${effect}: ${error instanceof Error ? error.message : error}`, {
          cause: error,
        });
      }
    }
  };
  for (const outcome of await Promise.allSettled(workers.map(work))) {
    if (outcome.status === "rejected") throw outcome.reason;
  }
  return end - 1;
}

/** A second ADD works, save after one that was killed after its last effect, when only the result was not told. */
async function addAgain(pod: Pod, configuration: Record<string, unknown>): Promise<void> {
  try {
    await pod.add(configuration, SOUND);
    await pod.check(configuration, SOUND);
  } catch (error) {
    if (!(error instanceof RuntimeError && /already has eth0/.test(error.msg))) throw error;
  }
}

/** The effects of one ADD and DEL, which leave nothing. */
async function effectsOf(
  worker: Worker,
  configuration: Record<string, unknown>,
): Promise<{ add: string[]; del: string[] }> {
  const effects = { add: [] as string[], del: [] as string[] };
  await withPod(worker.node, async (pod) => {
    effects.add = await worker.plugin.effects((options) => pod.add(configuration, options));
    effects.del = await worker.plugin.effects((options) => pod.del(configuration, options));
  });
  await expectNothingLeft(worker);
  return effects;
}

function first<T>(items: readonly T[]): T {
  const [item] = items;
  if (item === undefined) throw new RangeError("none");
  return item;
}

describe("instrumentation", () => {
  test("sees what is made and removed for the node's device", async () => {
    const { add, del } = await effectsOf(first(workers), removed(1));
    for (const name of [
      /^mkdir .*devices/,
      /^write .*device\.json/,
      /^make the nft table inet podvpn-mesh/,
      /^add the unreachable route/,
      /^spawn .*wireguard-go/,
      /^uapi set podvpn0/,
      /^set link/,
      /^add the unicast route/,
      /^spawn .*bridge/,
      /^set net\/ipv4\/conf\/cni0\/forwarding/,
      /^ran .*iptables-nft/,
      /^write .*attachment\.json/,
    ]) {
      expect(add).toContainEqual(expect.stringMatching(name));
    }
    for (const name of [
      /^signal 15/,
      /^remove the .*route/,
      /^remove .*devices/,
      /^spawn .*bridge/,
      /^set net\/ipv4/,
    ]) {
      expect(del).toContainEqual(expect.stringMatching(name));
    }
  });

  test("sees what is made and removed for a pod's own device", async () => {
    const { add, del } = await effectsOf(first(workers), ownDevice(1));
    for (const name of [
      /^write .*private\.key/,
      /^make the nft table inet podvpn-eth0/,
      /^spawn .*wireguard-go/,
      /^uapi set pv/,
      /^move link/,
      /^add the address/,
      /^add the .*rule/,
    ]) {
      expect(add).toContainEqual(expect.stringMatching(name));
    }
    for (const name of [/^signal 15/, /^remove \/run/, /^spawn .*bridge/]) {
      expect(del).toContainEqual(expect.stringMatching(name));
    }
  });
});

/** Both ways in which a pod is attached, with what an ADD and a DEL have of effects at least. */
const ATTACHED = [
  { name: "through the node's device", configuration: removed, adds: 30, dels: 15 },
  { name: "through a device of its own", configuration: ownDevice, adds: 25, dels: 7 },
] as const;

describe.each(ATTACHED)("a pod $name", ({ configuration, adds, dels }) => {
  test("whose ADD is killed after any of its effects is removed by one DEL, with or without its namespace", async () => {
    let gone = false;
    const count = await forEachEffect(async (worker, options) => {
      let died = false;
      await withPod(worker.node, async (pod) => {
        died = await killed(pod.add(configuration(worker.index), options));
        gone = !gone;
        if (gone) await pod.remove();
        await pod.del(configuration(worker.index), SOUND);
      });
      await expectNothingLeft(worker);
      return died;
    });
    expect(count).toBeGreaterThan(adds);
  });

  test("whose ADD is killed after any of its effects is added by a second one", async () => {
    const count = await forEachEffect(async (worker, options) => {
      let died = false;
      await withPod(worker.node, async (pod) => {
        died = await killed(pod.add(configuration(worker.index), options));
        if (died) await addAgain(pod, configuration(worker.index));
        await pod.del(configuration(worker.index), SOUND);
      });
      await expectNothingLeft(worker);
      return died;
    });
    expect(count).toBeGreaterThan(adds);
  });

  test("whose DEL is killed after any of its effects is removed by a second one, with or without its namespace", async () => {
    let gone = false;
    const count = await forEachEffect(async (worker, options) => {
      let died = false;
      await withPod(worker.node, async (pod) => {
        await pod.add(configuration(worker.index), SOUND);
        died = await killed(pod.del(configuration(worker.index), options));
        gone = !gone;
        if (gone) await pod.remove();
        await pod.del(configuration(worker.index), SOUND);
      });
      await expectNothingLeft(worker);
      return died;
    });
    expect(count).toBeGreaterThan(dels);
  });
});

/** For an ADD that fails unless it is killed before. */
function unlessFull(error: unknown): void {
  if (!(error instanceof RuntimeError && /no IP addresses available/.test(error.msg))) throw error;
}

describe("an ADD killed after any of its effects", () => {
  test("with a device that stays, leaves after one DEL what a complete one does, or nothing; then a pod gets a tunnel", async () => {
    const outcomes = { idle: 0, empty: 0 };
    const count = await forEachEffect(async (worker, options) => {
      const { index, node, idle, empty } = worker;
      let died = false;
      await withPod(node, async (pod) => {
        died = await killed(pod.add(mesh.conf(index), options));
        await pod.del(mesh.conf(index), SOUND);
      });
      const left = diffSnapshots(empty, await node.snapshot()).length === 0 ? "empty" : "idle";
      outcomes[left] += 1;
      await expectUnchanged(node, left === "empty" ? empty : idle);
      await withPod(node, async (pod) => {
        await pod.add(removed(index), SOUND);
        expect(await pod.ping(peer.ip, 1)).toBe(true);
        expect(await pod.ping(peer.ip6, 1)).toBe(true);
        await pod.del(removed(index), SOUND);
      });
      await expectNothingLeft(worker);
      return died;
    });
    expect(count).toBeGreaterThan(30);
    expect(outcomes.empty).toBeGreaterThan(20);
    expect(outcomes.idle).toBeGreaterThan(0);
  });

  test("with a device that others use, leaves after one DEL what was there, and their tunnel works", async () => {
    await using stack = new AsyncDisposableStack();
    const others = new Map<Worker, { readonly pod: Pod; readonly before: Snapshot }>();
    for (const worker of workers) {
      const { pod } = stack.use(await mesh.addedPod(worker.index, "other", removed(worker.index), SOUND));
      others.set(worker, { pod, before: await worker.node.snapshot() });
    }
    const count = await forEachEffect(async (worker, options) => {
      const other = others.get(worker);
      let died = false;
      await withPod(worker.node, async (pod) => {
        died = await killed(pod.add(removed(worker.index), options));
        await pod.del(removed(worker.index), SOUND);
      });
      if (other === undefined) throw new RangeError("no other pod");
      await expectUnchanged(worker.node, other.before);
      expect(await other.pod.ping(peer.ip, 1)).toBe(true);
      return died;
    });
    expect(count).toBeGreaterThan(10);
    await stack.disposeAsync();
    for (const worker of workers) await expectNothingLeft(worker);
  });

  test("is undone by one DEL of its chain, which removes the link", async () => {
    const count = await forEachEffect(async (worker, options) => {
      let died = false;
      await withPod(worker.node, async (pod) => {
        died = await killed(pod.add(chain(worker.index), options));
        await pod.del(chain(worker.index), SOUND);
      });
      await expectNothingLeft(worker);
      return died;
    });
    expect(count).toBeGreaterThan(25);
  });

  test("is undone by one DEL when it was failing and taking back", async () => {
    const count = await forEachEffect(async (worker, options) => {
      const configuration = full(worker.index);
      let died = false;
      await withPod(worker.node, async (pod) => {
        died = await killed(pod.add(configuration, options).catch(unlessFull));
        await pod.del(configuration, SOUND);
      });
      await expectNothingLeft(worker);
      return died;
    });
    expect(count).toBeGreaterThan(30);
  });
});

describe("an ADD killed while it makes the node's private key", () => {
  const KEYS = "/var/lib/podvpn/wireguard";

  test("leaves none or a whole one, and after the next ADD nothing else that is secret", async () => {
    const { node, plugin, index } = first(workers);
    const configuration = mesh.conf(index, {
      wireguard: { removeWithLastPod: true, privateKeyFile: `${KEYS}/new.key` },
    });
    let effects: string[] = [];
    await withPod(node, async (pod) => {
      effects = await plugin.effects((options) => pod.add(configuration, options));
      await pod.del(configuration, SOUND);
    });
    const making = effects.flatMap((name, at) => (/^(?:create|write) .*new\.key/.test(name) ? [at + 1] : []));
    expect(making).toHaveLength(2);
    for (const effect of making) {
      await node.exec(["rm", `${KEYS}/new.key`]);
      await withPod(node, async (pod) => {
        expect(await killed(pod.add(configuration, plugin.dying(effect)))).toBe(true);
        await pod.del(configuration, SOUND);
        await pod.add(configuration, SOUND);
        const { stdout } = await node.exec(["wg", "show", "podvpn0", "private-key"]);
        expect(stdout).toBe(await node.readFile(`${KEYS}/new.key`));
        expect((await node.exec(["ls", KEYS])).stdout.trim().split("\n")).toEqual(["new.key", "podvpn0.key"]);
        await pod.del(configuration, SOUND);
      });
    }
    await node.exec(["rm", `${KEYS}/new.key`]);
    await expectNothingLeft(first(workers));
  });
});

describe("a program that outlives the killed plugin", () => {
  test.each(["bridge", "wireguardGo"] as const)("%s makes DEL wait until it can be undone", async (name) => {
    const worker = first(workers);
    const { node, index } = worker;
    const gate = await Gate.install(node, HELD[name]);
    await withPod(node, async (pod) => {
      await using _shell = await mountedOver(node, name === "bridge" ? "/bin/false" : "/bin/sh", "--bind", gate.path);
      const options = name === "bridge" ? gate.before(SOUND) : SOUND;
      const add = killed(pod.add(removed(index), options));
      await gate.killCaller();
      expect(await add).toBe(true);
      const del = pod.del(removed(index), options);
      await waitsForLock(node, del);
      await gate.open();
      await del;
    });
    await expectNothingLeft(worker);
  });
});

describe("a plugin killed at any time", () => {
  const ROUNDS = 10;

  test(`is undone by one DEL, ${ROUNDS} times in ADD and in DEL`, async ({ annotate }) => {
    const seed = Number(process.env.PODVPN_TEST_SEED ?? Date.now() % 2 ** 32);
    await annotate(`to try the same again: PODVPN_TEST_SEED=${seed}`);
    const random = seededRandom(seed);
    const worker = first(workers);
    const { node, plugin, index } = worker;
    const configuration = removed(index);
    let [begin, added, deleted] = [0, 0, 0];
    await withPod(node, async (pod) => {
      begin = performance.now();
      await pod.add(configuration, plugin.dyingAt(60_000));
      added = performance.now();
      await pod.del(configuration, plugin.dyingAt(60_000));
      deleted = performance.now();
    });
    let killings = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
      await withPod(node, async (pod) => {
        const died = await killed(pod.add(configuration, plugin.dyingAt(random() * (added - begin))));
        const diedAgain = await killed(pod.del(configuration, plugin.dyingAt(random() * (deleted - added))));
        if (diedAgain) await pod.del(configuration, SOUND);
        killings += Number(died) + Number(diedAgain);
      });
      await expectNothingLeft(worker);
    }
    expect(killings).toBeGreaterThan(ROUNDS / 3);
  });
});
