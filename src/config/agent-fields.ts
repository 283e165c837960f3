import * as z from "zod/mini";
import { parseEndpoint } from "../net/endpoint.ts";
import { parseSecretKey } from "../wireguard/key.ts";
import {
  DRIVERS_EXPECTED,
  drivers,
  KEEPALIVE_EXPECTED,
  keepaliveSeconds,
  LABELS_EXPECTED,
  MTU_EXPECTED,
  NODE_NAME_EXPECTED,
  nodeName,
  PREFIX_EXPECTED,
  PUBLIC_EXPECTED,
  podPrefixes,
  publicHosts,
  SITE_EXPECTED,
  siteName,
  UNDERLAY_EXPECTED,
  underlayAddresses,
  underlayMtu,
} from "./agent-values.ts";
import { parseDuration } from "./duration.ts";
import type { Fields } from "./fields.ts";
import { IDENTITY_EXPECTED, legalIdentity } from "./identity.ts";
import { absolutePath, asList, parsed, parsedBy } from "./schemas.ts";
import { wireguardFields } from "./wireguard-fields.ts";

/** The keys of agent.yaml. A function: nothing is built before a configuration is read. */
export function agentFields() {
  return {
    name: {
      schema: nodeName(),
      expected: NODE_NAME_EXPECTED,
      docs: "The node's name in the mesh: no two nodes have the same. Without it, the host's name.",
    },
    registry: {
      schema: z.unknown(),
      expected: "an object with directory",
      docs: "Where nodes find each other.",
    },
    network: {
      schema: podPrefixes(),
      expected: PREFIX_EXPECTED,
      docs: "The network of all pods of all nodes, at most one of each family: the node takes a share of it that is nobody's. At most one of `network` and `podPrefixes` may be given; without both, the subnets of the CNI configurations in `/etc/cni/net.d` are the node's.",
    },
    ipsPerNode: {
      schema: z.pipe(asList(), z.array(parsed(share)).check(z.minLength(1))),
      expected: SHARE_EXPECTED,
      docs: "How large a node's share of `network` is: the same on all nodes. One value for each network, or one for all. Without it, 256 addresses of an IPv4 network and a `/64` of an IPv6 one.",
    },
    podPrefixes: {
      schema: podPrefixes(),
      expected: PREFIX_EXPECTED,
      docs: "Where the pods of this node are, by hand. Nobody else may have any of it.",
    },
    drivers: {
      schema: drivers(),
      default: ["wireguard"],
      expected: DRIVERS_EXPECTED,
      docs: "How the node can encrypt. Two nodes take what both have, by what both prefer.",
    },
    topology: {
      schema: z.enum(["full", "site"]),
      default: "full",
      expected: "full or site",
      docs: "`full`: each node has a tunnel to each other. `site`: within a site as well, and from site to site by gateways. The same on all nodes.",
    },
    site: {
      schema: siteName(),
      expected: SITE_EXPECTED,
      docs: "The site that the node is in: nodes of one site reach each other by their private addresses. Without it, the one site that has no name.",
    },
    gateway: {
      schema: z.boolean(),
      default: false,
      expected: "true or false",
      docs: "Whether the node forwards between its site and others, with `topology: site`. A site may have several: another one takes over when one dies.",
    },
    underlay: {
      schema: z.unknown(),
      expected: "an object with private and public",
      docs: "Where other nodes reach this one.",
    },
    wireguard: {
      schema: z.unknown(),
      expected: "an object with interface, port, privateKeyFile and dataplane",
      docs: "What the driver `wireguard` needs.",
    },
    ipsec: {
      schema: z.unknown(),
      expected: "an object with identity and authentication",
      docs: "What the driver `ipsec` needs.",
    },
    keepalive: {
      schema: keepaliveSeconds(),
      default: 0,
      expected: KEEPALIVE_EXPECTED,
      docs: "For a node behind a NAT: it sends something at least this often.",
    },
    mtu: {
      schema: parsed((value: unknown) => (value === "auto" ? value : z.safeParse(underlayMtu(), value).data)),
      default: "auto",
      expected: `auto, or ${MTU_EXPECTED}`,
      docs: "MTU of the underlay, where the path to this node has less than the node's own link. `auto` is what the link has.",
    },
    labels: {
      schema: z.unknown(),
      expected: LABELS_EXPECTED,
      docs: "Names and texts for whoever reads the node's record.",
    },
    rotateEvery: {
      schema: parsed(rotation),
      default: 0,
      expected: 'a duration such as "30d" or "12h", from 1m to 3650d; 0 for never',
      docs: "How old the node's keys become before new ones take their place, without a packet lost.",
    },
    probe: {
      schema: z.unknown(),
      expected: "an object with interval, port, downAfter and degradedLoss",
      docs: "How the node sees whether its peers are well.",
    },
    metrics: {
      schema: z.unknown(),
      expected: "off, or an object with listen",
      docs: "Metrics for Prometheus, `/healthz` and `/readyz`, or `off`.",
    },
    logLevel: {
      schema: z.enum(["error", "info", "debug"]),
      default: "info",
      expected: "error, info or debug",
      docs: "What is logged: what failed, what changed as well, or every step.",
    },
    logFile: {
      schema: absolutePath(),
      expected: "the absolute path of a file",
      docs: "Where the log goes. Without it, to standard error: the journal, with systemd.",
    },
  } satisfies Fields;
}

