import type { Node } from "../../../src/testbed/node.ts";
import type { Program } from "../../../src/testbed/program.ts";
import { HUB_ADDRESS, PSK, VIRTUAL_SUBNET, VIRTUAL_SUBNET_6 } from "../../netns/support/cluster.ts";
import { Hub, hubCharonPid, PODVPN } from "../../netns/support/hub.ts";
import { killed } from "../../netns/support/wg.ts";
import { Clock } from "./clock.ts";
import type { HUB_PARTS } from "./event.ts";

const CONFIG = "/etc/podvpn/hub.yaml";
const PSK_FILE = "/etc/podvpn/psk";
const DIRECTORY = "/opt/podvpn-test";

/** `podvpn hub` on a machine of its own, with a clock that can be set. */
export class HubMachine {
  readonly clock: Clock;
  #program: Program | undefined;

  private constructor(readonly node: Node) {
    this.clock = new Clock(node, `${DIRECTORY}/clock`);
  }

  /** Writes its configuration; it does not run yet. */
  static async create(node: Node): Promise<HubMachine> {
    const hub = new HubMachine(node);
    const config = { listen: HUB_ADDRESS, virtualSubnets: [VIRTUAL_SUBNET, VIRTUAL_SUBNET_6], pskFile: PSK_FILE };
    await Hub.configure(node, { ...config, dpd: "2s" }, { [PSK_FILE]: PSK });
    await hub.clock.set(0);
    return hub;
  }

  /** Returns when it serves. @throws Fault 5 with what it said. */
  async start(): Promise<void> {
    const set = Object.entries(this.clock.env).map(([key, value]) => `${key}=${value}`);
    // The pid of what runs, not of nsenter(1); and only that has the other clock.
    const script = `echo $$ >${DIRECTORY}/hub.pid; exec env "$@"`;
    this.#program = this.node.spawn(["sh", "-c", script, "sh", ...set, PODVPN, "hub", "--config", CONFIG]);
    await this.#program.line(/ info serving /, 20_000);
  }

  /** SIGKILL for one of its processes, or for both. Returns when they have ended. */
  async kill(part: (typeof HUB_PARTS)[number]): Promise<void> {
    if (part !== "charon") await this.#signal("KILL");
    if (part !== "process") await killed(this.node, await hubCharonPid(this.node));
    await this.#program?.ended;
  }

  /** SIGTERM: it says good-bye to all pods. @returns How it ended. */
  async terminate(): Promise<string | undefined> {
    await this.#signal("TERM");
    return this.#program?.ended;
  }

  /** The last lines that it wrote. */
  said(): string {
    return this.#program?.lines.slice(-15).join("\n") ?? "";
  }

  async #signal(signal: "KILL" | "TERM"): Promise<void> {
    await this.node.exec(["kill", `-${signal}`, (await this.node.readFile(`${DIRECTORY}/hub.pid`)).trim()]);
  }
}
