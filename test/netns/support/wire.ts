import { expect } from "vitest";
import type { Capture } from "../../../src/testbed/capture.ts";
import type { Node } from "../../../src/testbed/node.ts";
import { SLOWNESS } from "../../../src/testbed/patience.ts";
import type { Place } from "../../../src/testbed/place.ts";
import type { Pod } from "../../../src/testbed/pod.ts";
import type { Program } from "../../../src/testbed/program.ts";
import { ECHO_PORT, PLAIN_PAYLOAD, Sender } from "../../../src/testbed/traffic.ts";
import { type Cluster, PLAIN } from "./cluster.ts";
import { eventually } from "./eventually.ts";

/** In the packets of a sender that is bound to eth0; at most 16 bytes. */
export const BOUND_PAYLOAD = "podvpn-bound";

/**
 * Echo requests from a socket that is bound to `eth0`, about a hundred a second on a machine of usual speed, also while
 * there is no eth0.
 */
const BOUND_SENDER = `while :; do
  ping -n -q -I eth0 -i ${0.01 * SLOWNESS} -c 50 -W 0.1 -p "$1" "$2" >/dev/null 2>&1
  sleep ${0.02 * SLOWNESS}
done`;

/** Datagrams a second of each sender: a slow machine shall have time for more than sending. */
const RATE = 200 / SLOWNESS;

/** Programs of a pod or node that send to virtual IPs, and never stop. */
export class Talkers implements AsyncDisposable {
  private constructor(
    readonly senders: readonly Sender[],
    private readonly bound: readonly Program[],
  ) {}

  /** Of a pod: for each address one that sends as usual, and one whose socket is bound to eth0. */
  static async start(pod: Place, addresses: readonly string[]): Promise<Talkers> {
    const { senders } = await Talkers.unbound(pod, addresses);
    const pattern = Buffer.from(BOUND_PAYLOAD).toString("hex");
    const bound = addresses.map((address) => pod.spawn(["bash", "-c", BOUND_SENDER, "talker", pattern, address]));
    return new Talkers(senders, bound);
  }

  /** One for each address, that sends as usual. */
  static async unbound(place: Place, addresses: readonly string[]): Promise<Talkers> {
    return new Talkers(await Promise.all(addresses.map((address) => Sender.start(place, address, RATE))), []);
  }

  /** Waits until each sender has been answered `more` times from now on: the tunnel carries all of them. */
  async areAnswered(more = 20, bound = 20_000): Promise<void> {
    await Promise.all(this.senders.map((sender) => sender.answers(more, bound)));
  }

  /** Waits until each sender has tried `more` times, and no answer came for as long. */
  async areSilent(more = 50): Promise<void> {
    for (const sender of this.senders) {
      let [tried, answered] = [0, -1];
      await eventually("the senders get no answer", 10_000, async () => {
        const counts = await sender.counts();
        if (counts.answered !== answered) [tried, answered] = [counts.tried, counts.answered];
        return counts.tried >= tried + more;
      });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.senders, ...this.bound].map((each) => each[Symbol.asyncDispose]()));
  }
}

/** Captures of all that nodes send to each other, and of all that goes over a node's bridge. */
export class Wires implements AsyncDisposable {
  private constructor(
    readonly underlay: Capture,
    readonly bridge: Capture,
    private readonly resources: AsyncDisposableStack,
  ) {}

  static async tap(cluster: Pick<Cluster, "testbed">, node: Node, bridge: string): Promise<Wires> {
    await using undo = new AsyncDisposableStack();
    const underlay = undo.use(await cluster.testbed.capture());
    const device = undo.use(await node.capture(bridge));
    return new Wires(underlay, device, undo.move());
  }

  /** No packet so far was plain: by its addresses on the underlay, by what it carries on both. */
  async expectNothingPlain(): Promise<void> {
    for (const capture of [this.underlay, this.bridge]) {
      await capture.stop();
      expect(await capture.packets(PLAIN)).toEqual([]);
      expect(await capture.carries(PLAIN_PAYLOAD)).toBe(false);
      expect(await capture.carries(BOUND_PAYLOAD)).toBe(false);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.resources.disposeAsync();
  }
}

/** Takes what {@link Sender}s send and answers nothing. */
export class Receiver implements AsyncDisposable {
  /** Bytes of payload so far. */
  bytes = 0;
  #program: Program | undefined;

  /** Returns when it listens, at all addresses of both families. */
  static async start(place: Place): Promise<Receiver> {
    const receiver = new Receiver();
    const take = (chunk: Buffer) => {
      receiver.bytes += chunk.length;
    };
    receiver.#program = place.spawn(["socat", "-u", `UDP6-RECV:${ECHO_PORT},ipv6only=0`, "STDOUT"], { onStdout: take });
    await eventually("socat listens", 5000, async () => {
      return (await place.exec(["ss", "-Huln", "sport", "=", `:${ECHO_PORT}`])).stdout !== "";
    });
    return receiver;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program?.stop();
  }
}

/** Makes `place` send with `source` what it sends to `target`, which it reaches by `via` (or on its link `eth0`). */
export async function spoof(place: Place, source: string, target: string, via?: string): Promise<void> {
  const way = via === undefined ? [] : ["via", via];
  // Without it the kernel takes an address for tentative until some later moment, and refuses the route.
  const nodad = source.includes(":") ? ["nodad"] : [];
  await place.exec(["ip", "address", "replace", source, "dev", "lo", ...nodad]);
  await place.exec(["ip", "route", "replace", target, ...way, "dev", "eth0", "src", source]);
}

/** Ends the charon of a pod's attachment, and waits for its end. */
export async function signalCharon(pod: Pod, signal: "SIGKILL" | "SIGTERM"): Promise<void> {
  const pid = (await pod.node.readFile(`/run/podvpn/pods/${pod.containerID}+eth0/charon.pid`)).trim();
  await pod.node.exec(["kill", `-${signal}`, pid]);
  await eventually("charon has ended", 5000, async () => {
    return (await pod.node.exec(["kill", "-0", pid], { check: false })).code !== 0;
  });
}
