import type { ExecResult, Place } from "../../../src/testbed/place.ts";

/** What `kubectl apply` takes. */
export type Manifest = Readonly<Record<string, unknown>>;

/** A pod as the API shows it: what the tests look at. */
export interface ApiPod {
  readonly metadata: { readonly name: string; readonly namespace: string; readonly uid: string };
  readonly spec: { readonly nodeName?: string };
  readonly status: {
    readonly phase: string;
    readonly podIPs?: readonly { readonly ip: string }[];
    readonly containerStatuses?: readonly { readonly containerID?: string; readonly restartCount: number }[];
  };
}

/** kubectl as an administrator of the cluster. */
export class Kubectl {
  /** @param place Where it runs. @param program The path of kubectl. @param kubeconfig A file at that place. */
  constructor(
    private readonly place: Place,
    private readonly program: string,
    private readonly kubeconfig: string,
  ) {}

  /** Its standard output. @param bound Milliseconds. @throws Fault 5 with its messages when it fails. */
  async run(args: readonly string[], bound = 30_000): Promise<string> {
    return (await this.place.exec([...this.#argv(args)], { timeout: bound })).stdout;
  }

  /** As {@link run}, with a failure as a result like any other. */
  try(...args: string[]): Promise<ExecResult> {
    return this.place.exec([...this.#argv(args)], { check: false, timeout: 60_000 });
  }

  async apply(...manifests: Manifest[]): Promise<void> {
    const list = { apiVersion: "v1", kind: "List", items: manifests };
    await this.place.exec([...this.#argv(["apply", "-f", "-"])], { input: JSON.stringify(list), timeout: 30_000 });
  }

  /** Waits until an object has what `--for` names, by watching it. @param bound Milliseconds. @throws Fault 5. */
  async wait(object: string, condition: string, bound: number): Promise<void> {
    await this.run(["wait", object, `--for=${condition}`, `--timeout=${bound}ms`], bound + 10_000);
  }

  /** The pods with a label `app`, by name. */
  async pods(app: string): Promise<ApiPod[]> {
    const output = await this.run(["get", "pods", "-l", `app=${app}`, "-o", "json"]);
    const { items }: { items: ApiPod[] } = JSON.parse(output); // the API server's word for it
    return items.toSorted((a, b) => a.metadata.name.localeCompare(b.metadata.name));
  }

  /** Runs a command in the container of a pod, through API server, kubelet and containerd. */
  exec(pod: string, ...command: string[]): Promise<ExecResult> {
    return this.try("exec", pod, "--", ...command);
  }

  #argv(args: readonly string[]): [string, ...string[]] {
    return [this.program, `--kubeconfig=${this.kubeconfig}`, ...args];
  }
}
