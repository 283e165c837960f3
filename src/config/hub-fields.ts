import * as z from "zod/mini";
import { type Address, family, parseAddress } from "../net/address.ts";
import { overlaps, type Prefix, parsePrefix, prefixLength } from "../net/prefix.ts";
import { waitingRoom } from "../net/waiting-room.ts";
import type { Fields } from "./fields.ts";
import { IDENTITY_EXPECTED, legalIdentity } from "./identity.ts";
import { absolutePath, asList, parsedBy, proposals, wholeSeconds } from "./schemas.ts";

/** The keys of hub.yaml. A function: nothing is built before a configuration is read. */
export function hubFields() {
  return {
    listen: {
      schema: z.pipe(asList(), z.array(parsedBy(listenAddress))),
      default: [],
      expected: "an IPv4 or IPv6 address of this hub, or a list of them; leave it out for all",
      docs: "The addresses at which pods find the hub. Without it, all that it has.",
    },
    identity: {
      schema: identity(),
      default: "server",
      expected: `an IKE identity: ${IDENTITY_EXPECTED}`,
      docs: "The hub's own IKE identity, which `vpn.serverID` asks for.",
    },
    virtualSubnets: {
      schema: z.pipe(asList(), z.array(z.unknown()).check(z.minLength(1))),
      required: true,
      expected: "a list with at least one prefix, or one object with `subnet` and `pool` for each",
      docs: "What the hub serves: a list of prefixes, IPv4 and IPv6, or of objects with `subnet` and `pool`.",
    },
    pskFile: {
      schema: absolutePath(),
      secret: true, // who writes the key itself here by mistake must not see it in a log
      expected: "the absolute path of a file with the pre-shared key of all pods",
      docs: "A file, mode 0600, with the pre-shared key of all pods. Exactly one of `pskFile` and `identities` is required.",
    },
    identities: {
      schema: z.array(z.unknown()).check(z.minLength(1)),
      expected: "a list of objects with `identity` and `pskFile`",
      docs: "A pre-shared key for each identity; no other identity is let in.",
    },
    proposals: {
      schema: proposals(),
      default: "aes128gcm16-prfsha256-x25519",
      expected: "a proposal such as aes128gcm16-prfsha256-x25519, or a list of them",
      docs: "For IKE, in strongSwan's syntax, with the same algorithms as `vpn.proposals`.",
    },
    espProposals: {
      schema: proposals(),
      default: "aes128gcm16-x25519",
      expected: "a proposal such as aes128gcm16-x25519, or a list of them",
      docs: "For ESP, as `vpn.espProposals`.",
    },
    dpd: {
      schema: wholeSeconds(3600),
      default: "30s",
      expected: 'whole seconds (30), or a duration such as "30s", up to 1h; 0 for never',
      docs: "After how long without traffic a pod is asked whether it still lives. One that does not answer within 11 seconds is offline: see `leaseTime`.",
    },
    dataplane: {
      schema: z.enum(["auto", "kernel", "userspace"]),
      default: "auto",
      expected: "auto, kernel or userspace",
      docs: "Where ESP is done, as `vpn.dataplane`.",
    },
    directory: {
      // The VICI socket below it: at most 107 bytes (sun_path).
      schema: absolutePath().check(z.maxLength(96), z.regex(/^[\w./-]*$/)),
      default: "/run/podvpn/hub",
      expected: "an absolute path of at most 96 letters, digits, dots, slashes, underscores and hyphens",
      docs: "What the hub keeps while it runs. Only for several hubs on one machine, each in a network namespace of its own.",
    },
    leases: {
      schema: absolutePath(),
      expected: "the absolute path of a file",
      docs: "Which pod has which virtual IP, kept over restarts: a file of the hub's own. Without it, `/var/lib/podvpn/hub/leases.json`; with another `directory`, a file named after that.",
    },
    leaseTime: {
      schema: wholeSeconds(LONGEST_LEASE),
      default: "1h",
      expected: 'whole seconds (3600), or a duration such as "1h", up to 8760h; 0 for ever',
      docs: "How long a pod that is offline keeps its virtual IP. The time that the hub itself is down does not count. A pod that says goodbye (DEL) gives it back at once.",
    },
    logLevel: {
      schema: z.enum(["error", "info", "debug"]),
      default: "info",
      expected: "error, info or debug",
      docs: "What is logged: who was refused and why, which pods come and go as well, or all that charon says.",
    },
  } satisfies Fields;
}

/** The keys of one of `virtualSubnets`. */
export function subnetFields() {
  return {
    subnet: {
      schema: parsedBy(virtualSubnet),
      required: true,
      expected: `a prefix such as 10.173.0.0/16 or fd00:173::/64 with at least ${SHORTEST} bits (no loopback, link-local or multicast addresses)`,
      docs: "The virtual subnet: `vpn.virtualSubnet` of the pods.",
    },
    pool: {
      schema: parsedBy(parsePrefix),
      expected: "a prefix inside of the subnet, such as 10.173.0.0/20",
      docs: "The part of it that pods get their virtual IPs from. Without it, all of an IPv4 subnet, and the first /112 of an IPv6 one.",
    },
  } satisfies Fields;
}

/** The keys of one of `identities`. */
export function identityFields() {
  return {
    identity: {
      schema: identity(),
      required: true,
      expected: `an IKE identity: ${IDENTITY_EXPECTED}`,
      docs: "What `vpn.identity` of the pod makes.",
    },
    pskFile: {
      schema: absolutePath(),
      required: true,
      secret: true,
      expected: "the absolute path of a file with the pre-shared key of this identity",
      docs: "A file, mode 0600, with the key of this identity alone.",
    },
  } satisfies Fields;
}

/** In seconds: a year. */
const LONGEST_LEASE = 8760 * 3600;

/** In bits: a shorter prefix holds the addresses of the world, and the hub would cut itself off from them. */
const SHORTEST = 8;

function identity() {
  return parsedBy((text) => (legalIdentity(text) ? text : undefined));
}

function virtualSubnet(text: string): Prefix | undefined {
  const prefix = parsePrefix(text);
  if (prefix === undefined || prefixLength(prefix) < SHORTEST || SPECIAL.test(prefix)) return undefined;
  return overlaps(waitingRoom(family(prefix)), prefix) ? undefined : prefix;
}

function listenAddress(text: string): Address | undefined {
  const address = parseAddress(text);
  return address === undefined || /^(?:0\.|::$)/.test(address) || MULTICAST.test(address) ? undefined : address;
}

const MULTICAST = /^(?:22[4-9]|2[345]\d)\.|^ff[\da-f]{2}:/;

/** On the canonical text: "this network", loopback, link-local, multicast and reserved, IPv4-mapped. */
const SPECIAL = /^(?:0|127|22[4-9]|2[345]\d)\.|^169\.254\.|^::|^fe[89ab][\da-f]:|^ff[\da-f]{2}:/;
