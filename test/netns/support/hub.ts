import { connect, type Vici, ViciError } from "vici";
import { stringify } from "yaml";
import { POD_CHILD, POD_CONNECTION } from "../../../src/ipsec/connection.ts";
import { connectPod, isUp, loadPsk, type PodTunnel } from "../../../src/ipsec/pod-tunnel.ts";
import { POD_SETTINGS, type Settings, strongswanConf } from "../../../src/ipsec/strongswan-conf.ts";
import { type Address, parseAddress } from "../../../src/net/address.ts";
import { type Prefix, parsePrefix } from "../../../src/net/prefix.ts";
import { appeared } from "../../../src/os/watch.ts";
import { Secret } from "../../../src/secret.ts";
import type { Node } from "../../../src/testbed/node.ts";
import { patience } from "../../../src/testbed/patience.ts";
import type { Program } from "../../../src/testbed/program.ts";
import { DIST } from "./cluster.ts";

export const PODVPN = `${DIST}/podvpn`;
export const HUB_DIRECTORY = "/run/podvpn/hub";
const CONFIG = "/etc/podvpn/hub.yaml";
const PID_FILE = "/etc/podvpn/test-hub.pid";

export function address(text: string): Address {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new TypeError(text);
  return parsed;
}

export function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new TypeError(text);
  return parsed;
}

/** `podvpn hub` on a node, as systemd would run it. */
export class Hub implements AsyncDisposable {
  private constructor(
    readonly node: Node,
    readonly program: Program,
  ) {}

  /** Writes the configuration and the files with keys (path: content, mode 0600). */
  static async configure(node: Node, config: object, keys: Readonly<Record<string, string>>): Promise<void> {
    await node.writeFile(CONFIG, stringify(config));
    for (const [path, key] of Object.entries(keys)) await node.writeFile(path, `${key}\n`, 0o600);
  }

  /** Runs it with what {@link configure} wrote. Whether it serves, only {@link serving} tells. */
  static run(node: Node, ...args: readonly string[]): Hub {
    const script = `echo $$ >${PID_FILE}; exec "$@"`;
    return new Hub(node, node.spawn(["sh", "-c", script, "sh", PODVPN, "hub", "--config", CONFIG, ...args]));
  }

  /** Runs the same sources by Node, able to die after the `effect`th change that it makes. */
  static runDying(node: Node, effect: number, log: string): Hub {
    const args = [process.execPath, `${DIST}/bundle-faults.cjs`, "hub", "--config", CONFIG] as const;
    return new Hub(node, node.spawn(args, { env: { PODVPN_KILL_AFTER: String(effect), PODVPN_EFFECTS: log } }));
  }

  static async start(node: Node, ...args: readonly string[]): Promise<Hub> {
    const hub = Hub.run(node, ...args);
    await hub.program.line(/ info serving /, patience(15_000));
    return hub;
  }

  /** Sends a signal to `podvpn hub` itself and returns how it ended. */
  async kill(signal: "TERM" | "INT" | "KILL"): Promise<string> {
    await this.node.exec(["kill", `-${signal}`, (await this.node.readFile(PID_FILE)).trim()]);
    return this.program.ended;
  }

  /** Kills `podvpn hub` and its charon: SIGKILL to both in one command, so that neither can do anything about the other. */
  async killBoth(): Promise<void> {
    const pids = [(await this.node.readFile(PID_FILE)).trim(), await hubCharonPid(this.node)] as const;
    await this.node.exec(["kill", "-KILL", ...pids]);
    await this.program.ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.program.stop("SIGKILL");
  }
}

/** charon's pid on the hub, in the node's pid namespace. */
export async function hubCharonPid(node: Node): Promise<string> {
  return (await node.readFile(`${HUB_DIRECTORY}/charon.pid`)).trim();
}

/** What a client asks of a hub. */
export interface Join {
  readonly identity: string;
  readonly psk: string;
  readonly server: string;
  readonly virtualSubnets: readonly string[];
  readonly serverID?: string;
}

/** A pod's charon, on a node that stands for the pod. */
export class Client implements AsyncDisposable {
  private constructor(
    readonly node: Node,
    readonly vici: Vici,
    private readonly program: Program,
  ) {}

  /** @param name Tells clients of one node apart. @param overrides Settings of its charon that are other than a pod's. */
  static async start(node: Node, name = "client", overrides: Settings = {}): Promise<Client> {
    const directory = `/run/${name}`;
    const settings = { ...POD_SETTINGS, retransmit_jitter: 0, ...overrides };
    await node.writeFile(
      `${directory}/strongswan.conf`,
      strongswanConf({ directory, dataPlane: "userspace", logLevel: 1, settings }),
    );
    const program = node.spawn(["/usr/sbin/charon-systemd"], {
      env: { STRONGSWAN_CONF: `${directory}/strongswan.conf` },
    });
    const path = node.path(`${directory}/vici`);
    await appeared(path, { timeout: patience(10_000) });
    return new Client(node, await patiently(path), program);
  }

  /** Asks the hub for a tunnel, as the plugin does. @throws Fault. */
  async join(join: Join): Promise<PodTunnel> {
    await loadPsk(this.vici, new Secret(Buffer.from(join.psk)));
    const request = {
      servers: [address(join.server)] as const,
      virtualSubnets: join.virtualSubnets.map(prefix),
      identity: join.identity,
      proposals: ["aes128gcm16-prfsha256-x25519"],
      espProposals: ["aes128gcm16-x25519"],
      dpdDelay: 2,
      encap: true,
      ...(join.serverID === undefined ? {} : { serverID: join.serverID }),
    } as const;
    return connectPod(this.vici, { ...request, psk: new Secret(Buffer.from(join.psk)) }, 5000);
  }

  /** Ends its tunnel, telling the hub. */
  async leave(): Promise<void> {
    await this.vici.terminate({ ike: POD_CONNECTION, force: true, timeout: patience(2000) });
  }

  /** Number of the CHILD_SA that is up: another one after any interruption. */
  async childId(): Promise<number | undefined> {
    for await (const sa of this.vici.listSas({ ike: POD_CONNECTION })) {
      const child = sa.childSas.find(({ name, state }) => name === POD_CHILD && state === "INSTALLED");
      if (child !== undefined) return child.uniqueid;
    }
    return undefined;
  }

  ping(target: string): Promise<{ code: number | null; stdout: string }> {
    return this.node.exec(["ping", "-n", "-c", "2", "-i", "0.2", "-W", "2", target], { check: false });
  }

  /** Ends it without a word to the hub. */
  async kill(): Promise<void> {
    this.vici.close();
    await this.program.stop("SIGKILL");
  }

  /** The virtual IPs of its tunnel, none while it has none. */
  async virtualIPs(): Promise<readonly string[]> {
    for await (const sa of this.vici.listSas({ ike: POD_CONNECTION })) if (isUp(sa)) return sa.localVips;
    return [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.vici.close();
    await this.program.stop();
  }
}

/** The socket's name appears an instant before charon listens on it. */
async function patiently(path: string): Promise<Vici> {
  const until = performance.now() + patience(5000);
  for (;;) {
    try {
      return await connect({ path, timeout: patience(2000) });
    } catch (error) {
      if (!(error instanceof ViciError) || error.code !== "ECONNREFUSED" || performance.now() > until) throw error;
    }
  }
}
