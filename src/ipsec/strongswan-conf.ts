/** A tree of strongswan.conf: sections and settings. */
export interface Settings {
  readonly [key: string]: string | number | boolean | Settings;
}

/** Where ESP is done: in the kernel (XFRM), or in charon over a TUN device (kernel-libipsec). */
export type DataPlane = "kernel" | "userspace";

/**
 * charon's plugins for PSK, x25519, AES-GCM and SHA-2, and no more: a charon of a pod starts in two thirds of the
 * time and holds half of the private memory of a fully loaded one (docs/facts/strongswan.md).
 * Order matters: kernel-libipsec before kernel-netlink takes ESP and leaves addresses and routes to it.
 */
export function pluginList(dataPlane: DataPlane): string {
  const esp = dataPlane === "userspace" ? "kernel-libipsec " : "";
  return `random nonce aes gcm sha2 sha1 hmac kdf curve25519 ${esp}kernel-netlink socket-default vici`;
}

/** What differs between the charons that podvpn starts. */
export interface CharonOptions {
  /** Private directory of this charon: its socket, log and configuration lie there. */
  readonly directory: string;
  readonly dataPlane: DataPlane;
  /** 1, or 2 for debugging: above that charon would log key material. */
  readonly logLevel: 1 | 2;
  /** Parts of charon that log errors only (strongswan.conf(5), "logger groups"). */
  readonly quiet?: readonly string[];
  /** Plugins beside those of {@link pluginList}. */
  readonly plugins?: readonly string[];
  /** MTU of the routes into the tunnel, in bytes; charon's own choice without it. */
  readonly routeMtu?: number;
  /** Takes no notice of interfaces, addresses and routes that come and go. */
  readonly noRoaming?: boolean;
  /** Further settings of the `charon-systemd` section. */
  readonly settings: Settings;
}

export function viciSocket(directory: string): string {
  return `${directory}/vici`;
}

export function charonLog(directory: string): string {
  return `${directory}/charon.log`;
}

/** The text of a strongswan.conf for one charon (strongswan.conf(5), 5.9). Pure. */
export function strongswanConf(options: CharonOptions): string {
  return render({
    "charon-systemd": {
      load: [pluginList(options.dataPlane), ...(options.plugins ?? [])].join(" "),
      journal: { default: -1 },
      filelog: {
        podvpn: {
          path: charonLog(options.directory),
          default: options.logLevel,
          ...Object.fromEntries((options.quiet ?? []).map((group) => [group, 0])),
          flush_line: true,
          // Appending, so that a log cut short from outside goes on at its new end.
          append: true,
          time_format: "%Y-%m-%dT%H:%M:%S",
          time_add_ms: true,
        },
      },
      plugins: {
        vici: { socket: `unix://${viciSocket(options.directory)}` },
        ...kernelNetlink(options),
      },
      ...options.settings,
    },
  });
}

function kernelNetlink({ routeMtu, noRoaming }: CharonOptions): Settings {
  const settings: Settings = {
    ...(routeMtu === undefined ? {} : { mtu: routeMtu }),
    ...(noRoaming === true ? { roam_events: false } : {}),
  };
  return Object.keys(settings).length === 0 ? {} : { "kernel-netlink": settings };
}

/** charon's routing table: one for all tunnels of a namespace, so that of two virtual subnets the longer prefix wins. */
export const TUNNEL_TABLE = 220;

/** Settings of a pod's charon. */
export const POD_SETTINGS: Settings = {
  // kernel-libipsec holds 8 workers for ever and each VICI command one more: with 9 `initiate` never ends.
  threads: 12,
  // Random ports: 500 and 4500 stay free for the pod, and two attachments of one pod do not meet.
  port: 0,
  port_nat_t: 0,
  // A silent hub is given up after 3.6 s (9 * 0.4), then tried again (keyingtries = 0). Nine times, so that a hub that
  // lives is given up once in ten thousand times where 20 % of the packets are lost in each direction.
  retransmit_timeout: 0.4,
  retransmit_base: 1,
  retransmit_tries: 8,
  // Per cent: a thousand pods must not hit a restarted hub in step.
  retransmit_jitter: 20,
  install_virtual_ip: true,
  routing_table: TUNNEL_TABLE,
  routing_table_prio: 220,
};

/** Settings of the charon that a node has for all its pods: their addresses and routes are ours, in their namespaces. */
export const NODE_SETTINGS: Settings = {
  ...POD_SETTINGS,
  // Each VICI command that waits holds one; at most four `initiate` do.
  threads: 16,
  install_virtual_ip: false,
  install_routes: false,
  routing_table: 0,
  // With the default, 1, every packet of IKE looks at all IKE_SAs.
  ikesa_table_size: 256,
  ikesa_table_segments: 8,
};

function render(settings: Settings, indent = ""): string {
  return Object.entries(settings)
    .map(([key, value]) => {
      if (typeof value === "object") return `${indent}${key} {\n${render(value, `${indent}  `)}${indent}}\n`;
      const text = typeof value === "boolean" ? (value ? "yes" : "no") : String(value);
      return `${indent}${key} = ${text}\n`;
    })
    .join("");
}