/** The keys of `registry`. */
export function agentRegistryFields() {
  return {
    directory: {
      schema: absolutePath(),
      default: "/etc/podvpn/mesh",
      expected: "the absolute path of a directory",
      docs: "A directory that all nodes share, by whatever means: one file a node, `nodes/NAME.yaml`. Whoever can write there can join.",
    },
  } satisfies Fields;
}

/** The keys of `underlay`. */
export function agentUnderlayFields() {
  return {
    private: {
      schema: underlayAddresses(),
      expected: UNDERLAY_EXPECTED,
      docs: "Addresses at which nodes of the same site reach this one. Without it, those of the interface that has the default route.",
    },
    public: {
      schema: publicHosts(),
      default: [],
      expected: PUBLIC_EXPECTED,
      docs: "Addresses or names at which everybody reaches this node.",
    },
  } satisfies Fields;
}

/** The keys of `wireguard`. */
export function agentWireguardFields() {
  const { interface: name, dataplane } = wireguardFields();
  return {
    interface: { ...name, docs: "Name of the WireGuard device." },
    port: {
      // The one above is taken while keys rotate.
      schema: z.int().check(z.minimum(1), z.maximum(65_534)),
      default: 51_820,
      expected: "a UDP port from 1 to 65534",
      docs: "Where the device listens; while keys rotate, at the next higher port as well.",
    },
    privateKeyFile: {
      schema: keyFile(),
      default: "/var/lib/podvpn/mesh/wireguard.key",
      secret: true,
      expected: "the absolute path of a file with the private key",
      docs: "The private key, as `wg genkey` writes it: a file of root's that nobody else may read (mode 0600); made when there is none, and kept.",
    },
    dataplane,
  } satisfies Fields;
}

/** The keys of `ipsec`. */
export function agentIpsecFields() {
  return {
    identity: {
      schema: parsedBy((text) => (legalIdentity(text) ? text : undefined)),
      expected: `an IKE identity: ${IDENTITY_EXPECTED}`,
      docs: "The node's IKE identity: no two nodes have the same. Without it, its name; with `x509` the certificate must have it.",
    },
    authentication: {
      schema: z.enum(["key", "psk", "x509"]),
      default: "key",
      expected: "key, psk or x509",
      docs: "How nodes prove who they are: `key` by raw ed25519 keys, of which the registry has the public ones; `psk` by a key that all nodes have; `x509` by certificates.",
    },
    privateKeyFile: {
      schema: keyFile(),
      secret: true,
      expected: "the absolute path of a file with the private key in PEM or DER",
      docs: "With `key`, made when there is none, and kept: without it, `/var/lib/podvpn/mesh/ipsec.key`. With `x509`, the key of the certificate. A file of root's that nobody else may read (mode 0600).",
    },
    pskFile: {
      schema: absolutePath(),
      secret: true,
      expected: "the absolute path of a file with the pre-shared key of all nodes",
      docs: "With `psk`: a file of root's that nobody else may read (mode 0600).",
    },
    certificateFile: {
      schema: absolutePath(),
      expected: "the absolute path of a file with the node's certificate in PEM or DER",
      docs: "With `x509`: the node's certificate. It must be root's, and nobody else may change it.",
    },
    caFiles: {
      schema: z.pipe(asList(), z.array(absolutePath()).check(z.minLength(1))),
      expected: "the absolute path of a file with the certificate of an authority in PEM or DER, or a list of them",
      docs: "With `x509`: who must have signed the certificates of other nodes. They must be root's, and nobody else may change them.",
    },
    dataplane: {
      schema: z.enum(["auto", "kernel", "userspace"]),
      default: "auto",
      expected: "auto, kernel or userspace",
      docs: "Where ESP is done. `auto` takes the kernel where it has ESP, else user space.",
    },
  } satisfies Fields;
}

