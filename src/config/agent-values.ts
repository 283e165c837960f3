import * as z from "zod/mini";
import { type Address, parseAddress } from "../net/address.ts";
import { parseEndpoint } from "../net/endpoint.ts";
import { networkAddress, type Prefix, parsePrefix, prefixLength } from "../net/prefix.ts";
import { type Issue, pathOf, shown } from "./issues.ts";
import { asList, parsedBy, wholeSeconds } from "./schemas.ts";
import { isPeerAddress } from "./wireguard-peer.ts";

// What a node's record and the agent's configuration both have.

/** An RFC 1123 subdomain, as Kubernetes names its nodes. */
export const NODE_NAME = /^(?=.{1,253}$)[a-z\d](?:[a-z\d-]{0,61}[a-z\d])?(?:\.[a-z\d](?:[a-z\d-]{0,61}[a-z\d])?)*$/;

/** What {@link NODE_NAME} takes, for messages. */
export const NODE_NAME_EXPECTED =
  "a name of 1 to 253 lower-case letters, digits, hyphens and dots that begins and ends with a letter or digit, such as node1 or node1.example";

/** The longest list of a node: all others read it, and compare each with each. */
const MANY = 64;

/** A node's name. */
export function nodeName() {
  return z.string().check(z.regex(NODE_NAME));
}

/** An address that a node can be reached at, or a list of them. */
export function underlayAddresses() {
  return z.pipe(asList(), z.array(parsedBy(underlayAddress)).check(z.maxLength(MANY)));
}

/** What {@link underlayAddresses} takes, for messages. */
export const UNDERLAY_EXPECTED = `an IPv4 or IPv6 address of the node, or a list of at most ${MANY} (no loopback, link-local or multicast address)`;

/** The same, with names of hosts among them. */
export function publicHosts() {
  return z.pipe(
    asList(),
    z.array(parsedBy((text) => underlayAddress(text) ?? hostName(text))).check(z.maxLength(MANY)),
  );
}

/** What {@link publicHosts} takes, for messages. */
export const PUBLIC_EXPECTED = `an IPv4 or IPv6 address or the name of a host, or a list of at most ${MANY} (no loopback, link-local or multicast address)`;

/** A prefix of pods, or a list of at least one. */
export function podPrefixes() {
  return z.pipe(asList(), z.array(parsedBy(podPrefix)).check(z.minLength(1), z.maxLength(MANY)));
}

/** In bits: a shorter prefix holds the addresses of the world, and the node would cut itself off from them. */
const SHORTEST = 8;

/** What {@link podPrefixes} takes, for messages. */
export const PREFIX_EXPECTED = `a prefix such as 10.101.3.0/24 or fd00:101:3::/64 with at least ${SHORTEST} bits, or a list of at most ${MANY} (no loopback, link-local or multicast addresses)`;

/** How nodes may encrypt, the preferred way first. */
export function drivers() {
  const driver = z.enum(["wireguard", "ipsec"]);
  return z.pipe(
    asList(),
    z.array(driver).check(
      z.minLength(1),
      z.refine((list) => new Set(list).size === list.length),
    ),
  );
}

export const DRIVERS_EXPECTED = "wireguard or ipsec, or a list of both, the preferred one first";

/** Of a site. */
export function siteName() {
  return z.string().check(z.regex(/^[A-Za-z\d](?:[\w.-]{0,61}[A-Za-z\d])?$/));
}

export const SITE_EXPECTED =
  "a name of 1 to 63 letters, digits, dots, hyphens and underscores that begins and ends with a letter or digit";

/** In seconds; 0 is never. */
export function keepaliveSeconds() {
  return wholeSeconds(65_535);
}

export const KEEPALIVE_EXPECTED = 'whole seconds (25), or a duration such as "25s", up to 65535 seconds; 0 for never';

