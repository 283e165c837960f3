import { createHash } from "node:crypto";
import type { Section } from "vici";
import type { HubConfig } from "../config/hub.ts";
import type { Address } from "../net/address.ts";
import { waitingRoom } from "../net/waiting-room.ts";
import { Secret } from "../secret.ts";
import { arrivalsCommand } from "./arrivals.ts";
import type { Entry } from "./book.ts";

/** What the hub's charon shall have loaded over VICI. */
export interface Wanted {
  readonly pools: readonly { readonly name: string; readonly addrs: string }[];
  readonly shared: readonly { readonly id: string; readonly psk: Secret; readonly owners: readonly string[] }[];
  readonly connections: readonly { readonly name: string; readonly section: Section }[];
}

/** Name of the child of every connection. */
const CHILD = "net";

/** Who has which virtual IP, and which are for pods that are not known. */
export interface Leases {
  readonly entries: readonly Entry[];
  readonly window: readonly Address[];
  /** Milliseconds since 1970. */
  readonly now: number;
}

/**
 * How many connections may be for any address of the pod's. charon (5.9.8) sorts all that fit the address of a packet
 * that begins an IKE_SA, in the square of their number: 0.6 ms for 250 of them, 7 ms for 1,000, which no restart of a
 * hub of 1,000 pods survives. With more leases each is for the address from where its pod came last.
 */
const ANYWHERE = 256;

/** Milliseconds after which a pod that is offline may come from elsewhere. */
const MOVED = 30_000;

/**
 * Pools, keys and connections of a configuration and of the leases. Pure.
 *
 * Each address is a pool of its own: so charon itself can never give it to two, whoever asks by whatever connection.
 * Each identity that has an address has a connection of its own, which charon (5.9.8) prefers to the one for anybody:
 * it gets its address back from a charon that has never seen it. When its address is taken, by a tunnel of before or
 * by another pod with the same identity, it gets one of the waiting room.
 *
 * With one key for all, one more connection takes any identity that proves it.
 * With a key for each identity, an unknown identity is refused before any key is looked at, and a key's one owner is
 * its identity. The hub's own is never an owner: charon (5.9.8) takes a key when either side's identity owns it and
 * tries all that fit, so that each pod that names the hub could then prove any identity.
 */
export function wantedOf(config: HubConfig, { entries, window, now }: Leases): Wanted {
  const isCrowded = config.psks instanceof Secret && entries.length > ANYWHERE;
  const own = entries.map(({ identity, addresses, host, offline }) => {
    const mayHaveMoved = offline !== undefined && now - offline.since > MOVED;
    const from = isCrowded && !mayHaveMoved ? host : undefined;
    const pools = [...addresses.map(poolName), ...WAITING.map(({ name }) => name)];
    return { name: nameOf(identity), section: connection(config, pools, { identity, from }) };
  });
  const pools = [
    ...[...entries.flatMap(({ addresses }) => addresses), ...window].map((address) => ({
      name: poolName(address),
      addrs: `${address}-${address}`,
    })),
    ...WAITING,
  ];
  if (config.psks instanceof Secret) {
    const updown = arrivalsCommand(config.leases);
    const anybody = { name: "pods", section: connection(config, window.map(poolName), { updown }) };
    return {
      pools,
      shared: [{ id: "pods", psk: config.psks, owners: [] }],
      connections: [...own, anybody],
    };
  }
  return {
    pools,
    shared: config.psks.map(({ identity, psk }) => ({ id: nameOf(identity), psk, owners: [identity] })),
    connections: own,
  };
}

/** What cannot be changed under pods that are online: from where they have their addresses. Pure. */
export function rangesOf({ subnets }: HubConfig): string[] {
  return subnets.map(({ pool }) => `${pool.first}-${pool.last}`);
}

function poolName(address: Address): string {
  return legal(address);
}

/** Of both families: charon takes one only for a pod that asks for that family. */
const WAITING = ([4, 6] as const).map((version) => ({ name: `waiting-${version}`, addrs: waitingRoom(version) }));

/** Whom a connection is for. */
interface Whom {
  readonly identity?: string;
  readonly from?: Address | undefined;
  /** Run when a child comes up, before the pod is answered, and when it goes. */
  readonly updown?: string;
}

/** swanctl.conf(5), `connections`; without `remote.id` for any identity. */
function connection(config: HubConfig, pools: readonly string[], { identity, from, updown }: Whom): Section {
  return {
    version: "2",
    ...(config.listen.length === 0 ? {} : { local_addrs: [...config.listen] }),
    ...(from === undefined ? {} : { remote_addrs: [from] }),
    proposals: [...config.proposals],
    pools: [...pools],
    // Who is to be sent away, `Contests` finds out: each of charon's own rules lets the younger one drop the elder.
    unique: "never",
    mobike: "no",
    dpd_delay: `${config.dpd}s`,
    rekey_time: "4h",
    local: { auth: "psk", id: config.identity },
    remote: { auth: "psk", ...(identity === undefined ? {} : { id: identity }) },
    children: {
      [CHILD]: {
        // The whole of them: pods reach each other through the hub. Each child narrows its other side to the pod's own.
        local_ts: config.subnets.map(({ subnet }) => subnet),
        esp_proposals: [...config.espProposals],
        // A changed connection with a start action would end its SAs when it is loaded again.
        start_action: "none",
        dpd_action: "clear",
        rekey_time: "1h",
        ...(updown === undefined ? {} : { updown }),
      },
    },
  };
}

/** For charon's log readable, and different for different identities: names are sections, of at most 255 bytes. */
function nameOf(identity: string): string {
  const hash = createHash("sha256").update(identity).digest("hex").slice(0, 12);
  return `${legal(identity).slice(0, 80)}-${hash}`;
}

function legal(text: string): string {
  return text.replaceAll(/[^\w.-]/g, "_");
}
