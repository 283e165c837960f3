import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { appeared } from "../os/watch.ts";
import type { Node } from "./node.ts";
import { patience } from "./patience.ts";
import type { Program } from "./program.ts";

/** The virtual subnets of `conf-examples/hub`. */
export const HUB_SUBNETS = { 4: "10.173.0.0/16", 6: "fd00:173::/64" } as const;

/** What differs from `conf-examples/hub`. */
export interface StockHubOptions {
  readonly psk: string;
  /** Changes swanctl.conf before it is loaded: other proposals, a smaller pool. */
  readonly edit?: (swanctlConf: string) => string;
}

/** A hub that is an unchanged strongSwan, set up as an operator would: with exactly the files of `conf-examples/hub`. */
export class StockHub implements AsyncDisposable {
  #charon: Program | undefined;

  private constructor(
    readonly node: Node,
    private readonly prepare: string,
  ) {}

  /** Returns when it accepts connections. @throws Fault 5 when a part of it fails, with its messages. */
  static async start(node: Node, options: StockHubOptions): Promise<StockHub> {
    const [strongswan, swanctl, prepare] = await Promise.all([
      example("strongswan.conf"),
      example("swanctl.conf"),
      example("prepare.sh"),
    ]);
    const secrets = `secrets {\n  ike-pods {\n    secret = "${options.psk}"\n  }\n}\n`;
    await node.writeFile("/etc/strongswan.conf", strongswan);
    await node.writeFile("/etc/swanctl/swanctl.conf", options.edit?.(swanctl) ?? swanctl);
    await node.writeFile("/etc/swanctl/podvpn.secrets", secrets, 0o600);
    const hub = new StockHub(node, prepare);
    await hub.up();
    return hub;
  }

  /** Starts charon, also again after {@link down}. */
  async up(): Promise<void> {
    await this.node.exec(["sh", "-s"], { input: this.prepare });
    await this.node.exec(["rm", "-f", SOCKET]); // one left behind by a killed charon would be taken for the new one's
    this.#charon = this.node.spawn(["/usr/sbin/charon-systemd"]);
    await appeared(this.node.path(SOCKET), { timeout: patience(10_000) });
    await this.#loadAll();
    await this.node.exec(["nft", "delete", "table", "inet", "podvpn_hub_loading"]);
  }

  /** Ends charon. SIGTERM tells the pods (DELETE), SIGKILL does not. */
  async down(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    await this.#charon?.stop(signal);
    this.#charon = undefined;
  }

  /** swanctl on the hub; its standard output. */
  async swanctl(...args: string[]): Promise<string> {
    return (await this.node.exec(["swanctl", ...args])).stdout;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.down();
  }

  /** The socket's name appears an instant before charon listens on it: until then the kernel refuses. */
  async #loadAll(): Promise<void> {
    const until = performance.now() + patience(5000);
    for (;;) {
      const { code, stderr } = await this.node.exec(["swanctl", "--load-all", "--noprompt"], { check: false });
      if (code === 0) return;
      if (!stderr.includes("Connection refused") || performance.now() > until) {
        await this.node.exec(["swanctl", "--load-all", "--noprompt"]); // once more, for its messages
        return;
      }
    }
  }
}

const SOCKET = "/run/charon.vici";

function example(name: string): Promise<string> {
  return readFile(fileURLToPath(new URL(`../../conf-examples/hub/${name}`, import.meta.url)), "utf8");
}
