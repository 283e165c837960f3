import * as z from "zod/mini";
import { type InterfaceAddress, interfaceAddress, networkAddress, prefixOf } from "../net/prefix.ts";
import { parsePublicKey, parseSecretKey } from "../wireguard/key.ts";
import { parseDuration } from "./duration.ts";
import type { Fields } from "./fields.ts";
import { absolutePath, asList, parsed, parsedBy } from "./schemas.ts";
import { parseMark } from "./wg-keys.ts";
import { ALLOWED_IP_EXPECTED, ENDPOINT_EXPECTED, parseAllowedIP, parsePeerEndpoint } from "./wireguard-peer.ts";

// The README's table is made of these by scripts/config-table.mjs: run it after a change.

/** The keys of `wireguard`. A function: nothing is built before a configuration is read. */
export function wireguardFields() {
  return {
    attach: {
      schema: z.enum(["node", "pod"]),
      default: "node",
      expected: "node or pod",
      docs: "`node`: all pods of the node are routed through one WireGuard device on it. `pod`: each pod has a WireGuard device of its own inside of it.",
    },
    agent: {
      schema: z.boolean(),
      default: false,
      expected: "true or false",
      docs: "Whether `podvpn agent` on this node has the tunnels: pods are routed through its device to whatever nodes it finds, and nothing else is given in `wireguard`. An ADD waits for the agent: until it runs, the runtime is told to try again.",
    },
    interface: {
      schema: z.string().check(z.regex(INTERFACE_NAME)),
      default: "podvpn0",
      expected:
        "a name of 1 to 15 letters, digits, dots, hyphens and underscores that begins with a letter or digit, and is not lo, all or default",
      docs: "Name of the WireGuard device, on the node or in the pod. Several networks may share a device of the node when what they say of it is the same.",
    },
    privateKeyFile: {
      schema: keyFile(),
      secret: true,
      expected:
        "the absolute path of a file with the private key, with {containerID}, {ifname}, {node} and {args.NAME} in it",
      docs: "The private key, as `wg genkey` writes it: a file of root's that nobody else may read (mode 0600); made when there is none, and kept. Without it, `/var/lib/podvpn/wireguard/INTERFACE.key` with `attach: node`; with `attach: pod` a key of the pod's own that goes with it. `{args.NAME}` is NAME of CNI_ARGS; with `attach: node`, `{node}` is the only placeholder.",
    },
    listenPort: {
      schema: z.int().check(z.minimum(0), z.maximum(65_535)),
      expected: "a UDP port from 0 to 65535; 0 is any",
      docs: "Where the device listens, on the node. Without it, 51820 with `attach: node`, and any free port with `attach: pod`.",
    },
    address: {
      schema: z.pipe(asList(), z.array(z.string())),
      default: [],
      expected: ADDRESS_EXPECTED,
      docs: "Addresses of the device itself. Pods behind the node's device keep those of their bridge, and need none here. With `attach: pod` it may have placeholders as `privateKeyFile` has, such as `{args.IP}/24`.",
    },
    mtu: {
      schema: parsed(mtu),
      default: "auto",
      expected: "auto, or bytes from 576 to 65535, from 1280 with IPv6 in the tunnel",
      docs: "MTU of the device and of the pods' routes to it. `auto` is what fits the node's links towards the peers: 1420 over Ethernet.",
    },
    fwmark: {
      schema: parsed(mark),
      default: "off",
      expected: 'off, or a number from 0 to 4294967295, also as text such as "0x2a"',
      docs: "Mark of the encrypted packets, for routing rules and filters of the node.",
    },
    table: {
      schema: z.int().check(
        z.minimum(1),
        z.maximum(0xffff_ffff),
        z.refine((table) => !RESERVED_TABLES.includes(table)),
      ),
      expected: "a number from 1 to 4294967295 other than 220 (strongSwan's), 253, 254 and 255 (the kernel's)",
      docs: "A routing table of the node's for the routes to the peers, with a rule that leads to it. Without it, they are in the main table.",
    },
    peers: {
      schema: z.array(z.unknown()),
      expected: "a list of objects with publicKey, endpoint and allowedIPs",
      docs: "The other ends. At most one of `peers`, `peersFile` and `configFile` may be given.",
    },
    peersFile: {
      schema: absolutePath(),
      expected: "the absolute path of a YAML or JSON file",
      docs: "A file with the list of peers, or an object with it as `peers`; read again at each ADD. It must be root's, and nobody else may change it.",
    },
    configFile: {
      schema: absolutePath(),
      expected: "the absolute path of a file as wg setconf reads it",
      docs: "Private key, port, mark and peers in a configuration file of `wg` (not of `wg-quick`); read again at each ADD. It must be root's, and nobody else may read it (mode 0600).",
    },
    dataplane: {
      schema: z.enum(["auto", "kernel", "userspace"]),
      default: "auto",
      expected: "auto, kernel or userspace",
      docs: "Where WireGuard is done. `auto` takes the kernel where it really has WireGuard, else user space (wireguard-go).",
    },
    removeWithLastPod: {
      schema: z.boolean(),
      default: false,
      expected: "true or false",
      docs: "Whether the node's device, with its routes, goes with the last pod that uses it. Its private key stays.",
    },
  } satisfies Fields;
}

