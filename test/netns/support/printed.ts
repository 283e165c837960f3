import type { Pod } from "../../../src/testbed/pod.ts";
import { DIST } from "./cluster.ts";

/** What a plugin itself prints, before any runtime has read it: called by hand in the node. */
export async function printed(
  plugin: "strongswan" | "wireguard",
  pod: Pod,
  verb: string,
  configuration: object,
  env: Record<string, string> = {},
) {
  const { code, stdout, stderr } = await pod.node.exec([`${DIST}/${plugin}`], {
    input: JSON.stringify(configuration),
    check: false,
    env: {
      CNI_COMMAND: verb,
      CNI_CONTAINERID: pod.containerID,
      CNI_NETNS: pod.netnsPath,
      CNI_IFNAME: "eth0",
      CNI_PATH: `${DIST}:/usr/lib/cni`,
      ...env,
    },
  });
  return { code, stderr, json: stdout === "" ? undefined : JSON.parse(stdout) };
}
