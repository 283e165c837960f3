import type { Node } from "../../../src/testbed/node.ts";
import { DIST } from "../../netns/support/cluster.ts";
import type { NetworkList } from "./networks.ts";

/** The image that all containers are made of: a busybox, and `sleep` as what it runs. */
export const IMAGE = "localhost/busybox:1";
/** The same image as `docker save` would write it. */
export const IMAGE_ARCHIVE = "/var/lib/image/image.tar";

/** The only directory in which runtimes look for plugins. */
export const BIN_DIRECTORY = "/opt/cni/bin";

/** Debian's reference plugins: what who installs podman or containerd from Debian has. */
const REFERENCE_PLUGINS = "/usr/lib/cni";

/**
 * Makes a testbed's node one on which containers run: plugins installed, the network configured, an image. All that it
 * writes and mounts is in the node's own memory.
 *
 * Containers are made without cgroups. No plugin has to do with them, and groups would be the machine's: what a killed
 * test left in them would stay. A tmpfs where cgroups should be is what crun takes for a machine without version 2.
 * @param storage The runtime's directory of images and containers.
 */
export async function prepareContainerNode(node: Node, list: NetworkList, storage: string): Promise<void> {
  await node.exec(["sh", "-ec", PREPARE, "sh", storage, BIN_DIRECTORY, REFERENCE_PLUGINS, IMAGE, IMAGE_ARCHIVE]);
  await node.exec([`${DIST}/podvpn`, "install", "--bin-dir", BIN_DIRECTORY]);
  await node.writeFile("/etc/cni/net.d/10-podnet.conflist", JSON.stringify(list), 0o600);
}

const PREPARE = `
storage=$1 bin=$2 reference=$3 image=$4 archive=$5
mount -n -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
mkdir -p "$storage" "$bin"
mount -n -t tmpfs -o mode=711 tmpfs "$storage" # an overlay can be on top of it, and not on top of another overlay
ln -s "$reference"/* "$bin"

work=\${archive%/*}
mkdir -p "$work/root/bin"
cd "$work"
cp /bin/busybox root/bin
for applet in sh sleep ping ip; do ln -s busybox "root/bin/$applet"; done
tar --sort=name --mtime=@0 -C root -cf layer.tar .
layer=$(sha256sum layer.tar)
cat >config.json <<CONFIG
{"architecture":"amd64","os":"linux","config":{"Env":["PATH=/bin"],"Cmd":["/bin/sleep","1000000"]},
 "rootfs":{"type":"layers","diff_ids":["sha256:\${layer%% *}"]}}
CONFIG
cat >manifest.json <<MANIFEST
[{"Config":"config.json","RepoTags":["$image"],"Layers":["layer.tar"]}]
MANIFEST
tar -cf "$archive" manifest.json config.json layer.tar
rm -r root layer.tar`;
