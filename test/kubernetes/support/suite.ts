import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import type { Capture } from "../../../src/testbed/capture.ts";
import type { Node } from "../../../src/testbed/node.ts";
import { diffSnapshots, type Snapshot } from "../../../src/testbed/snapshot.ts";
import { podvpn } from "../../netns/support/cli.ts";
import { eventually } from "../../netns/support/eventually.ts";
import { KubernetesCluster, WORKERS, type WorkerName } from "./cluster.ts";
import type { ApiPod } from "./kubectl.ts";
import { deployment, PAGE, PORT } from "./manifests.ts";
import type { NetworkMaker, PodNetwork } from "./network.ts";
import { onlyPods, podsOf } from "./remains.ts";

/** What a cluster's own, encrypted by TLS, is: API server and kubelets. */
const CONTROL_TRAFFIC = "tcp port 6443 or tcp port 10250";

/** Bounds in milliseconds: of a kubelet that is about to do something, and of one that has to find out first. */
const SOON = 60_000;
const LATER = 180_000;

/**
 * The life of one cluster whose only network is a plugin of ours, in the order of the tests. During each of them, and
 * whatever else it is about, nothing may be in plain between the nodes.
 */
export function networkTests(make: NetworkMaker): void {
  const resources = new AsyncDisposableStack();
  let cluster: KubernetesCluster;
  let network: PodNetwork;
  let capture: Capture;
  let idle: Map<WorkerName, Snapshot>;
  let gone: string[];

  beforeAll(async () => {
    cluster = resources.use(await KubernetesCluster.create());
    network = resources.use(await make(cluster));
  });
  beforeEach(async () => {
    capture = await cluster.testbed.capture(`not (${CONTROL_TRAFFIC})`);
  });
  afterEach(async ({ task }) => {
    if (task.result?.state === "fail") process.stderr.write(await cluster.lastWords());
    await capture.stop();
    expect(await capture.packets(network.plain), "in plain on the underlay").toEqual([]);
    expect(await capture.carries(PAGE)).toBe(false);
  });
  afterAll(async () => {
    await resources.disposeAsync();
  });

  /** The pods of a Deployment, each with its node and sandbox, in the order of the nodes: one on each. */
  async function placed(app: string) {
    const pods = await cluster.kubectl.pods(app);
    const byNode = pods.toSorted((a, b) => (a.spec.nodeName ?? "").localeCompare(b.spec.nodeName ?? ""));
    expect(byNode.map((pod) => pod.spec.nodeName)).toEqual(WORKERS);
    return Promise.all(
      WORKERS.map(async (name, index) => {
        const pod = byNode[index];
        if (pod === undefined) throw new RangeError(name);
        return { name, pod, sandbox: await cluster.worker(name).sandboxOf(pod.metadata.uid) };
      }),
    );
  }

  async function deployed(app: string) {
    await cluster.kubectl.apply(deployment(app, WORKERS.length));
    await cluster.kubectl.run(["rollout", "status", `deployment/${app}`, `--timeout=${LATER}ms`], LATER + 10_000);
    return placed(app);
  }

  async function deleted(app: string): Promise<void> {
    await cluster.kubectl.run(["delete", "deployment", app, "--cascade=foreground", `--timeout=${LATER}ms`], LATER);
  }

  /** Each pod gets the other's page, by IPv4 and IPv6, at the addresses that the API server shows. */
  async function expectTalk(app: string): Promise<void> {
    const [a, b] = await placed(app);
    if (a === undefined || b === undefined) throw new RangeError(app);
    for (const [from, to] of [[a.pod, b.pod] as const, [b.pod, a.pod] as const]) {
      for (const ip of ipsOf(to)) {
        const { stdout, stderr } = await cluster.kubectl.exec(from.metadata.name, "get", ip, String(PORT));
        expect(stdout, `${from.metadata.name} asks ${ip}: ${stderr}`).toContain(`${PAGE} ${to.metadata.name}`);
      }
    }
    expect(await capture.count(network.encrypted)).toBeGreaterThan(0);
  }

  /** Waits until the pod's container has been started again, and is Ready. */
  async function restarted(pod: ApiPod, bound: number): Promise<void> {
    const count = `{.status.containerStatuses[0].restartCount}=${restartsOf(pod) + 1}`;
    await cluster.kubectl.wait(`pod/${pod.metadata.name}`, `jsonpath=${count}`, bound);
    await cluster.kubectl.wait(`pod/${pod.metadata.name}`, "condition=Ready", bound);
  }

  async function expectKnown(app: string): Promise<void> {
    const pods = await placed(app);
    await eventually("what is known of pods elsewhere is right", SOON, () => network.knows(pods));
  }

  test("a node is Ready as soon as the plugin's configuration is there, and not before", async () => {
    for (const name of WORKERS) {
      await cluster.kubectl.wait(`node/${name}`, "create", SOON);
      await cluster.kubectl.wait(`node/${name}`, "condition=Ready=False", SOON);
      const message = "jsonpath={.status.conditions[?(@.type=='Ready')].message}";
      expect(await cluster.kubectl.run(["get", `node/${name}`, "-o", message])).toContain("cni plugin not initialized");
      await configure(cluster.worker(name).node, network.conflist(name));
    }
    for (const name of WORKERS) await cluster.kubectl.wait(`node/${name}`, "condition=Ready", SOON);
  });

  test("a Deployment comes and goes", async () => {
    await deployed("first");
    await deleted("first");
    await eventually("nobody else knows its pods", SOON, () => network.knows([]));
    idle = new Map();
    for (const name of WORKERS) {
      const { node } = cluster.worker(name);
      await empty(`pods on ${name}`, async () => podsOf(await node.snapshot()));
      idle.set(name, onlyPods(await node.snapshot()));
    }
  });

  test("pods are Ready by the kubelet's probes, at the address that the network gives them", async () => {
    for (const { name, pod } of await deployed("shop")) {
      const [ipv4, ipv6] = ipsOf(pod);
      const expected = network.addresses(name);
      expect(ipv4).toMatch(expected[0]);
      expect(ipv6).toMatch(expected[1]);
    }
    await expectKnown("shop");
    for (const node of cluster.nodes) expect(await podvpn(node, "status")).toMatchObject({ code: 0 });
  });

  test("they talk to each other", async () => {
    await expectTalk("shop");
  });

  test("a container whose liveness probe fails is restarted, and its pod keeps its addresses", async () => {
    const [, before] = await placed("shop");
    if (before === undefined) throw new RangeError("shop");
    await cluster.kubectl.exec(before.pod.metadata.name, "busybox", "rm", "/tmp/www/index.html");
    await restarted(before.pod, LATER);
    const [, after] = await placed("shop");
    expect(after?.sandbox).toBe(before.sandbox);
    expect(after && ipsOf(after.pod)).toEqual(ipsOf(before.pod));
    await expectTalk("shop");
  });

  test("pods outlive containerd and kubelet, which know them again", async () => {
    const before = await placed("shop");
    for (const name of WORKERS) await cluster.worker(name).restartDaemons();
    for (const { pod } of before) {
      await eventually("the kubelet answers", SOON, async () => {
        return (await cluster.kubectl.exec(pod.metadata.name, "busybox", "true")).code === 0;
      });
    }
    await expectTalk("shop");
    const after = await placed("shop");
    expect(after.map(({ sandbox }) => sandbox)).toEqual(before.map(({ sandbox }) => sandbox));
    expect(after.map(({ pod }) => containerOf(pod))).toEqual(before.map(({ pod }) => containerOf(pod)));
    expect(after.map(({ pod }) => ipsOf(pod))).toEqual(before.map(({ pod }) => ipsOf(pod)));
    await expectKnown("shop");
  });

  test("a pod whose sandbox died gets another one, and talks", async () => {
    const [, before] = await placed("shop");
    if (before === undefined) throw new RangeError("shop");
    await cluster.worker("w2").killSandbox(before.sandbox);
    await restarted(before.pod, LATER);
    const [, after] = await placed("shop");
    expect(after?.pod.metadata.uid).toBe(before.pod.metadata.uid);
    expect(after?.sandbox).not.toBe(before.sandbox);
    await expectTalk("shop");
    await expectKnown("shop");
  });

  test("a node that lost its power comes back with its pods, and they talk", async () => {
    const [lost, other] = await placed("shop");
    if (lost === undefined || other === undefined) throw new RangeError("shop");
    await cluster.powerCycle("w1", async () => {
      for (const ip of ipsOf(lost.pod)) await cluster.kubectl.exec(other.pod.metadata.name, "get", ip, String(PORT));
    });
    await restarted(lost.pod, LATER);
    await expectTalk("shop");
    await expectKnown("shop");
  });

  test("of pods that are deleted, nothing is left on any node, nor elsewhere", async () => {
    gone = (await placed("shop")).flatMap(({ pod }) => ipsOf(pod));
    await deleted("shop");
    await eventually("nobody else knows its pods", SOON, () => network.knows([]));
    for (const name of WORKERS) {
      const before = idle.get(name) ?? new Map();
      await empty(`left on ${name}`, async () =>
        diffSnapshots(before, onlyPods(await cluster.worker(name).node.snapshot())),
      );
    }
  });

  // As a kubelet does that has not yet heard of a pod's end: its probes go on.
  test("a node that has no pods any more does not ask for them in plain", async () => {
    for (const node of cluster.nodes) {
      for (const ip of gone) await node.exec(["busybox", "nc", "-w", "1", ip, String(PORT)], { check: false });
    }
  });
}

/** In one piece, as containerd looks at once. */
async function configure(node: Node, conflist: object): Promise<void> {
  const file = "/etc/cni/net.d/10-podvpn.conflist";
  await node.writeFile(`${file}.new`, JSON.stringify(conflist), 0o600);
  await node.exec(["mv", `${file}.new`, file]);
}

/** Waits until nothing is left. @throws AssertionError that shows what is. */
async function empty(what: string, list: () => Promise<string[]>): Promise<void> {
  await eventually(`nothing is ${what}`, SOON, async () => (await list()).length === 0).catch(async () => {
    expect(await list(), what).toEqual([]);
  });
}

const ipsOf = ({ status }: ApiPod) => (status.podIPs ?? []).map(({ ip }) => ip);
const restartsOf = ({ status }: ApiPod) => status.containerStatuses?.[0]?.restartCount ?? 0;
const containerOf = ({ status }: ApiPod) => status.containerStatuses?.[0]?.containerID;
