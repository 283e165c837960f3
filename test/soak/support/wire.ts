import type { Capture } from "../../../src/testbed/capture.ts";
import type { Node } from "../../../src/testbed/node.ts";
import type { Testbed } from "../../../src/testbed/testbed.ts";
import { PLAIN as PLAIN_OF_STRONGSWAN } from "../../netns/support/cluster.ts";
import { PLAIN as PLAIN_OF_WIREGUARD } from "../../netns/support/mesh.ts";
import { spoof } from "../../netns/support/wire.ts";
import { PROBE } from "./talker.ts";

/** The first four bytes of {@link PROBE}, as a number: where a UDP datagram of either family has its data. */
const DATA = `0x${Buffer.from(PROBE).subarray(0, 4).toString("hex")}`;

/** What must never be between nodes: what the talkers say. */
const SPOKEN = `(udp and (udp[8:4] = ${DATA} or ip6[48:4] = ${DATA}))`;
/** Nor an address of either type's pods in the clear. */
const ADDRESSES = `${PLAIN_OF_STRONGSWAN} or ${PLAIN_OF_WIREGUARD}`;

/** Looks for plain text between nodes, from the beginning to the end. @param addresses What it is known by, besides what talkers say. */
export function watchWire(testbed: Testbed, addresses: string = ADDRESSES): Promise<Capture> {
  return testbed.capture(`${addresses} or ${SPOKEN}`);
}

/** Of pods of either type. */
const SOURCES = ["10.173.77.7", "10.1.77.7", "fd00:173::77:7", "fd00:1:77::7"];

/**
 * Sends plain packets of each sort from one machine to another, and takes back what that needed.
 * @returns How many a watcher sees at least.
 */
export async function speakPlainly(from: Node, to: Node, sources: readonly string[] = SOURCES): Promise<number> {
  for (const source of sources) {
    const target = to.address(source.includes(":") ? 6 : 4);
    await spoof(from, source, target);
    await from.exec(["bash", "-c", `echo -n other >/dev/udp/${target}/7007`]);
    await from.exec(["ip", "route", "del", target, "dev", "eth0"]);
    await from.exec(["ip", "address", "del", source, "dev", "lo"]);
  }
  for (const family of [4, 6] as const) {
    await from.exec(["bash", "-c", `echo -n "${PROBE}" >/dev/udp/${to.address(family)}/7007`]);
  }
  return sources.length + 2;
}
