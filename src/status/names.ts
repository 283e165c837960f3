import type { Attachment } from "../attachment/record.ts";
import { parseArgs } from "../cni/environment.ts";

/** What Kubernetes calls a pod. */
export interface PodName {
  readonly namespace: string;
  readonly name: string;
}

/** What a container runtime that serves Kubernetes tells in CNI_ARGS; undefined from another one. Pure. */
export function podName(args: string | undefined): PodName | undefined {
  const pairs = readArgs(args ?? "");
  const [namespace, name] = [pairs?.get("K8S_POD_NAMESPACE"), pairs?.get("K8S_POD_NAME")];
  return namespace && name ? { namespace, name } : undefined;
}

/** What an operator knows an attachment by: the pod, else the beginning of the container's ID. Pure. */
export function attachmentName({
  args,
  containerID,
  ifname,
}: Pick<Attachment, "args" | "containerID" | "ifname">): string {
  const pod = podName(args);
  return `${pod === undefined ? containerID.slice(0, ID_SHOWN) : `${pod.namespace}/${pod.name}`} ${ifname}`;
}

/** As the tools of container runtimes shorten it. */
const ID_SHOWN = 12;

/** An ADD has taken them, but a record can be changed by hand. */
function readArgs(text: string): ReadonlyMap<string, string> | undefined {
  try {
    return parseArgs(text);
  } catch {
    return undefined;
  }
}
