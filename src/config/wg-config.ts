import { type Issue, shown } from "./issues.ts";
import { nearest } from "./nearest.ts";
import { INTERFACE_KEYS, type Keys, PEER_KEYS, type PeerDraft, QUICK_KEYS, type WgInterface } from "./wg-keys.ts";
import { distinct, type WantedPeer } from "./wireguard-peer.ts";

/** What a file for `wg setconf` says. */
export interface WgConfig extends WgInterface {
  readonly peers: readonly WantedPeer[];
}

/**
 * Reads a configuration file of wg(8) as `wg setconf` does (wireguard-tools 1.0.20210914, config.c): capitals and white
 * space do not matter, `#` begins a comment anywhere, sections may be repeated and stand in any order, of a repeated
 * key the last one counts, and `AllowedIPs` add up. What differs: `AllowedIPs` without a value is none; a port is a
 * number, at most 65535, of an endpoint at least 1; a host is an address or a name, not what getaddrinfo(3) takes for
 * one (`10.1`, `fe80::1%eth0`). Pure.
 * @param file For messages: where the text comes from.
 * @returns What could be read, which is everything exactly when there are no issues; none of them shows a key.
 */
export function parseWgConfig(text: string, file: string): { config: WgConfig; issues: readonly Issue[] } {
  const device: WgInterface = {};
  const peers: PeerDraft[] = [];
  const issues: Issue[] = [];
  let section: Section = (_, at) => ({
    what: `${at} stands before all sections`,
    remedy: "write [Interface] or [Peer] before it",
  });
  for (const [index, line] of text.split("\n").entries()) {
    const at = `${file}:${index + 1}`;
    const cleaned = withoutCommentAndSpace(line);
    if (cleaned === "") continue;
    if (!cleaned.startsWith("[")) {
      const issue = section(cleaned, at);
      if (issue !== undefined) issues.push(issue);
    } else if (cleaned.toLowerCase() === "[interface]") {
      section = (assignment, where) => assign(INTERFACE_KEYS, device, assignment, where);
    } else if (cleaned.toLowerCase() === "[peer]") {
      const peer: PeerDraft = { at, allowedIPs: [], persistentKeepalive: 0 };
      peers.push(peer);
      section = (assignment, where) => assign(PEER_KEYS, peer, assignment, where);
    } else {
      issues.push({ what: `${at} is no section of wg's`, remedy: "write [Interface] or [Peer]" });
      section = () => undefined; // what is in it is not known either
    }
  }
  const nameless = peers.filter(({ publicKey }) => publicKey === undefined).map(withoutPublicKey);
  return { config: { ...device, peers: peers.flatMap(peerOf) }, issues: [...issues, ...nameless] };
}

/** Takes in a line `key=value`. @param at File and line. */
type Section = (line: string, at: string) => Issue | undefined;

/** What C's isspace(3) knows, and nothing of Unicode. */
function withoutCommentAndSpace(line: string): string {
  const comment = line.indexOf("#");
  return (comment < 0 ? line : line.slice(0, comment)).replaceAll(/[\t-\r ]/g, "");
}

function assign<Draft>(keys: Keys<Draft>, draft: Draft, line: string, at: string): Issue | undefined {
  const equals = line.indexOf("=");
  const word = (equals < 0 ? line : line.slice(0, equals)).toLowerCase();
  const key = keys.get(word);
  if (key === undefined) return unknownKey(word, at);
  if (equals < 0) return { what: `${at} ${key.name} has no value`, remedy: `give ${key.expected}` };
  const path = `${at} ${key.name}`;
  const wrong = key.take(draft, line.slice(equals + 1), path);
  if (wrong === undefined) return undefined;
  const value = key.secret === true || KEY_LIKE.test(wrong) ? "[secret]" : shown(wrong);
  return { what: `${path} is ${value}`, remedy: `give ${key.expected}` };
}

/** A key, or half of one, that stands in a wrong place by mistake must not be shown either. */
const KEY_LIKE = /[A-Za-z\d+/]{20}/;

/** Not what stands there: it may be a misnamed key. */
function unknownKey(word: string, at: string): Issue {
  const quick = QUICK_KEYS.get(word);
  if (quick !== undefined) {
    const what = `${at} has ${quick.name}, which is wg-quick's and not wg's`;
    return { what, remedy: `take it out, as wg-quick strip does; ${quick.instead}` };
  }
  for (const [section, keys] of [
    ["[Interface]", INTERFACE_KEYS],
    ["[Peer]", PEER_KEYS],
  ] as const) {
    const misplaced = keys.get(word);
    if (misplaced === undefined) continue;
    return { what: `${at} has ${misplaced.name} in a wrong section`, remedy: `move it to ${section}` };
  }
  const names = [...INTERFACE_KEYS.values(), ...PEER_KEYS.values()].map(({ name }) => name);
  const meant = nearest(word, names);
  return { what: `${at} has no key of wg's`, remedy: meant === undefined ? "take it out" : `write ${meant}` };
}

/** One that is there but wrong has its issue already, and is not undefined. */
function withoutPublicKey({ at }: PeerDraft): Issue {
  return { what: `${at} [Peer] has no PublicKey`, remedy: "give the peer's public key, as wg pubkey writes it" };
}

function peerOf(draft: PeerDraft): WantedPeer[] {
  const { at, publicKey, presharedKey, endpoint, persistentKeepalive } = draft;
  if (publicKey === undefined || publicKey === "wrong") return [];
  const { allowedIPs, paths } = distinct(draft.allowedIPs);
  return [
    {
      publicKey: publicKey.value,
      ...(endpoint === undefined ? {} : { endpoint: endpoint.value }),
      allowedIPs,
      ...(presharedKey === undefined ? {} : { presharedKey }),
      persistentKeepalive,
      place: { publicKey: publicKey.path, endpoint: endpoint?.path ?? at, allowedIPs: paths },
    },
  ];
}
