import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Node } from "../../src/testbed/node.ts";
import type { Pod } from "../../src/testbed/pod.ts";
import { diffSnapshots, type Snapshot } from "../../src/testbed/snapshot.ts";
import { addedPod, BUILT, Cluster, conf, DIST, virtualIP } from "./support/cluster.ts";
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
  /** `/run/podvpn` as a file system of its own, that has room for `left` bytes. */
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

  test.each([0, 4096, 8192, 12288])("fails ADD with %i bytes left, which leaves nothing", async (left) => {
    await using _disk = await small(left);
    const error = await failedAdd(node, conf());
    console.log(left, error);
    expect(error.msg).toContain("free space on");
    expect(error.code).toBe(error.msg.startsWith("charon") ? 103 : 5);
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
    const leases = await cluster.onlineLeases();
    expect(leases).toHaveLength(1);
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
});
