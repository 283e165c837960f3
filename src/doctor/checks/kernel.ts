import { type Finding, findingsOf } from "../finding.ts";
import type { KernelFacts } from "../gather/kernel.ts";

/** Which tunnels this node has, or is to have. */
export interface Needs {
  readonly wireguard: boolean;
  readonly ipsec: boolean;
}

/** The programs that stand in for the kernel. */
export interface StandIns {
  readonly wireguardGo: boolean;
  readonly charon: boolean;
}

/** What of the kernel the tunnels need; what user space does instead is enough. Pure. */
export function checkKernel(facts: KernelFacts, needs: Needs, standIns: StandIns): Finding[] {
  return [nftables(facts, needs), tun(facts, needs), wireguard(facts, needs, standIns), ...esp(facts, needs, standIns)];
}

const { ok, none, warning, bad } = findingsOf("kernel");

/** Makes the device's file as well: some containers have the driver, and not the file. */
const MAKE_TUN = "modprobe tun; mkdir -p /dev/net && { [ -c /dev/net/tun ] || mknod -m 0666 /dev/net/tun c 10 200; }";

function nftables({ nftables: refusal, release }: KernelFacts, needs: Needs): Finding {
  if (refusal === undefined) return ok(`nf_tables works (Linux ${release})`);
  const what = `nf_tables does not work (${refusal}): nothing keeps packets of pods from leaving in plain`;
  const mending = { command: "modprobe nf_tables" };
  return needs.wireguard || needs.ipsec ? bad(what, mending) : warning(what, mending);
}

function tun({ tun: refusal, wireguard: noWireguard, esp: noEsp }: KernelFacts, needs: Needs): Finding {
  if (refusal === undefined) return ok("/dev/net/tun can be opened");
  const isNeeded = (needs.wireguard && noWireguard !== undefined) || (needs.ipsec && noEsp !== undefined);
  const what = `/dev/net/tun cannot be opened (${refusal})`;
  if (isNeeded) return bad(`${what}: encryption in user space needs it`, { command: MAKE_TUN });
  return none(`${what}: nothing here needs it`);
}

function wireguard({ wireguard: refusal, tun: noTun }: KernelFacts, needs: Needs, { wireguardGo }: StandIns): Finding {
  if (refusal === undefined) return ok("WireGuard is in the kernel");
  const what = `WireGuard is not in the kernel (${refusal})`;
  if (!needs.wireguard) return none(`${what}: nothing here needs it`);
  if (wireguardGo && noTun === undefined) return ok(`${what}: wireguard-go does it in user space`);
  if (wireguardGo) return bad(`${what}, and wireguard-go has no /dev/net/tun`, { command: MAKE_TUN });
  const command = "modprobe wireguard || apt-get install -y wireguard-go";
  return bad(`${what}, and there is no wireguard-go: no tunnel can be made`, { command });
}

function esp({ esp: refusal, xfrmInterface, tun: noTun }: KernelFacts, needs: Needs, { charon }: StandIns): Finding[] {
  if (refusal === undefined) {
    if (xfrmInterface === undefined) return [ok("ESP with AES-GCM and XFRM interfaces are in the kernel")];
    const what = `ESP is in the kernel, XFRM interfaces are not (${xfrmInterface})`;
    return [ok("ESP with AES-GCM is in the kernel"), none(`${what}: what needs them is done in user space`)];
  }
  const what = `ESP with AES-GCM is not in the kernel (${refusal})`;
  if (!needs.ipsec) return [none(`${what}: nothing here needs it`)];
  if (charon && noTun === undefined) return [ok(`${what}: charon does it in user space`)];
  const command = charon ? MAKE_TUN : "modprobe -a esp4 esp6 xfrm_user xfrm_interface";
  return [bad(`${what}, and charon cannot do it in user space: no tunnel can be made`, { command })];
}
