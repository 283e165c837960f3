import { chooseDataPlane } from "../../dataplane/choose.ts";
import { Code, Fault } from "../../fault.ts";
import type { DataPlane } from "../../ipsec/strongswan-conf.ts";
import { type Address, family } from "../../net/address.ts";
import { contains, type InterfaceAddress, networkAddress, type Prefix, prefixLength } from "../../net/prefix.ts";
import { NetlinkError } from "../../netlink/error.ts";
import { addLink, getLink } from "../../netlink/links.ts";
import type { Netlink } from "../../netlink/netlink.ts";
import { MESH_DEVICE } from "../../node/guards.ts";
import { listDirectory, readText } from "../../os/file.ts";

/** Name of the driver's device with kernel ESP. */
export const DEVICE = MESH_DEVICE;

/** Joins the device with its policies and security associations. Pods' have greater numbers (src/node/charon/if-id.ts). */
export const IF_ID = 0x6d_65_73;

/**
 * Who does the ESP. In the kernel only where it has XFRM interfaces: with one device that all of the mesh goes through,
 * the guard is nearly the same (`isXfrm` of meshTable), and as sure, as with every other tunnel. Makes that device, as the one sure way to know.
 * @throws Fault 101 that names what the wanted one lacks, Fault 102 when somebody else has the name.
 */
export async function chooseMeshDataPlane(nl: Netlink, wanted: DataPlane | "auto"): Promise<DataPlane> {
  const able = await chooseDataPlane(wanted);
  if (able === "userspace") return able;
  const refusal = await ensureXfrmDevice(nl);
  if (refusal === undefined) return able;
  if (wanted === "auto") return chooseDataPlane("userspace");
  throw new Fault(
    Code.missingPart,
    `ipsec.dataplane is "kernel", but the kernel makes no XFRM interface (${refusal})`,
    "load the kernel module xfrm_interface, or set ipsec.dataplane to auto or userspace",
  );
}

/** @returns The errno of a kernel that has no such devices. @throws Fault 102, NetlinkError. */
export async function ensureXfrmDevice(nl: Netlink): Promise<string | undefined> {
  const there = await getLink(nl, DEVICE);
  if (there?.ifId === IF_ID) return undefined;
  if (there !== undefined) {
    const what = `there is a link ${DEVICE} already, and it is not podvpn's`;
    throw new Fault(Code.kernel, what, `remove it: \`ip link del ${DEVICE}\``);
  }
  try {
    await addLink(nl, { kind: "xfrm", name: DEVICE, ifId: IF_ID });
    return undefined;
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
    if (error.errno === "ENOTSUP") return error.errno;
    if (error.errno !== "EEXIST") throw error;
    throw new Fault(
      Code.kernel,
      `another XFRM interface has the number ${IF_ID}`,
      "see with `ip -d link show type xfrm` which one, and give that another",
      { cause: error },
    );
  }
}

/**
 * Name of the TUN device that charon has made, by what the kernel tells of charon's descriptors (/proc/PID/fdinfo): charon
 * calls it ipsec0, or the next that is free. Undefined when it has none.
 */
export function tunDevice(pid: number): string | undefined {
  const directory = `/proc/${pid}/fdinfo`;
  for (const fd of listDirectory(directory)) {
    const [, name] = /^iff:\t(\S+)$/m.exec(readText(`${directory}/${fd}`) ?? "") ?? [];
    if (name !== undefined) return name;
  }
  return undefined;
}

/**
 * The device's own addresses. libipsec (5.9.8) installs no policy for a local prefix of which the node has no address; where
 * it has none (a gateway's other nodes), the prefix's first one stands in: a network's own, which no pod has. Pure.
 */
export function deviceAddresses(
  dataPlane: DataPlane,
  addresses: readonly Address[],
  local: readonly Prefix[],
): InterfaceAddress[] {
  const lacking =
    dataPlane === "kernel"
      ? []
      : [...new Set(local)].filter(
          (prefix) =>
            !addresses.some((address) => contains(prefix, address)) && prefixLength(prefix) < bits(prefix) - 1,
        );
  return [...addresses, ...lacking.map(networkAddress)].map((address) => ({ address, prefixLength: bits(address) }));
}

function bits(address: Address | Prefix): 32 | 128 {
  return family(address) === 4 ? 32 : 128;
}
