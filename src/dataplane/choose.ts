import { Code, Fault } from "../fault.ts";
import type { DataPlane } from "../ipsec/strongswan-conf.ts";
import { espRefusal } from "../netlink/esp.ts";
import { openXfrm } from "../netlink/open.ts";
import { deviceRefusal } from "../os/file.ts";
import { inNetns, type Netns } from "../os/namespace.ts";

/**
 * The data plane to use: the kernel's ESP where a real attempt succeeds, else charon's own over a TUN device.
 * @param wanted What the configuration asks for. @param netns Where charon shall run; here without it.
 * @throws Fault 101 that names what the wanted one lacks.
 */
export async function chooseDataPlane(wanted: DataPlane | "auto", netns?: Netns): Promise<DataPlane> {
  if (wanted === "userspace") return requireTun();
  const refusal = await kernelRefusal(netns);
  if (refusal === undefined) return "kernel";
  if (wanted === "auto") return requireTun(` (and the kernel has no ESP: ${refusal})`);
  throw new Fault(
    Code.missingPart,
    `dataplane is "kernel", but the kernel refuses ESP (${refusal})`,
    "load esp4, esp6, xfrm_user and gcm, or set dataplane to auto or userspace",
  );
}

/**
 * The kernel's ESP in this namespace, for the charon that a node has for all its pods.
 * @throws Fault 101 that names what the kernel lacks.
 */
export async function requireKernelOfNode(): Promise<void> {
  const refusal = await kernelRefusal(undefined);
  if (refusal === undefined) return;
  throw new Fault(
    Code.missingPart,
    `vpn.attach is "node", but the kernel refuses ESP (${refusal})`,
    "load esp4, esp6, xfrm_user and gcm, or set vpn.attach to pod",
  );
}

async function kernelRefusal(netns: Netns | undefined): Promise<string | undefined> {
  try {
    using nl = netns === undefined ? openXfrm() : inNetns(netns, openXfrm);
    return await espRefusal(nl);
  } catch (error) {
    if (error instanceof Fault) throw error;
    return error instanceof Error && "errno" in error ? String(error.errno) : String(error);
  }
}

/** charon 5.9.8 aborts without a usable /dev/net/tun, and its VICI never appears. */
function requireTun(also = ""): DataPlane {
  const refusal = deviceRefusal("/dev/net/tun");
  if (refusal === undefined) return "userspace";
  throw new Fault(
    Code.missingPart,
    `/dev/net/tun cannot be opened (${refusal})${also}`,
    "load the kernel module tun (`modprobe tun`)",
  );
}
