import { cri } from "../../../scripts/reference.mjs";
import type { Node } from "../../../src/testbed/node.ts";
import { patience } from "../../../src/testbed/patience.ts";
import type { ExecResult } from "../../../src/testbed/place.ts";
import type { Program } from "../../../src/testbed/program.ts";
import { eventually } from "../../netns/support/eventually.ts";
import { BIN_DIRECTORY, IMAGE, IMAGE_ARCHIVE, prepareContainerNode } from "./container-node.ts";
import type { Container, ContainerRuntime } from "./container-runtime.ts";
import type { NetworkList } from "./networks.ts";

const CRI = await cri();
const STORAGE = "/var/lib/containerd";
const SOCKET = "/run/containerd/containerd.sock";
const CRUN = "/opt/containerd/crun";

/** restrict_oom_score_adj: a sandbox should get -998, for which a test machine may lack the right. */
const CONFIG = `
version = 2
root = "${STORAGE}"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
address = "${SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "${IMAGE}"
restrict_oom_score_adj = true
disable_apparmor = true
disable_cgroup = true
disable_hugetlb_controller = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
default_runtime_name = "crun"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.crun]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.crun.options]
BinaryName = "${CRUN}"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "${BIN_DIRECTORY}"
conf_dir = "/etc/cni/net.d"
`;

/** A message of CRI's, as JSON. */
type Message = Readonly<Record<string, unknown>>;

/** containerd on one node, called by CRI as a kubelet does. A shim watches each pod. */
export class Containerd implements ContainerRuntime {
  private constructor(
    readonly node: Node,
    private program: Program,
  ) {}

  static async start(node: Node, list: NetworkList): Promise<Containerd> {
    await prepareContainerNode(node, list, STORAGE);
    await node.writeFile("/etc/containerd/config.toml", CONFIG);
    await node.writeFile(CRUN, '#!/bin/sh\nexec crun --cgroup-manager=disabled "$@"\n', 0o755);
    const containerd = new Containerd(node, await serving(node));
    await node.exec(["ctr", "--address", SOCKET, "--namespace", "k8s.io", "images", "import", IMAGE_ARCHIVE]);
    return containerd;
  }

  /** SIGKILL, and a new one. What watches pods goes on meanwhile, and is found again. */
  async restart(meanwhile: () => Promise<void>): Promise<void> {
    await this.program.stop("SIGKILL");
    await meanwhile();
    this.program = await serving(this.node);
  }

  async run(name: string): Promise<Pod> {
    const config = {
      metadata: { name, namespace: "default", uid: name, attempt: 0 },
      hostname: name,
      log_directory: "/run/log",
      linux: {},
    };
    const { pod_sandbox_id: id } = await this.call("RunPodSandbox", { config });
    const container = await this.call("CreateContainer", {
      pod_sandbox_id: id,
      sandbox_config: config,
      config: { metadata: { name: "main" }, image: { image: IMAGE }, linux: {} },
    });
    await this.call("StartContainer", { container_id: container.container_id });
    return Pod.of(this, String(id), String(container.container_id));
  }

  /** How it sees a pod: "SANDBOX_READY" or "SANDBOX_NOTREADY". */
  async state(pod: Container): Promise<string> {
    return (await sandboxStatus(this, pod.id)).state;
  }

  /** @returns The response. @throws Error with containerd's message. */
  async call(method: string, request: Message): Promise<Message> {
    const input = JSON.stringify(request);
    const argv = [CRI, SOCKET, method] as const;
    const { code, stdout, stderr } = await this.node.exec(argv, { input, check: false, timeout: 60_000 });
    if (code !== 0) throw new Error(`${method}: ${stderr}`);
    return JSON.parse(stdout);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.program.stop();
  }
}

/** Returns when CRI answers, which is some time after containerd says that it is there. */
async function serving(node: Node): Promise<Program> {
  const program = node.spawn(["containerd"]);
  await program.line(/containerd successfully booted/, patience(30_000));
  await eventually("CRI answers", 30_000, async () => {
    const { code } = await node.exec([CRI, SOCKET, "Status"], { input: "{}", check: false });
    return code === 0;
  });
  return program;
}

/** A pod's sandbox with one container in it. */
export class Pod implements Container {
  #removed = false;

  private constructor(
    private readonly containerd: Containerd,
    readonly id: string,
    private readonly containerId: string,
    readonly addresses: readonly string[],
  ) {}

  static async of(containerd: Containerd, id: string, containerId: string): Promise<Pod> {
    const { network } = await sandboxStatus(containerd, id);
    const addresses = [network.ip, ...network.additional_ips.map(({ ip }) => ip)];
    return new Pod(containerd, id, containerId, addresses);
  }

  async exec(cmd: readonly [string, ...string[]]): Promise<ExecResult> {
    const response = await this.containerd.call("ExecSync", { container_id: this.containerId, cmd, timeout: 20 });
    const text = (field: string) => Buffer.from(String(response[field]), "base64").toString();
    return { code: Number(response.exit_code), signal: null, stdout: text("stdout"), stderr: text("stderr") };
  }

  async kill(): Promise<void> {
    const { node } = this.containerd;
    const processes = ["pgrep", "--full", `containerd-shim.*${this.id}`] as const;
    const shims = (await node.exec([...processes])).stdout.trim().split("\n");
    const children = await Promise.all(shims.map((shim) => node.exec(["pgrep", "--parent", shim])));
    const pids = [...shims, ...children.flatMap(({ stdout }) => stdout.trim().split("\n"))];
    // Of those that are left: containerd kills what is in the pod of a shim that has died.
    await node.exec(["kill", "-KILL", ...pids], { check: false });
  }

  async remove(): Promise<void> {
    if (this.#removed) return; // StopPodSandbox does not take it twice
    await this.containerd.call("StopPodSandbox", { pod_sandbox_id: this.id });
    await this.containerd.call("RemovePodSandbox", { pod_sandbox_id: this.id });
    this.#removed = true;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.remove();
  }
}

interface SandboxStatus {
  readonly state: string;
  readonly network: { readonly ip: string; readonly additional_ips: readonly { readonly ip: string }[] };
}

async function sandboxStatus(containerd: Containerd, id: string): Promise<SandboxStatus> {
  const { status } = await containerd.call("PodSandboxStatus", { pod_sandbox_id: id });
  return status as SandboxStatus; // the runtime's answer, by api.proto
}
