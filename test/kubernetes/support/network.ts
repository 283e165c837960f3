import type { KubernetesCluster, WorkerName } from "./cluster.ts";
import type { ApiPod } from "./kubectl.ts";

/** What the tests must know of a kind of network. */
export interface PodNetwork extends AsyncDisposable {
  /** Packets between nodes that must not be (tcpdump's language). */
  readonly plain: string;
  /** What is between nodes instead. */
  readonly encrypted: string;
  /** What goes into /etc/cni/net.d/10-podvpn.conflist of a worker. */
  conflist(worker: WorkerName): Readonly<Record<string, unknown>>;
  /** A pattern for each address, IPv4 and IPv6, that the API server must show for a pod of this worker. */
  addresses(worker: WorkerName): readonly [RegExp, RegExp];
  /**
   * Whether all that knows of pods elsewhere than on their nodes knows these pods, and no others.
   * @param pods With the id of the sandbox of each.
   */
  knows(pods: readonly { readonly pod: ApiPod; readonly sandbox: string }[]): Promise<boolean>;
}

/** Makes what a network needs before its first pod. */
export type NetworkMaker = (cluster: KubernetesCluster) => Promise<PodNetwork>;
