import * as z from "zod/mini";
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
} from "../config/agent-values.ts";
import type { Fields } from "../config/fields.ts";
import { IDENTITY_EXPECTED, legalIdentity } from "../config/identity.ts";
import { asList, parsedBy } from "../config/schemas.ts";
import { parseAddress } from "../net/address.ts";
import { parsePublicKey } from "../wireguard/key.ts";

/** The keys of a node's record. A function: nothing is built before a record is read. */
export function recordFields() {
  return {
    name: {
      schema: nodeName(),
      required: true,
      expected: NODE_NAME_EXPECTED,
      docs: "The node's name: no two nodes have the same.",
    },
    generation: {
      schema: z.int().check(z.minimum(0)),
      default: 0,
      expected: "a whole number from 0",
      docs: "Grows with every change that the node's agent publishes.",
    },
    underlay: {
      schema: z.unknown(),
      expected: "an object with private and public",
      docs: "Where other nodes reach this one.",
    },
    podPrefixes: {
      schema: podPrefixes(),
      required: true,
      expected: PREFIX_EXPECTED,
      docs: "Where the node's pods are.",
    },
    since: {
      schema: parsedBy(time),
      expected: 'a time such as "2026-11-21T12:00:00.000Z"',
      docs: "When the node took its pod prefixes: of two that took the same, the later one takes others.",
    },
    addresses: {
      schema: z.pipe(asList(), z.array(parsedBy(parseAddress)).check(z.minLength(1), z.maxLength(2))),
      expected: "an address inside of podPrefixes, or a list with one of each family",
      docs: "The node's own addresses in the mesh. Without them, the first one that a host can have in the first pod prefix of each family.",
    },
    drivers: {
      schema: drivers(),
      expected: DRIVERS_EXPECTED,
      docs: "How the node can encrypt. Without it, by what it has an identity for.",
    },
    wireguard: {
      schema: z.unknown(),
      expected: "an object with publicKey",
      docs: "How the node is known with WireGuard.",
    },
    ipsec: {
      schema: z.unknown(),
      expected: "an object with identity",
      docs: "How the node is known with IPsec.",
    },
    site: {
      schema: siteName(),
      expected: SITE_EXPECTED,
      docs: "Nodes of one site reach each other by their private addresses.",
    },
    gateway: {
      schema: z.boolean(),
      default: false,
      expected: "true or false",
      docs: "Whether the node forwards between its site and others.",
    },
    keepalive: {
      schema: keepaliveSeconds(),
      default: 0,
      expected: KEEPALIVE_EXPECTED,
      docs: "It sends something at least this often.",
    },
    mtu: {
      schema: underlayMtu(),
      expected: MTU_EXPECTED,
      docs: "MTU of the underlay.",
    },
    labels: {
      schema: z.unknown(),
      expected: LABELS_EXPECTED,
      docs: "Names and texts for whoever reads the record.",
    },
  } satisfies Fields;
}

/** The keys of `underlay`. */
export function underlayFields() {
  return {
    private: {
      schema: underlayAddresses(),
      default: [],
      expected: UNDERLAY_EXPECTED,
      docs: "Addresses at which nodes of the same site reach this one, the preferred ones first.",
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
export function wireguardIdentityFields() {
  const publicKey = {
    schema: parsedBy(parsePublicKey),
    secret: true, // it may be the private key, by mistake
    expected: "a public key as wg pubkey writes it: 44 characters of base64",
  } as const;
  return {
    publicKey: { ...publicKey, required: true, docs: "The node's public key." },
    port: {
      schema: z.int().check(z.minimum(1), z.maximum(65_535)),
      default: 51_820,
      expected: "a UDP port from 1 to 65535",
      docs: "Where its device listens.",
    },
    nextPublicKey: { ...publicKey, docs: "The key that comes next: peers accept it before the node uses it." },
  } satisfies Fields;
}

/** The keys of `ipsec`. */
export function ipsecIdentityFields() {
  const publicKey = {
    schema: parsedBy(ed25519Key),
    secret: true,
    expected: "a public ed25519 key as openssl pkey -pubout writes it: the 60 characters of base64 between its lines",
  } as const;
  return {
    identity: {
      schema: parsedBy((text) => (legalIdentity(text) ? text : undefined)),
      expected: `an IKE identity: ${IDENTITY_EXPECTED}`,
      docs: "The node's IKE identity. Without it, its name.",
    },
    publicKey: { ...publicKey, docs: "The node's raw public key. Without it, a PSK or a certificate is its proof." },
    nextPublicKey: { ...publicKey, docs: "The key that comes next: peers accept it before the node uses it." },
  } satisfies Fields;
}

/** SubjectPublicKeyInfo of ed25519 up to the key's 32 bytes (RFC 8410, section 4). */
const SPKI_ED25519 = Buffer.from("302a300506032b6570032100", "hex");

/** Canonical base64 only: equal keys are equal strings. */
function ed25519Key(text: string): string | undefined {
  const bytes = Buffer.from(text, "base64");
  if (bytes.length !== SPKI_ED25519.length + 32 || bytes.toString("base64") !== text) return undefined;
  return bytes.subarray(0, SPKI_ED25519.length).equals(SPKI_ED25519) ? text : undefined;
}

/** Milliseconds since 1970 of a time in UTC, as Date writes it, with or without its milliseconds. */
function time(text: string): number | undefined {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{3})?Z$/.test(text)) return undefined;
  const milliseconds = Date.parse(text);
  return Number.isNaN(milliseconds) ? undefined : milliseconds;
}