/** The keys of one of `peers`. */
export function peerFields() {
  return {
    publicKey: {
      schema: parsedBy(parsePublicKey),
      required: true,
      secret: true, // it may be the private key, by mistake
      expected: "a public key as wg pubkey writes it: 44 characters of base64",
      docs: "The peer's public key.",
    },
    name: {
      schema: z.string().check(z.regex(/^(?=\S)[^\p{C}\p{Zl}\p{Zp}]{1,64}$/u)),
      expected: "1 to 64 printable characters that do not begin with a space",
      docs: "What people call the peer: for listings alone.",
    },
    endpoint: {
      schema: parsedBy(parsePeerEndpoint),
      expected: ENDPOINT_EXPECTED,
      docs: "Where the peer is reached first; afterwards, where it last spoke from. Without it, the peer speaks first. A name that does not resolve delays this peer alone.",
    },
    allowedIPs: {
      schema: z.pipe(asList(), z.array(parsedBy(parseAllowedIP))),
      default: [],
      expected: `${ALLOWED_IP_EXPECTED}, or a list of them`,
      docs: "What is behind the peer: packets to these addresses go to it alone, and only packets from them are taken from it. The pods' subnet on that node, usually. Dropped while there is no tunnel.",
    },
    presharedKeyFile: {
      schema: keyFile(),
      secret: true,
      expected: "the absolute path of a file with the key that is shared with the peer",
      docs: "A preshared key, as `wg genpsk` writes it, on top of the peers' own keys: a file of root's that nobody else may read (mode 0600).",
    },
    persistentKeepalive: {
      schema: parsed(keepalive),
      default: "off",
      expected: 'off, or whole seconds (25), or a duration such as "25s", up to 65535 seconds; 0 is off',
      docs: "How often a packet is sent when there is no other, so that a NAT or firewall on the way remembers the peer.",
    },
  } satisfies Fields;
}

/** What {@link deviceAddress} takes, for messages. */
export const ADDRESS_EXPECTED =
  "an address with its prefix length, such as 10.8.0.1/24 or fd00:8::1/64, or a list of them (no loopback, link-local, multicast or network address)";

/** An address that a device can have, with its host bits. */
export function deviceAddress(text: string): InterfaceAddress | undefined {
  const parsedText = interfaceAddress(text);
  if (parsedText === undefined) return undefined;
  const { address, prefixLength } = parsedText;
  if (UNUSABLE_ADDRESS.test(address)) return undefined;
  const bits = address.includes(":") ? 128 : 32;
  // 10.8.0.0/24 is the subnet, by mistake; of two addresses or one, each is a host's (RFC 3021, RFC 6164).
  const isNetwork = prefixLength < bits - 1 && networkAddress(prefixOf(address, prefixLength)) === address;
  return isNetwork ? undefined : parsedText;
}

/** "This network", loopback, link-local, multicast and reserved, unspecified, IPv4-mapped; on the canonical text. */
const UNUSABLE_ADDRESS = /^(?:0|127|22[4-9]|2[345]\d)\.|^169\.254\.|^::(?:1?$|ffff:)|^fe[89ab][\da-f]:|^ff[\da-f]{2}:/;

/**
 * Stricter than the kernel (net/core/dev.c, dev_valid_name): a name is in paths, options and patterns as well. `all`
 * and `default` are no devices under /proc/sys/net.
 */
const INTERFACE_NAME = /^(?!(?:lo|all|default)$)[A-Za-z\d][\w.-]{0,14}$/;

/** charon's, and those that the kernel fills itself. */
const RESERVED_TABLES: readonly number[] = [220, 253, 254, 255];

/** The path of a file with a key; not the key itself, which may look like one. */
function keyFile() {
  return absolutePath().check(z.refine((text) => parseSecretKey(text) === undefined));
}

function mtu(value: unknown): number | "auto" | undefined {
  if (value === "auto") return value;
  return Number.isInteger(value) && typeof value === "number" && value >= 576 && value <= 65_535 ? value : undefined;
}

function mark(value: unknown): number | undefined {
  return typeof value === "number" || typeof value === "string" ? parseMark(`${value}`) : undefined;
}

/** In seconds. */
function keepalive(value: unknown): number | undefined {
  if (value === "off") return 0;
  const seconds = (parseDuration(value) ?? Number.NaN) / 1000;
  return Number.isInteger(seconds) && seconds <= 65_535 ? seconds : undefined;
}
