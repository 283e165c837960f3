import type { Node } from "../../../src/testbed/node.ts";
import type { ExecResult } from "../../../src/testbed/place.ts";
import { BIN_DIRECTORY, IMAGE, IMAGE_ARCHIVE, prepareContainerNode } from "./container-node.ts";
import type { Container, ContainerRuntime } from "./container-runtime.ts";
import { NETWORK, type NetworkList } from "./networks.ts";

const STORAGE = "/var/lib/containers";

/** default_ulimits: else it raises limits, for which a test machine may lack the right. */
const CONTAINERS_CONF = `
[containers]
default_ulimits = []
cgroups = "disabled"
cgroupns = "host"
seccomp_profile = "unconfined"
log_driver = "k8s-file"
[network]
network_backend = "cni"
cni_plugin_dirs = ["${BIN_DIRECTORY}"]
network_config_dir = "/etc/cni/net.d"
[engine]
runtime = "crun"
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file" # not in /dev/shm, which the nodes share
`;

const STORAGE_CONF = `
[storage]
driver = "vfs"
runroot = "/run/containers/storage"
graphroot = "${STORAGE}/storage"
`;

/** podman with CNI as its network, on one node. It has no daemon: `conmon` watches each container. */
export class Podman implements ContainerRuntime {
  private constructor(private readonly node: Node) {}

  static async start(node: Node, list: NetworkList): Promise<Podman> {
    await prepareContainerNode(node, list, STORAGE);
    await node.writeFile("/etc/containers/containers.conf", CONTAINERS_CONF);
    await node.writeFile("/etc/containers/storage.conf", STORAGE_CONF);
    const podman = new Podman(node);
    await podman.call("load", "--quiet", "--input", IMAGE_ARCHIVE);
    return podman;
  }

  async run(name: string): Promise<PodmanContainer> {
    const { stdout } = await this.call(
      ...(["run", "--detach", "--name", name, "--network", NETWORK, "--cap-add", "NET_RAW", IMAGE] as const),
    ).catch(async (error: unknown) => {
      await this.call("rm", "--force", "--ignore", name);
      throw error;
    });
    return PodmanContainer.of(this, this.node, stdout.trim());
  }

  /** Stops a container, its network included, and starts it with a new one. */
  async restart(container: Container): Promise<Container> {
    await this.call("restart", "--time", "0", container.id);
    return PodmanContainer.of(this, this.node, container.id);
  }

  /** Runs `podman …`. @throws Error with its messages when it fails. */
  async call(...args: readonly string[]): Promise<ExecResult> {
    const result = await this.exec(args);
    if (result.code !== 0) throw new Error(`podman ${args.join(" ")}: ${result.stderr}`);
    return result;
  }

  exec(args: readonly string[]): Promise<ExecResult> {
    return this.node.exec(["podman", ...args], { check: false, timeout: 60_000 });
  }

  /** Nothing of it runs but what watches containers. */
  async [Symbol.asyncDispose](): Promise<void> {}
}

/** A container of podman's. */
export class PodmanContainer implements Container {
  private constructor(
    private readonly podman: Podman,
    private readonly node: Node,
    readonly id: string,
    readonly addresses: readonly string[],
  ) {}

  static async of(podman: Podman, node: Node, id: string): Promise<PodmanContainer> {
    const addresses = (await inspected(podman, id, ADDRESSES)).split(" ");
    return new PodmanContainer(
      podman,
      node,
      id,
      addresses.filter((address) => address !== ""),
    );
  }

  exec(argv: readonly [string, ...string[]]): Promise<ExecResult> {
    return this.podman.exec(["exec", this.id, ...argv]);
  }

  async kill(): Promise<void> {
    const pids = await inspected(this.podman, this.id, "{{.State.ConmonPid}} {{.State.Pid}}");
    await this.node.exec(["kill", "-KILL", ...pids.split(" ")]);
  }

  async remove(): Promise<void> {
    await this.podman.call("rm", "--force", "--ignore", "--time", "0", this.id);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.remove();
  }
}

const ADDRESSES = `{{with index .NetworkSettings.Networks "${NETWORK}"}}{{.IPAddress}} {{.GlobalIPv6Address}}{{end}}`;

async function inspected(podman: Podman, id: string, format: string): Promise<string> {
  return (await podman.call("inspect", "--format", format, id)).stdout.trim();
}
