import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Node } from "../../src/testbed/node.ts";
import type { Pod } from "../../src/testbed/pod.ts";
import { diffSnapshots, type Snapshot } from "../../src/testbed/snapshot.ts";
import { StockHub } from "../../src/testbed/stock-hub.ts";
import { addedPod, BUILT, Cluster, conf, DIST, PSK } from "./support/cluster.ts";
import { eventually } from "./support/eventually.ts";
import { failedAdd, failure } from "./support/failed-add.ts";
import { mountedOver } from "./support/mounted.ts";

let cluster: Cluster;
let node: Node;
/** On the other node: whom pods speak to. */
let peer: Awaited<ReturnType<typeof addedPod>>;

beforeAll(async () => {
  cluster = await Cluster.create(2);
  node = cluster.node(1);
  peer = await addedPod(cluster.node(2), "peer");
  await using _first = await addedPod(node, "first"); // leaves the bridge and the directories, as every first pod does
});
afterAll(async () => {
  await peer?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});

const checked = conf({ cniVersion: "1.0.0" });
const stateOf = (pod: Pod, ifname = "eth0") => `/run/podvpn/pods/${pod.containerID}+${ifname}`;

describe("ADD", () => {
  test("for an interface that is there already is an error, and the first goes on", async () => {
    await using first = await addedPod(node, "twice", checked);
    const before = await node.snapshot();
    const error = await failure(first.pod.add(checked, BUILT));
    expect(error.code).toBe(4);
    expect(error.msg).toBe("container n1-twice already has eth0 on network podnet; call DEL before a second ADD");
    expect(diffSnapshots(before, await node.snapshot())).toEqual([]);
    expect(await first.pod.ping(peer.ip, 2)).toBe(true);
    await first.pod.check(checked, BUILT);
  });

  test("of two pods at the same time gives both their own virtual IP", async () => {
    const [a, b] = await Promise.all([addedPod(node, "both-a"), addedPod(node, "both-b")]);
    await using _a = a;
    await using _b = b;
    expect(a.ip).not.toBe(b.ip);
    expect(await a.pod.ping(peer.ip, 2)).toBe(true);
    expect(await b.pod.ping(a.ip, 2)).toBe(true);
  });

  test("of one pod twice at the same time succeeds once", async () => {
    await using pod = await node.addPod("race");
    const adds = await Promise.allSettled([pod.add(conf(), BUILT), pod.add(conf(), BUILT)]);
    expect(adds.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    const loser = adds.find((add) => add.status === "rejected");
    expect(loser?.reason).toMatchObject({ code: 4 });
    expect(await pod.ping(peer.ip, 2)).toBe(true);
    await pod.del(conf(), BUILT);
  });

  test("of an interface whose name is taken is an error, and leaves that interface alone", async () => {
    await using pod = await node.addPod("taken");
    await pod.exec(["sh", "-ec", "ip link add eth0 type veth peer name other; ip address add 192.0.2.1/24 dev eth0"]);
    const before = await node.snapshot();
    const error = await failure(pod.add(conf(), BUILT));
    expect(error.code).toBe(4);
    expect(error.msg).toBe('CNI_IFNAME "eth0" is taken in the container; choose another name');
    expect(diffSnapshots(before, await node.snapshot())).toEqual([]);
  });

  test.each([
    { name: "the node's own", netns: "/proc/1/ns/net", why: "is the node's own network namespace" },
    { name: "one that has gone", netns: "/run/netns/gone", why: "cannot be opened" },
    { name: "a plain file", netns: "/etc/hostname", why: "is not a network namespace" },
  ])("with CNI_NETNS $name is an error", async ({ netns, why }) => {
    const before = await node.snapshot();
    await using pod = await node.addPod("elsewhere");
    const add = pod.runtime(BUILT).add(conf(), { containerID: pod.containerID, netns, ifname: "eth0" });
    expect(await failure(add)).toMatchObject({ code: 8, msg: expect.stringContaining(`CNI_NETNS "${netns}" ${why}`) });
    await pod.remove();
    expect(diffSnapshots(before, await node.snapshot())).toEqual([]);
  });
});

describe("a full disk at the state directory", () => {
  /** `/run/podvpn` as a file system of its own that has room for `left` bytes: whole pages, of 4096. */
  async function small(left: number): Promise<AsyncDisposable> {
    const disk = await mountedOver(node, "/run/podvpn", "-t", "tmpfs", "-o", "size=64k,mode=700", "state");
    await node.exec(["sh", "-c", "mkdir -m 700 /run/podvpn/pods"]);
    await fill(left);
    return disk;
  }
  async function fill(left: number): Promise<void> {
    const script = "head -c 1M /dev/zero >/run/podvpn/filler 2>/dev/null; truncate -s -$1 /run/podvpn/filler";
    await node.exec(["sh", "-c", script, "sh", String(left)]);
  }

  test.each([
    { left: 0, code: 5, lacking: "attachment.json: ENOSPC" },
    { left: 4096, code: 5, lacking: "strongswan.conf: ENOSPC" },
    { left: 8192, code: 103, lacking: "charon's pid could not be written" },
    { left: 12288, code: 5, lacking: "attachment.json: ENOSPC" }, // with the virtual IP, when the tunnel is up
  ])("fails an ADD with $left bytes left, which leaves nothing", async ({ left, code, lacking }) => {
    await using _disk = await small(left);
    const error = await failedAdd(node, conf());
    expect(error.code).toBe(code);
    expect(error.msg).toContain(lacking);
    expect(error.msg).toContain("; free space on ");
    expect((await cluster.onlineLeases()).join()).not.toContain("'n1-failing.");
  });

  test("does not keep DEL from removing everything", async () => {
    await using _disk = await small(32768);
    const before = await node.snapshot();
    await using full = await addedPod(node, "full");
    await fill(0);
    await full.pod.del(conf(), BUILT);
    await full.pod.remove();
    expect(diffSnapshots(before, await node.snapshot())).toEqual([]);
  });
});

describe("DEL", () => {
  let before: Snapshot;
  beforeEach(async () => {
    before = await node.snapshot();
  });

  /** That the node is as it was, once the kernel has taken down the namespace. */
  async function nothingLeft(pod: Pod): Promise<void> {
    await pod.remove();
    let left: string[] = [];
    await eventually("the namespace is taken down", 5000, async () => {
      left = diffSnapshots(before, await node.snapshot());
      return !left.some((line) => line.startsWith("+ links:"));
    });
    expect(left).toEqual([]);
  }

  /** Leases of a pod that the hub takes for online. */
  async function leasesOf(pod: Pod): Promise<string[]> {
    return (await cluster.onlineLeases()).filter((lease) => lease.includes(`'${pod.containerID}.`));
  }

  test("twice, and for a container that never was, succeeds", async () => {
    await using added = await addedPod(node, "gone");
    await added.pod.del(conf(), BUILT);
    await added.pod.del(conf(), BUILT);
    await nothingLeft(added.pod);
    await using never = await node.addPod("never");
    await never.del(conf(), BUILT);
    await nothingLeft(never);
  });

  /** What can have happened to a pod before its DEL. */
  const ACCIDENTS: readonly { name: string; happens: (pod: Pod) => Promise<unknown>; cutOff?: true }[] = [
    { name: "its state was cleared away", happens: (pod) => node.exec(["rm", "-rf", stateOf(pod)]) },
    { name: "all state was cleared away", happens: () => node.exec(["rm", "-rf", "/run/podvpn"]) },
    { name: "its record was damaged", happens: (pod) => node.writeFile(`${stateOf(pod)}/attachment.json`, "{damaged") },
    { name: "its record was emptied", happens: (pod) => node.writeFile(`${stateOf(pod)}/attachment.json`, "") },
    { name: "its VICI socket was removed", happens: (pod) => node.exec(["rm", `${stateOf(pod)}/vici`]) },
    { name: "its namespace was unmounted", happens: (pod) => pod.remove() },
    {
      name: "its namespace's mount point became a plain file",
      happens: async (pod) => {
        await node.exec(["umount", pod.netnsPath]);
      },
    },
    { name: "its link was removed", happens: (pod) => pod.exec(["ip", "link", "delete", "eth0"]), cutOff: true },
    { name: "its guard was removed", happens: (pod) => pod.exec(["nft", "flush", "ruleset"]) },
    { name: "its masquerading was removed", happens: () => node.exec(["nft", "flush", "ruleset"]) },
  ];

  test.each(ACCIDENTS)("removes everything of a pod when $name", async ({ name, happens, cutOff = false }) => {
    await using added = await addedPod(node, name.replaceAll(/\W/g, "-"));
    await happens(added.pod);
    await added.pod.del(conf(), BUILT);
    await node.exec(["mkdir", "-p", "-m", "700", "/run/podvpn/pods"]);
    await nothingLeft(added.pod);
    // A hub that cannot be reached learns of it by its own dead peer detection.
    expect(await leasesOf(added.pod)).toHaveLength(cutOff ? 1 : 0);
  });

  test("without CNI_NETNS removes everything", async () => {
    await using added = await addedPod(node, "no-netns");
    await added.pod.remove();
    await added.pod.runtime(BUILT).del(conf(), { containerID: added.pod.containerID, ifname: "eth0" });
    await nothingLeft(added.pod);
  });

  test("with a configuration that has become wrong removes everything", async () => {
    await using added = await addedPod(node, "misconfigured");
    await added.pod.del(conf({ vpn: { serverIP: "nonsense", PSK: "", pskFile: "/nowhere" } }), BUILT);
    await nothingLeft(added.pod);
  });

  test.each([
    { name: "was killed", signal: "KILL" },
    { name: "does not answer", signal: "STOP" },
  ])("of a pod whose charon $name is done within 5 seconds", async ({ signal }) => {
    await using added = await addedPod(node, "uncharoned");
    const pid = (await node.readFile(`${stateOf(added.pod)}/charon.pid`)).trim();
    await node.exec(["kill", `-${signal}`, pid]);
    const start = performance.now();
    await added.pod.del(conf(), BUILT);
    expect(performance.now() - start).toBeLessThan(5000);
    expect((await added.pod.exec(["ip", "rule"])).stdout).not.toContain("lookup 220");
    await nothingLeft(added.pod);
  });

  test("of a pod whose hub is dead is done within 5 seconds", async () => {
    const address = "10.9.0.252";
    const hubNode = await cluster.testbed.node("dying", { addresses: [`${address}/24`] });
    const hub = await StockHub.start(hubNode, { psk: PSK });
    before = await node.snapshot();
    await using added = await addedPod(node, "orphan", conf({ vpn: { serverIP: address } }));
    await hub.down("SIGKILL");
    const start = performance.now();
    await added.pod.del(conf({ vpn: { serverIP: address } }), BUILT);
    expect(performance.now() - start).toBeLessThan(5000);
    await nothingLeft(added.pod);
  });

  test("without the bridge plugin is an error, and succeeds when that is back", async () => {
    await using added = await addedPod(node, "no-bridge");
    const error = await failure(added.pod.del(conf(), { path: [DIST] }));
    expect(error.code).toBe(100);
    expect(error.msg).toContain('no CNI plugin "bridge"');
    await added.pod.del(conf(), BUILT);
    await nothingLeft(added.pod);
  });
});
