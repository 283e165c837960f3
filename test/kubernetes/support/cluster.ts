import { randomBytes } from "node:crypto";
import { mkdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { builtPrograms, removeCgroup } from "../../../scripts/kubernetes.mjs";
import type { Node } from "../../../src/testbed/node.ts";
import { Testbed } from "../../../src/testbed/testbed.ts";
import { eventually } from "../../netns/support/eventually.ts";
import { ControlPlane } from "./control-plane.ts";
import type { Kubectl } from "./kubectl.ts";
import { Worker } from "./worker.ts";

/** Names of the nodes that run pods. */
export const WORKERS = ["w1", "w2"] as const;
export type WorkerName = (typeof WORKERS)[number];

const addresses = (host: number) => [`10.9.0.${host}/24`, `fd00:9::${host.toString(16)}/64`];

/** A control plane and two workers on an underlay of their own. No worker has a network for its pods yet. */
export class KubernetesCluster implements AsyncDisposable {
  readonly #resources: AsyncDisposableStack;
  readonly #workers: Map<WorkerName, Worker>;

  private constructor(
    readonly testbed: Testbed,
    private readonly plane: ControlPlane,
    private readonly boot: (name: WorkerName) => Promise<Worker>,
    workers: Map<WorkerName, Worker>,
    resources: AsyncDisposableStack,
  ) {
    this.#workers = workers;
    this.#resources = resources;
  }

  /** Returns when the API server is ready and the kubelets run. */
  static async create(): Promise<KubernetesCluster> {
    const programs = builtPrograms();
    await using undo = new AsyncDisposableStack();
    const run = runName();
    const disk = join(tmpdir(), run);
    await mkdir(disk, { mode: 0o700 });
    undo.defer(() => rm(disk, { recursive: true }));
    for (const name of WORKERS) undo.defer(() => removeCgroup(`${run}-${name}`));
    const testbed = undo.use(await Testbed.create());
    const control = await testbed.node("control", { addresses: addresses(10) });
    const plane = await ControlPlane.start(control, programs, WORKERS);
    const boot = async (name: WorkerName) => {
      removeCgroup(`${run}-${name}`); // those of its last run
      const node = await testbed.node(name, { addresses: addresses(WORKERS.indexOf(name) + 1) });
      const own = { disk: join(disk, name), cgroups: `${run}-${name}`, kubeconfig: plane.kubeletConfig(name) };
      return Worker.boot(node, { programs, ...own });
    };
    const workers = new Map<WorkerName, Worker>();
    for (const name of WORKERS) workers.set(name, await boot(name));
    return new KubernetesCluster(testbed, plane, boot, workers, undo.move());
  }

  get kubectl(): Kubectl {
    return this.plane.kubectl;
  }

  worker(name: WorkerName): Worker {
    const worker = this.#workers.get(name);
    if (worker === undefined) throw new RangeError(`the cluster has no worker ${name}`);
    return worker;
  }

  get nodes(): Node[] {
    return WORKERS.map((name) => this.worker(name).node);
  }

  /** Takes a worker's power away and boots it again: of all that it had, only its disk is left. */
  async powerCycle(name: WorkerName, meanwhile: () => Promise<void>): Promise<void> {
    const { pid } = this.worker(name).node;
    process.kill(pid, "SIGKILL"); // process 1 of its namespaces: the kernel ends all others before it
    await eventually(`${name} is off`, 10_000, () => !isThere(pid));
    await meanwhile();
    this.#workers.set(name, await this.boot(name));
  }

  /** What there is, and what the workers logged last of what went wrong: for a test that failed. */
  async lastWords(): Promise<string> {
    const state = await this.kubectl.try("get", "nodes,pods", "-o", "wide");
    const events = await this.kubectl.try("get", "events", "-o", `custom-columns=${EVENT}`, "--no-headers");
    const logs = await Promise.all(
      this.nodes.map(async (node) => {
        const { stdout } = await node.exec(["sh", "-c", LAST_WORDS], { check: false });
        return `--- ${node.name} ---\n${stdout}`;
      }),
    );
    return [`${state.stdout}${state.stderr}`, events.stdout, ...logs].join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}

const EVENT = "WHEN:.lastTimestamp,OBJECT:.involvedObject.name,REASON:.reason,MESSAGE:.message";

const LAST_WORDS = `
grep '^E' /var/log/kubelet.log | tail -n 15
grep -E 'level=(warning|error)' /var/log/containerd.log | tail -n 15
tail -n 30 /var/log/podvpn.log`;

/** Of disks and control groups: who finds them later sees whether their process is still there. */
function runName(): string {
  return `podvpn-kubernetes-${process.pid}-${randomBytes(4).toString("hex")}`;
}

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
