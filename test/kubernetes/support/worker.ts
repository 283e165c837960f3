import type { Node } from "../../../src/testbed/node.ts";
import { PODVPN } from "../../netns/support/hub.ts";
import { mountCgroups } from "./cgroups.ts";
import { Daemon } from "./daemon.ts";
import { IMAGE, importImage } from "./image.ts";

/** What a worker is made of. */
export interface WorkerOptions {
  /** Directory with the built programs. */
  readonly programs: string;
  /** Directory of ours that is the worker's disk: what survives when it loses its power. */
  readonly disk: string;
  /** Name of its control groups. */
  readonly cgroups: string;
  readonly kubeconfig: string;
}

/** What of a worker is on its disk. */
const ON_DISK = [
  "/etc/cni/net.d",
  "/etc/podvpn",
  "/opt/cni",
  "/var/lib/cni",
  "/var/lib/containerd",
  "/var/lib/kubelet",
  "/var/lib/podvpn",
  "/var/log",
] as const;

const SOCKET = "/run/containerd/containerd.sock";
const KUBECONFIG = "/var/lib/kubelet/kubeconfig";

/** A node with containerd and kubelet, whose pods get their network from what is in /etc/cni/net.d and from nobody else. */
export class Worker {
  #containerd: Daemon;
  #kubelet: Daemon;

  private constructor(
    readonly node: Node,
    private readonly programs: string,
    daemons: { readonly containerd: Daemon; readonly kubelet: Daemon },
  ) {
    this.#containerd = daemons.containerd;
    this.#kubelet = daemons.kubelet;
  }

  /** Boots a node: mounts its disk, installs what is missing there, starts containerd and kubelet. */
  static async boot(node: Node, options: WorkerOptions): Promise<Worker> {
    await node.exec(["sh", "-ec", MOUNT_DISK, "sh", options.disk, ...ON_DISK]);
    await node.exec(["sh", "-ec", FENCE_TUNABLES, "sh", ...Object.entries(TUNABLES).flat()]);
    await mountCgroups(node, options.cgroups);
    await node.exec([PODVPN, "install"]);
    await node.exec(["sh", "-ec", "ln -sf /usr/lib/cni/* /opt/cni/bin/"]); // as the README says
    await node.writeFile("/etc/containerd/config.toml", CONTAINERD_CONFIG);
    await node.writeFile("/var/lib/kubelet/config.json", JSON.stringify(KUBELET_CONFIG));
    await node.writeFile(KUBECONFIG, options.kubeconfig, 0o600);
    const containerd = await startContainerd(node);
    await importImage(node);
    return new Worker(node, options.programs, { containerd, kubelet: startKubelet(node, options.programs) });
  }

  /** Kills containerd and kubelet, and starts them again. Their pods go on. */
  async restartDaemons(): Promise<void> {
    await Promise.all([this.#kubelet.kill(), this.#containerd.kill()]);
    this.#containerd = await startContainerd(this.node);
    this.#kubelet = startKubelet(this.node, this.programs);
  }

  /** The id of the sandbox of a pod: what CNI plugins get as CNI_CONTAINERID. One that is up, the last one. */
  async sandboxOf(uid: string): Promise<string> {
    const labels = `labels."io.kubernetes.pod.uid"==${uid},labels."io.cri-containerd.kind"==sandbox`;
    const ctr = ["ctr", "--namespace", "k8s.io"] as const;
    const [sandboxes, tasks] = await Promise.all([
      this.node.exec([...ctr, "containers", "list", "--quiet", labels]),
      this.node.exec([...ctr, "tasks", "list"]),
    ]);
    const running = sandboxes.stdout.split("\n").filter((id) => id !== "" && tasks.stdout.includes(`${id} `));
    const [only, ...others] = running.filter((id) => new RegExp(`^${id} +\\d+ +RUNNING`, "m").test(tasks.stdout));
    if (only !== undefined && others.length === 0) return only;
    throw new Error(`${others.length + (only === undefined ? 0 : 1)} sandboxes of pod ${uid} are up:\n${tasks.stdout}`);
  }

  /** Kills the process that holds the namespaces of a sandbox. */
  async killSandbox(id: string): Promise<void> {
    await this.node.exec(["ctr", "--namespace", "k8s.io", "tasks", "kill", "--signal", "SIGKILL", id]);
  }
}

async function startContainerd(node: Node): Promise<Daemon> {
  const containerd = Daemon.start(node, "containerd", { argv: ["/usr/bin/containerd"], cgroups: true });
  await containerd.serving(30_000, async () => (await node.exec(["ctr", "version"], { check: false })).code === 0);
  return containerd;
}

function startKubelet(node: Node, programs: string): Daemon {
  const argv = [
    `${programs}/kubelet`,
    "--config=/var/lib/kubelet/config.json",
    `--kubeconfig=${KUBECONFIG}`,
    `--hostname-override=${node.name}`,
    `--node-ip=${node.address(4)},${node.address(6)}`,
  ] as const;
  return Daemon.start(node, "kubelet", { argv, cgroups: true });
}

const MOUNT_DISK = `disk=$1; shift
for directory; do
  mkdir -p "$disk$directory" "$directory"
  chmod --reference="$directory" "$disk$directory"
  mount --bind "$disk$directory" "$directory"
done`;

/** Settings of the whole machine that a kubelet makes its own; the values are those that it wants. */
const TUNABLES = {
  "vm/overcommit_memory": "1",
  "vm/panic_on_oom": "0",
  "kernel/panic": "10",
  "kernel/panic_on_oops": "1",
  "kernel/keys/root_maxkeys": "1000000",
  "kernel/keys/root_maxbytes": "25000000",
};

/** The kubelet finds what it wants, and nothing of it changes the machine. Mounted over: these are not of a namespace. */
const FENCE_TUNABLES = `while [ $# -gt 0 ]; do
  mkdir -p "/run/tunables/$(dirname "$1")"
  echo "$2" >"/run/tunables/$1"
  mount --bind "/run/tunables/$1" "/proc/sys/$1"
  shift 2
done`;

/** No settings that a machine without CAP_SYS_RESOURCE, AppArmor or huge pages cannot have. */
const CONTAINERD_CONFIG = `version = 2
[grpc]
  address = "${SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${IMAGE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  disable_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/opt/cni/bin"
    conf_dir = "/etc/cni/net.d"
`;

const KUBELET_CONFIG = {
  apiVersion: "kubelet.config.k8s.io/v1beta1",
  kind: "KubeletConfiguration",
  authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
  authorization: { mode: "AlwaysAllow" }, // whoever speaks to it is in the testbed
  containerRuntimeEndpoint: `unix://${SOCKET}`,
  resolvConf: "",
  // What the machine may lack: cgroup v2, a cgroup for each class of pods, a negative oom_score_adj.
  failCgroupV1: false,
  cgroupDriver: "cgroupfs",
  cgroupsPerQOS: false,
  enforceNodeAllocatable: [],
  oomScoreAdj: 0,
  failSwapOn: false,
  localStorageCapacityIsolation: false,
  // However full the machine's disk is.
  evictionHard: {
    "imagefs.available": "0%",
    "nodefs.available": "0%",
    "nodefs.inodesFree": "0%",
    "memory.available": "0%",
  },
  imageGCHighThresholdPercent: 100,
};
