import { parseArgs } from "node:util";
import type { Form, Options, Terminal } from "./command.ts";

export const help = `
Usage: podvpn doctor [--json] [--conf-dir DIR] [--bin-dir DIR]
       podvpn doctor --mend DEVICE

Looks for what keeps the pods of this node from reaching others, or lets them
be reached in plain. Each thing is told with what was measured of it, and, where
it is not as it should be, with the command that mends it ("$ ..."). Looking
changes nothing; some packets are sent to each peer, outside of the tunnel and
through it.

It works on nodes with an agent, on nodes with the CNI plugins alone, and on
nodes that have neither yet. What does not concern a node is told with "-".

Options:
  --json          an object: healthy; findings: check, outcome (ok, warning,
                  bad, not applicable), what, remedy (in words), command
  --conf-dir DIR  the runtime's network configurations (/etc/cni/net.d)
  --bin-dir DIR   the runtime's plugins (/opt/cni/bin)
  --mend DEVICE   write anew what podvpn has around a device of the node: its
                  guard, link, rules, routes, and policies of ESP in the kernel.
                  What others have made stays

Checks:
  kernel         WireGuard, ESP, XFRM interfaces, TUN, nf_tables: each is tried
  programs       podvpn's and the reference plugins, charon, wireguard-go, tools
  configuration  the runtime's network configurations: whether they can be read,
                 which one counts, whether subnets are the agent's
  agent          whether it runs and answers, the registry, podvpn's records
  clock          against the times that others have noted, and their clocks
  overlap        links and other devices with addresses of the mesh
  routes         where the kernel sends packets for each prefix of each peer
  settings       forwarding and rp_filter
  underlay       route to each peer, and its UDP port, in both directions
  path MTU       by packets that must not be cut, against the tunnel's MTU
  tunnel         device, guard, and pings to each peer through it
  encryption     the tunnel's counters against what was answered
  pods           real pods: whether they are whole, and whom they reach
  forwarding     chains of iptables, ip6tables and nftables that drop
  source         chains that change the source before the tunnel
  ESP            security associations without a policy
  leftovers      of other network plugins

Exit status:
  0  nothing is bad
  1  something is

Examples:
  podvpn doctor
  podvpn doctor --json | jq -r '.findings[] | select(.outcome == "bad").command'
`;

const OPTIONS = {
  json: { type: "boolean" },
  "conf-dir": { type: "string", default: "/etc/cni/net.d", value: "directory" },
  "bin-dir": { type: "string", default: "/opt/cni/bin", value: "directory" },
  mend: { type: "string", value: "interface" },
} as const satisfies Options;

export const forms: readonly Form[] = [{ options: OPTIONS }];

export async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: OPTIONS });
  if (values.mend !== undefined) return mend(values.mend, terminal);
  const [{ gatherFacts }, { diagnose }, { isHealthy }, { doctorJson, doctorText }, { COLUMNS }, { isatty }] =
    await Promise.all([
      import("../doctor/facts.ts"),
      import("../doctor/doctor.ts"),
      import("../doctor/finding.ts"),
      import("../doctor/report.ts"),
      import("../status/text.ts"),
      import("node:tty"),
    ]);
  const options = {
    confDirectory: values["conf-dir"],
    binDirectory: values["bin-dir"],
    podvpn: process.getBuiltinModule("node:sea").isSea() ? process.execPath : "podvpn",
  };
  const findings = diagnose(await gatherFacts(options), options);
  terminal.stdout(values.json ? doctorJson(findings) : doctorText(findings, isatty(1) ? COLUMNS : undefined));
  return isHealthy(findings) ? 0 : 1;
}

async function mend(device: string, terminal: Terminal): Promise<number> {
  const { mendDevice } = await import("../doctor/mend.ts");
  const written = await mendDevice(device);
  terminal.stdout(written.map((what) => `${what}\n`).join("") || `${device} is as it should be\n`);
  return 0;
}