/** The keys of `probe`. */
export function agentProbeFields() {
  return {
    interval: {
      schema: duration(100, 60_000),
      default: "1s",
      expected: 'a duration such as "1s", from 100ms to 60s',
      docs: "How often each peer is asked through its tunnel, in both directions.",
    },
    port: {
      schema: z.int().check(z.minimum(1), z.maximum(65_535)),
      default: 7174,
      expected: "a UDP port from 1 to 65535",
      docs: "At the node's own address inside the mesh. The same on all nodes.",
    },
    downAfter: {
      schema: duration(200, 600_000),
      default: "2500ms",
      expected: 'a duration such as "2500ms", from 200ms to 10m',
      docs: "How long a peer may be silent before it is down: longer than `interval`.",
    },
    degradedLoss: {
      schema: z.number().check(z.gt(0), z.lte(100)),
      default: 5,
      expected: "a percentage above 0, up to 100",
      docs: "From which loss on a peer is degraded, in percent of the last probes.",
    },
  } satisfies Fields;
}

/** The keys of `metrics`. */
export function agentMetricsFields() {
  return {
    listen: {
      schema: parsedBy((text) => {
        const endpoint = parseEndpoint(text);
        return endpoint !== undefined && "address" in endpoint ? endpoint : undefined;
      }),
      default: "127.0.0.1:9174",
      expected: "an address and TCP port such as 127.0.0.1:9174 or [::1]:9174",
      docs: "Where metrics are served, in plain and to whoever asks.",
    },
  } satisfies Fields;
}

/** What {@link share} takes, for messages. */
export const SHARE_EXPECTED =
  'a power of two from 4 to 2^64, or the length of a prefix ("/24", "/64"), or a list with one for each network';

/** A node's share of a network: how many addresses, by their power of two, or the length of its prefix, in bits. */
export type Share = { readonly hostBits: number } | { readonly length: number };

function share(value: unknown): Share | undefined {
  if (typeof value === "string" && /^\/[1-9]\d{0,2}$/.test(value)) return { length: Number(value.slice(1)) };
  if (typeof value !== "number") return undefined;
  const hostBits = Math.log2(value); // exact for powers of two
  return Number.isInteger(hostBits) && hostBits >= 2 && hostBits <= 64 ? { hostBits } : undefined;
}

/** In milliseconds. */
function duration(least: number, most: number) {
  return parsed((value: unknown) => {
    const milliseconds = parseDuration(value);
    return milliseconds !== undefined && milliseconds >= least && milliseconds <= most ? milliseconds : undefined;
  });
}

/** In milliseconds; in days as well, which nothing else here lasts. */
function rotation(value: unknown): number | undefined {
  const days = typeof value === "string" ? /^(\d{1,4})d$/.exec(value)?.[1] : undefined;
  const milliseconds = days === undefined ? parseDuration(value) : Number(days) * DAY;
  if (milliseconds === undefined) return undefined;
  return milliseconds === 0 || (milliseconds >= 60_000 && milliseconds <= 3650 * DAY) ? milliseconds : undefined;
}

/** In milliseconds. */
const DAY = 86_400_000;

/** The path of a file with a key; not the key itself, which may look like one. */
function keyFile() {
  return absolutePath().check(z.refine((text) => parseSecretKey(text) === undefined));
}
