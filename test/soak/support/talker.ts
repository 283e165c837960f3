import type { Place } from "../../../src/testbed/place.ts";
import type { Program } from "../../../src/testbed/program.ts";
import { ECHO_PORT, PLAIN_PAYLOAD } from "../../../src/testbed/traffic.ts";
import { HUB_VIRTUAL } from "../../netns/support/podvpn-hub.ts";
import { NODES, type NodeIndex, type Plugin } from "./slots.ts";

/** In all that talkers send. */
export const PROBE = PLAIN_PAYLOAD;

/**
 * Twice a second a datagram to each target, whatever comes of it, by a shell that starts no program for it: there is one
 * in each pod. `read` on a pipe that nobody writes to is the pause.
 */
const SENDER = `exec 9<> <(:)
while :; do
  for target in "$@"; do echo -n "${PROBE}" >/dev/udp/$target/${ECHO_PORT}; done 2>/dev/null
  read -rt 0.5 -u 9
done`;

/** The same by a socket that is bound to \`eth0\`, whatever is the route. */
const BOUND = `exec 9<> <(:)
while :; do
  ping -n -q -I eth0 -i 0.5 -c 60 -W 0.1 "$1" >/dev/null 2>&1
  read -rt 0.5 -u 9
done`;

/** Programs that send to the pods' addresses of one type, from before a pod's ADD until after its DEL. */
export class Talker implements AsyncDisposable {
  private constructor(private readonly programs: readonly Program[]) {}

  /** One that sends as usual alone: for a node, whose `eth0` leads out. */
  static unbound(place: Place, targets: readonly string[]): Talker {
    return new Talker([place.spawn(["bash", "-c", SENDER, "talker", ...targets])]);
  }

  static start(place: Place, targets: readonly [string, ...string[]]): Talker {
    const [first] = targets;
    return new Talker([
      place.spawn(["bash", "-c", SENDER, "talker", ...targets]),
      place.spawn(["bash", "-c", BOUND, "talker", first]),
    ]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.programs.map((program) => program.stop("SIGKILL")));
  }
}

/** Addresses of one type that are not on the node: somebody's, or at least of his subnet. Pure. */
export function targetsOf(plugin: Plugin, node: NodeIndex): [string, ...string[]] {
  if (plugin === "strongswan") {
    return [HUB_VIRTUAL[4], HUB_VIRTUAL[6], "10.173.0.1", "10.173.0.2", "10.173.200.200", "fd00:173::1", "fd00:173::2"];
  }
  const others = NODES.filter((other) => other !== node);
  const [first = 0] = others;
  return [
    `10.1.${first}.1`,
    ...others.flatMap((other) => [`10.1.${other}.2`, `10.1.${other}.3`, `fd00:1:${other}::1`, `fd00:1:${other}::2`]),
  ];
}
