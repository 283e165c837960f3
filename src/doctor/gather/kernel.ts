import { release } from "node:os";
import { NetlinkError } from "../../netlink/error.ts";
import { espRefusal } from "../../netlink/esp.ts";
import { addLink } from "../../netlink/links.ts";
import { openRoute, openXfrm } from "../../netlink/open.ts";
import { listTables } from "../../nftables/apply.ts";
import { deviceRefusal } from "../../os/file.ts";
import { kernelRefusal } from "../../wireguard/kernel.ts";

/** What the kernel has. Each but the release is the errno with which a real attempt was refused; absent: it works. */
export interface KernelFacts {
  readonly release: string;
  readonly wireguard?: string;
  readonly esp?: string;
  readonly xfrmInterface?: string;
  readonly tun?: string;
  readonly nftables?: string;
}

/** Tries them all. Leaves nothing behind. */
export async function readKernel(): Promise<KernelFacts> {
  const [wireguard, esp, xfrmInterface, nftables] = await Promise.all([
    refusal(kernelRefusal),
    refusal(tryEsp),
    refusal(tryXfrmInterface),
    refusal(() => listTables().then(() => undefined)),
  ]);
  const tun = deviceRefusal("/dev/net/tun");
  return {
    release: release(),
    ...(wireguard !== undefined && { wireguard }),
    ...(esp !== undefined && { esp }),
    ...(xfrmInterface !== undefined && { xfrmInterface }),
    ...(tun !== undefined && { tun }),
    ...(nftables !== undefined && { nftables }),
  };
}

async function tryEsp(): Promise<string | undefined> {
  using nl = openXfrm();
  return await espRefusal(nl);
}

/** With a name that cannot be: the kernel finds the driver, and refuses the name at the very end. */
async function tryXfrmInterface(): Promise<string | undefined> {
  using nl = openRoute();
  const errno = await refusal(() => addLink(nl, { kind: "xfrm", name: "/", ifId: 0x706f6401 }).then(() => undefined));
  return errno === "EINVAL" ? undefined : errno;
}

async function refusal(attempt: () => Promise<string | undefined>): Promise<string | undefined> {
  try {
    return await attempt();
  } catch (error) {
    if (error instanceof NetlinkError) return error.errno;
    throw error;
  }
}
