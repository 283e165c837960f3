import type { HubConfig } from "../config/hub.ts";
import type { CharonOptions, DataPlane, Settings } from "../ipsec/strongswan-conf.ts";
import { ROUTING_TABLE } from "./network.ts";

/** Settings of the hub's charon (strongswan.conf(5), 5.9). */
const HUB_SETTINGS: Settings = {
  // kernel-libipsec holds 8 for ever; the rest is for many pods that come at once, and for VICI.
  threads: 32,
  // A pod is given up 11.2 s after its first unanswered request (0.5 * (1.8^5 - 1) / 0.8), not after 165 s.
  retransmit_timeout: 0.5,
  retransmit_base: 1.8,
  retransmit_tries: 4,
  // With the default, 1, every packet of IKE looks at all IKE_SAs: 10 ms for each new pod at 1000 of them.
  ikesa_table_size: 1024,
  ikesa_table_segments: 16,
  // Half-open IKE_SAs of one address; the default of 5 refuses a node whose masqueraded pods start together.
  block_threshold: 256,
  // Half-open IKE_SAs, of all and of one address, from which on cookies are asked for. A pod (5.9.8) that is asked for
  // five gives up for good ("giving up after 5 retries"): a thousand that come back together must never be.
  cookie_threshold: 8192,
  cookie_threshold_ip: 8192,
  routing_table: ROUTING_TABLE,
  routing_table_prio: ROUTING_TABLE,
};

/** How the hub's charon is started: nothing of this can be changed under pods that are online. Pure. */
export function charonOptions(config: HubConfig, dataPlane: DataPlane): CharonOptions {
  return {
    directory: config.directory,
    dataPlane,
    logLevel: 1,
    plugins: ["updown"], // src/hub/arrivals.ts
    // Each packet of IKE: a thousand pods that are idle would fill the log with that in half a minute.
    quiet: ["net", "enc"],
    settings: HUB_SETTINGS,
  };
}
