import { type CharonOptions, type DataPlane, POD_SETTINGS, type Settings } from "./strongswan-conf.ts";

/** Where libipsec puts the routes that it makes whatever it is told: the mesh's own are in `main`. */
export const UNUSED_TABLE = 17_400;
/** The rule that leads there: behind `main` (32766) and `default` (32767), nobody gets as far as that. */
export const UNUSED_RULE_PRIORITY = 40_000;

/**
 * What the mesh needs besides every charon's: public keys and certificates; and OpenSSL where it is installed, first, as
 * its AES is many times as fast. A node has one charon of the mesh: its 0.6 MB do not count.
 */
const PLUGINS = ["openssl", "pubkey", "pem", "pkcs1", "pkcs8", "x509", "constraints"];

/** How the charon that joins nodes is started. Pure. */
export function meshCharonOptions(
  directory: string,
  dataPlane: DataPlane,
  logLevel: 1 | 2,
): CharonOptions & { readonly settings: Settings } {
  return {
    directory,
    dataPlane,
    logLevel,
    plugins: PLUGINS,
    // Each packet of IKE; with libipsec each packet for a peer that has no tunnel.
    quiet: ["net", "enc", "esp"],
    // Each pod brings interfaces and routes, at each of which charon would look at the way of each of its tunnels.
    noRoaming: true,
    settings: meshSettings(dataPlane),
  };
}

function meshSettings(dataPlane: DataPlane): Settings {
  return {
    ...POD_SETTINGS,
    // kernel-libipsec holds 8; the rest is for many peers that come at once, and for VICI.
    threads: 32,
    port: 500,
    port_nat_t: 4500,
    install_virtual_ip: false,
    // libipsec (5.9.8) makes routes all the same.
    install_routes: false,
    routing_table: dataPlane === "kernel" ? 0 : UNUSED_TABLE,
    routing_table_prio: UNUSED_RULE_PRIORITY,
    // A tunnel that takes the place of another is proven anew: in an IKE_SA of its own.
    reuse_ikesa: false,
    // When a tunnel is taken away, the other side goes on to send by it until it hears of that. Its last packets come
    // before its answer; but charon looks at both with different threads, and must not have forgotten the tunnel yet. So it
    // looks at such answers (INFORMATIONAL) later: less than `retransmit_timeout`.
    receive_delay: 300,
    receive_delay_type: 37,
    receive_delay_request: false,
    receive_delay_response: true,
    // With the default, 1, every packet of IKE looks at all IKE_SAs.
    ikesa_table_size: 1024,
    ikesa_table_segments: 16,
    // Peers that come back together are no flood: who is asked for a cookie five times (5.9.8) gives up for good.
    cookie_threshold: 8192,
    cookie_threshold_ip: 8192,
  };
}
