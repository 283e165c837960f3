import type { Node } from "../../../src/testbed/node.ts";
import { DIST } from "./cluster.ts";

/** Puts the plugins, ours and the reference ones, where a runtime looks for them. */
export async function installPlugins(node: Node): Promise<void> {
  const links = `mkdir -p /opt/cni/bin; ln -sf ${DIST}/podvpn ${DIST}/wireguard ${DIST}/strongswan /usr/lib/cni/* /opt/cni/bin`;
  await node.exec(["sh", "-ec", links]);
}

/** What a real node has: plugins where the runtime looks for them, and something like systemd for the agent's unit. */
export async function installed(node: Node): Promise<void> {
  await installPlugins(node);
  await node.writeFile("/run/testbin/systemctl", SYSTEMCTL, 0o755);
  await node.exec(["mount", "--bind", "/run/testbin", "/usr/local/sbin"]);
}

/** Knows one unit, and how to start it and to start it anew; the pid namespace is the node's own. */
const SYSTEMCTL = `#!/bin/sh
case "$*" in
  "start podvpn") ;;
  "restart podvpn")
    pid=$(pgrep -f 'podvpn agent --config') && kill $pid
    while kill -0 $pid 2>/dev/null; do sleep 0.1; done ;;
  *) exit 5 ;;
esac
setsid ${DIST}/podvpn agent --config /etc/podvpn/agent.yaml </dev/null >/run/agent.log 2>&1 &
`;
