import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { Code, Fault } from "../fault.ts";
import type { Secret } from "../secret.ts";
import type { PublicKey } from "../wireguard/key.ts";
import { type Form, type Options, type Terminal, UsageError } from "./command.ts";

/** Of the interface that a configuration has unless it says otherwise. */
const DEFAULT_FILE = "/var/lib/podvpn/wireguard/podvpn0.key";

export const help = `
Usage: podvpn wg genkey [--file FILE]
       podvpn wg pubkey [--file FILE | --interface IF | -]
       podvpn wg show [IF] [--json]

genkey makes this node's private key, before the first pod is attached, and
prints the public key, which the other nodes need. A file that is there is left
as it is: a node that changes its key is a stranger to its peers.

pubkey prints the public key again: of a file, of a device of podvpn's that
runs, or of a private key on standard input (-).

show prints podvpn's WireGuard devices, the node's and those of single pods,
with their peers. No private or preshared key is ever printed.

A node with an agent needs neither genkey nor pubkey: its agent makes the key,
and tells the other nodes. See podvpn status for its peers.

Options:
  --file FILE     the private key
                  (${DEFAULT_FILE})
  --interface IF  the device
  --json          a list of objects instead of text

With --json:
  interface, network, mtu, up, listenPort, fwmark, publicKey
  attach        node or pod; of a pod also containerID, ifname, and in
                Kubernetes pod: namespace, name
  dataPlane     kernel or userspace
  problems      in words; empty when the device works
  peers         publicKey, name, endpoint, allowedIPs, latestHandshake,
                receivedBytes, sentBytes, persistentKeepalive (seconds, 0 for
                none), hasPresharedKey

Exit status:
  0  done; for show: every device works
  1  not; for show: a device does not work

Files:
  ${DEFAULT_FILE}
      of the interface that a configuration has unless it says otherwise

Examples:
  podvpn wg genkey
  wg genkey | podvpn wg pubkey -
  podvpn wg show --json | jq '.[].peers[] | .name, .latestHandshake'
`;

const OPTIONS = {
  genkey: { file: { type: "string", default: DEFAULT_FILE, value: "file" } },
  pubkey: { file: { type: "string", value: "file" }, interface: { type: "string", value: "interface" } },
  show: { json: { type: "boolean" } },
} satisfies Record<string, Options>;

export const forms: readonly Form[] = [
  { word: "genkey", options: OPTIONS.genkey },
  { word: "pubkey", options: OPTIONS.pubkey, operands: ["-"] },
  { word: "show", options: OPTIONS.show, operands: "interface" },
];

export async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const [word, ...rest] = args;
  if (word === "genkey") return genkey(rest, terminal);
  if (word === "pubkey") return pubkey(rest, terminal);
  if (word === "show") return show(rest, terminal);
  throw new UsageError(`${word === undefined ? "a word is missing" : `there is no "${word}"`}: genkey, pubkey or show`);
}

async function genkey(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: OPTIONS.genkey });
  const { makePrivateKey, publicKeyOf, writePrivateKey } = await import("../wireguard/keys.ts");
  const file = resolve(values.file);
  const key = await makePrivateKey();
  if (!writePrivateKey(file, key)) {
    throw new Fault(
      Code.invalidConfig,
      `${file} is there already`,
      "see its public key with podvpn wg pubkey; move the file away for another, of which all peers have to be told",
    );
  }
  terminal.stdout(`${await publicKeyOf(key)}\n`);
  return 0;
}

async function pubkey(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    options: OPTIONS.pubkey,
    allowPositionals: true,
  });
  const unknown = positionals.find((word) => word !== "-");
  if (unknown !== undefined) throw new UsageError(`"${unknown}" is neither an option nor -; say --file or --interface`);
  const sources = [values.file, values.interface, positionals[0]].filter((source) => source !== undefined);
  if (sources.length > 1) throw new UsageError("--file, --interface and - exclude each other");
  terminal.stdout(`${await publicKey(values.file, values.interface, positionals.length > 0)}\n`);
  return 0;
}

async function publicKey(file: string | undefined, device: string | undefined, stdin: boolean): Promise<PublicKey> {
  if (device !== undefined) return ofDevice(device);
  const { publicKeyOf, readPrivateKey } = await import("../wireguard/keys.ts");
  return publicKeyOf(stdin ? await ofStdin() : readPrivateKey("--file", resolve(file ?? DEFAULT_FILE)));
}

async function ofStdin(): Promise<Secret> {
  const [{ readToEnd }, { parseSecretKey }] = await Promise.all([
    import("../os/stdio.ts"),
    import("../wireguard/key.ts"),
  ]);
  const key = parseSecretKey(readToEnd(0).trim());
  if (key !== undefined) return key;
  throw new Fault(
    Code.invalidConfig,
    "standard input does not hold a WireGuard private key: 44 characters of base64",
    "pipe it in, for instance from wg genkey",
  );
}

/** Of several pods with a device of that name each, there is no telling which. */
async function ofDevice(name: string): Promise<PublicKey> {
  const [view, another] = await devicesNamed(name);
  if (another !== undefined) {
    throw new Fault(Code.invalidConfig, `several pods have a device ${name}`, `see podvpn wg show ${name}`);
  }
  if (view?.publicKey !== undefined) return view.publicKey;
  const why = view?.problems.join("; ") || "it has no private key yet";
  throw new Fault(Code.invalidConfig, `${name} has no public key: ${why}`, "ask for that of its file, with --file");
}

async function show(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    options: OPTIONS.show,
    allowPositionals: true,
  });
  const [name, another] = positionals;
  if (another !== undefined) throw new UsageError(`"${another}" is one interface too many`);
  const { deviceObject, deviceText } = await import("../status/device-report.ts");
  const views = await devicesNamed(name);
  const now = Date.now();
  if (values.json) terminal.stdout(`${JSON.stringify(views.map(deviceObject), null, 2)}\n`);
  else if (views.length === 0) terminal.stdout("there is no WireGuard device of podvpn on this node\n");
  else terminal.stdout(views.map((view) => deviceText(view, now)).join("\n"));
  return views.every(({ problems }) => problems.length === 0) ? 0 : 1;
}

/** All without a name. @throws Fault 7 when there is none of that name. */
async function devicesNamed(name: string | undefined) {
  const { listDevices, readDevice } = await import("../status/devices.ts");
  const refs = listDevices();
  const wanted = refs.filter(({ record }) => name === undefined || record.interface === name);
  if (name === undefined || wanted.length > 0) return Promise.all(wanted.map(readDevice));
  const names = [...new Set(refs.map(({ record }) => record.interface))].join(", ");
  const remedy = names === "" ? "attach a pod of type wireguard first" : `give one of ${names}`;
  throw new Fault(Code.invalidConfig, `there is no WireGuard device ${name} of podvpn on this node`, remedy);
}
