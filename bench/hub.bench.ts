// npm run bench -- hub [--pods N] [--charons N]: a hub with many pods, killed and restarted. Prints a table.
// The pods are connections of a few charons, each on a machine of its own, so that the hub, not a thousand processes
// of pods, is what is measured.
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { connect, type Vici } from "vici";
import { POD_CHILD, podConnection } from "../src/ipsec/connection.ts";
import { NODE_SETTINGS, strongswanConf } from "../src/ipsec/strongswan-conf.ts";
import { parseAddress } from "../src/net/address.ts";
import { parsePrefix } from "../src/net/prefix.ts";
import { appeared } from "../src/os/watch.ts";
import { Testbed } from "../src/testbed/testbed.ts";
import { HUB_DIRECTORY, Hub, hubCharonPid } from "../test/netns/support/hub.ts";
import { now } from "./command.ts";

const SUBNET = "10.173.0.0/16";
const HUB = "10.9.0.254";
const PSK = "the PSK of the hub's bench";
/** Milliseconds. */
const BOUND = 120_000;

const { values } = parseArgs({
  options: { pods: { type: "string", default: "1000" }, charons: { type: "string", default: "4" } },
});
const [pods, charons] = [Number(values.pods), Number(values.charons)];

await using testbed = await Testbed.create();
const node = await testbed.node("hub", { addresses: [`${HUB}/24`] });
const config = { virtualSubnets: [SUBNET], pskFile: "/etc/podvpn/psk", logLevel: "error" };
await Hub.configure(node, { ...config, logLevel: "info" }, { "/etc/podvpn/psk": PSK });

const rows: [string, string][] = [];
let [hub, started] = await start();
rows.push(["hub start, no leases", ms(started)]);
const clients = await Promise.all(Array.from({ length: charons }, (_, index) => client(index + 1)));
let begin = now();
await Promise.all(clients.map((vici, index) => joinAll(vici, index + 1)));
rows.push([`${pods} pods join, one after the other on each of ${charons} machines`, ms(now() - begin)]);
const before = await allBack();
const file = node.path("/var/lib/podvpn/hub/leases.json");
const isWritten = () => [...before.keys()].every((identity) => readFileSync(file, "utf8").includes(`"${identity}"`));
while (!isWritten()) await new Promise((resolve) => setTimeout(resolve, 50));
rows.push(["file of leases", `${Math.round(readFileSync(file).length / 1024)} KiB`]);
rows.push(["hub's charon, private memory", `${(await privateMemory()).toFixed(1)} MiB`]);
rows.push(["hub's charon and podvpn, CPU while all pods are idle", `${(await idleLoad()).toFixed(0)} % of one core`]);

for (const [name, end] of [
  ["kill -9 of hub and charon", () => hub.killBoth()],
  ["SIGTERM", () => hub.kill("TERM")],
] as const) {
  begin = now();
  await end();
  [hub, started] = await start();
  rows.push([`${name}: hub starts with ${pods} leases`, ms(started)]);
  const after = await allBack([0.5, 0.95, 1], begin, name);
  const moved = [...before].filter(([identity, ip]) => after.get(identity) !== ip).length;
  rows.push([`${name}: pods with another virtual IP than before`, String(moved)]);
}
const width = Math.max(...rows.map(([name]) => name.length));
process.stdout.write(rows.map(([name, value]) => `${name.padEnd(width)}  ${value}\n`).join(""));
for (const vici of clients) vici.close();
await hub.kill("TERM");

async function start(): Promise<[Hub, number]> {
  const from = now();
  const serving = await Hub.start(node);
  return [serving, now() - from];
}

async function client(index: number): Promise<Vici> {
  const machine = await testbed.node(`n${index}`, { addresses: [`10.9.0.${index}/24`] });
  const directory = "/run/client";
  const { install_virtual_ip: _, install_routes: __, routing_table: ___, ...settings } = NODE_SETTINGS;
  const text = strongswanConf({
    directory,
    dataPlane: "userspace",
    logLevel: 1,
    settings: { ...settings, threads: 24 },
  });
  await machine.writeFile(`${directory}/strongswan.conf`, text);
  machine.spawn(["/usr/sbin/charon-systemd"], { env: { STRONGSWAN_CONF: `${directory}/strongswan.conf` } });
  const path = machine.path(`${directory}/vici`);
  await appeared(path, { timeout: 10_000 });
  await new Promise((resolve) => setTimeout(resolve, 100)); // bind(2) comes an instant before listen(2)
  const vici = await connect({ path, timeout: 5000 });
  await vici.loadShared({ id: "psk", type: "IKE", data: PSK });
  return vici;
}

async function joinAll(vici: Vici, machine: number): Promise<void> {
  const [server, subnet] = [parseAddress(HUB), parsePrefix(SUBNET)];
  if (server === undefined || subnet === undefined) throw new TypeError("no address");
  for (let index = 0; index < Math.ceil(pods / charons); index += 1) {
    const identity = `0123456789abcdef0123456789abcdef${index}.eth0@n${machine}`;
    const proposals = { proposals: ["aes128gcm16-prfsha256-x25519"], espProposals: ["aes128gcm16-x25519"] };
    const wanted = { server, identity, virtualSubnets: [subnet], ...proposals, dpdDelay: 2, encap: true };
    await vici.loadConn(`c${index}`, podConnection(wanted));
    await vici.initiate({ ike: `c${index}`, child: POD_CHILD, timeout: 20_000, loglevel: -1 });
  }
}

/** Waits until all pods are online. @param shares Of them, whose time from `from` is noted. */
async function allBack(shares: readonly number[] = [], from = 0, name = ""): Promise<Map<string, string>> {
  const left = [...shares];
  await using vici = await connect({ path: node.path(`${HUB_DIRECTORY}/vici`), timeout: 10_000 });
  for (const until = now() + BOUND; now() < until; ) {
    const online = new Map<string, string>();
    for await (const sa of vici.listSas({}, { timeout: BOUND })) {
      if (sa.state === "ESTABLISHED" && sa.childSas.length > 0) online.set(sa.remoteId, sa.remoteVips.join());
    }
    while (left[0] !== undefined && online.size >= pods * left[0]) {
      rows.push([`${name}: ${left[0] * 100} % of the pods are back, from the kill`, ms(now() - from)]);
      left.shift();
    }
    if (online.size >= pods) return online;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`not all of ${pods} pods are online after ${BOUND} ms`);
}

async function privateMemory(): Promise<number> {
  const text = await node.readFile(`/proc/${await hubCharonPid(node)}/smaps_rollup`);
  return Number(/^Pss_Anon: +(\d+) kB/m.exec(text)?.[1]) / 1024;
}

/** Of charon and podvpn together, over five seconds. */
async function idleLoad(): Promise<number> {
  const pids = [await hubCharonPid(node), (await node.readFile("/etc/podvpn/test-hub.pid")).trim()];
  const ticks = async () => {
    const stats = await Promise.all(pids.map((pid) => node.readFile(`/proc/${pid}/stat`)));
    return stats.reduce((sum, stat) => {
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      return sum + Number(fields[11]) + Number(fields[12]);
    }, 0);
  };
  const before = await ticks();
  await new Promise((resolve) => setTimeout(resolve, 5000));
  return ((await ticks()) - before) / 5; // 100 ticks a second
}

function ms(milliseconds: number): string {
  return milliseconds < 1000 ? `${milliseconds.toFixed(0)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}