/** Of the underlay, in bytes: IPv4's least, and the most that IP has. */
export function underlayMtu() {
  return z.int().check(z.minimum(576), z.maximum(65_535));
}

export const MTU_EXPECTED = "bytes from 576 to 65535";

export const LABELS_EXPECTED = "names with texts, such as { rack: r7, zone: eu-west }";

/** Reads labels; what is wrong goes to `issues`. @param path The field that has them. */
export function labelsOf(raw: unknown, path: string, issues: Issue[]): Readonly<Record<string, string>> {
  if (raw === undefined || raw === null) return {};
  if (typeof raw !== "object" || Array.isArray(raw)) {
    issues.push({ what: `${path} is ${shown(raw)}`, remedy: `give ${LABELS_EXPECTED}` });
    return {};
  }
  const entries: [string, unknown][] = Object.entries(raw);
  if (entries.length > MANY) {
    issues.push({ what: `${path} has ${entries.length} names`, remedy: `give ${MANY} at most` });
    return {};
  }
  return Object.fromEntries(entries.flatMap(([name, value]) => label(name, value, path, issues)));
}

function label(name: string, value: unknown, path: string, issues: Issue[]): [string, string][] {
  const field = pathOf(path, name);
  if (!LABEL_NAME.test(name)) {
    const remedy =
      "give names of 1 to 253 letters, digits, dots, hyphens, slashes and underscores that begin and end with a letter or digit";
    issues.push({ what: `${field} is not a name`, remedy });
    return [];
  }
  if (typeof value === "string" && LABEL_VALUE.test(value)) return [[name, value]];
  const remedy =
    typeof value === "string"
      ? "give at most 253 printable characters"
      : `give text: in quotes what YAML would take for something else (${name}: "12")`;
  issues.push({ what: `${field} is ${shown(value)}`, remedy });
  return [];
}

const LABEL_NAME = /^[A-Za-z\d](?:[\w./-]{0,251}[A-Za-z\d])?$/;
const LABEL_VALUE = /^[^\p{C}\p{Zl}\p{Zp}]{0,253}$/u;

/**
 * An issue without what may be a private key: values are shown, any of them may be one by mistake, and of a long value
 * only a part.
 */
export function withoutKeys({ what, remedy }: Issue): Issue {
  const shownWhat = what
    .replaceAll(/[A-Za-z\d+/]{40,}=*/g, "[secret]")
    .replaceAll(/[A-Za-z\d+]{16,}=*/g, (run) => (/[A-Z]/.test(run) && /[a-z]/.test(run) ? "[secret]" : run));
  return { what: shownWhat, remedy };
}

/** Issues for what stands in a list twice. @param path The list's field. */
export function repeated(values: readonly string[] | undefined, path: string): Issue[] {
  return (values ?? []).flatMap((value, index, all) =>
    all.indexOf(value) === index
      ? []
      : [{ what: `${pathOf(path, index)} is ${shown(value)}, as an earlier one is`, remedy: "give each once" }],
  );
}

function underlayAddress(text: string): Address | undefined {
  const address = parseAddress(text);
  return address !== undefined && isReachable(address) ? address : undefined;
}

/** From other nodes: {@link isPeerAddress}, and neither loopback, nor IPv4's link-local, nor IPv4-mapped. */
function isReachable(address: Address): boolean {
  return isPeerAddress(address) && !/^127\.|^169\.254\.|^::1$|^::ffff:/.test(address);
}

/** In small letters, as names of hosts are compared. */
function hostName(text: string): string | undefined {
  const endpoint = parseEndpoint(`${text}:1`);
  return endpoint !== undefined && "host" in endpoint ? endpoint.host.toLowerCase() : undefined;
}

function podPrefix(text: string): Prefix | undefined {
  const prefix = parsePrefix(text);
  if (prefix === undefined || prefixLength(prefix) < SHORTEST) return undefined;
  return isReachable(networkAddress(prefix)) ? prefix : undefined;
}
