import type { Place } from "../../../src/testbed/place.ts";

/**
 * What counts packets that a queue had no room for, at sockets and at tunnels' devices. Not at the XFRM interface, which has
 * no queue: it drops what has no tunnel, and that is no excuse.
 */
const COUNTERS = `
awk '$1 == "Udp:" && !head { for (i = 2; i <= NF; i++) name[i] = $i; head = 1; next }
     $1 == "Udp:" { for (i = 2; i <= NF; i++) if (name[i] == "RcvbufErrors") sum += $i }
     $1 == "Udp6RcvbufErrors" { sum += $2 } END { print sum + 0 }' /proc/net/snmp /proc/net/snmp6
cat /sys/class/net/podvpn[0-9]*/statistics/tx_dropped /sys/class/net/ipsec*/statistics/tx_dropped 2>/dev/null || true`;

/**
 * How many packets full queues have dropped so far, as the kernel counts them: a machine that is too busy for the streams
 * of a test, and no fault of a tunnel.
 */
export async function droppedByFullQueues(places: Iterable<Place>): Promise<number> {
  const outputs = await Promise.all([...new Set(places)].map((place) => place.exec(["sh", "-c", COUNTERS])));
  return outputs
    .flatMap(({ stdout }) => stdout.split("\n"))
    .filter((line) => line !== "")
    .reduce((sum, line) => sum + Number(line), 0);
}
