import { createHash } from "node:crypto";
import type { Place } from "../../../src/testbed/place.ts";

/** All that is in the containers. */
const BUSYBOX = "/bin/busybox";

/** The one image: of the sandboxes ("pause") as well as of the pods. Nothing is pulled, there is no registry. */
export const IMAGE = "podvpn.test/busybox:1";

/** GETs a page by HTTP from ADDRESS PORT. Not by busybox's wget: what resolves names crashes in a static glibc. */
const GET = `#!/bin/busybox sh
printf 'GET / HTTP/1.0\\r\\n\\r\\n' | /bin/busybox nc -w 5 "$1" "$2"
`;

/**
 * Makes an image archive as `docker save` does (Image Specification 1.2, "Combined Image JSON + Filesystem Changeset
 * Format") and imports it into containerd, where the kubelet looks.
 */
export async function importImage(node: Place): Promise<void> {
  const script = `
rm -rf /run/image && mkdir -p /run/image/root/bin /run/image/root/tmp && cd /run/image
cp ${BUSYBOX} root/bin/busybox && for name in sh sleep; do ln root/bin/busybox root/bin/$name; done
cat >root/bin/get && chmod 755 root/bin/get
tar -C root --owner=0 --group=0 -cf layer.tar .
sha256sum layer.tar | cut -d' ' -f1`;
  const { stdout } = await node.exec(["sh", "-ec", script], { input: GET });
  const config = JSON.stringify({
    architecture: "amd64",
    os: "linux",
    config: { Env: ["PATH=/bin"], Entrypoint: ["/bin/sleep", "2147483647"] },
    rootfs: { type: "layers", diff_ids: [`sha256:${stdout.trim()}`] },
  });
  const name = `${createHash("sha256").update(config).digest("hex")}.json`;
  const manifest = JSON.stringify([{ Config: name, RepoTags: [IMAGE], Layers: ["layer.tar"] }]);
  const load = `
cd /run/image
printf %s "$1" >"$2"; printf %s "$3" >manifest.json
tar -cf image.tar manifest.json "$2" layer.tar
ctr --namespace k8s.io images import image.tar
rm -rf /run/image`;
  await node.exec(["sh", "-ec", load, "sh", config, name, manifest], { timeout: 60_000 });
}
