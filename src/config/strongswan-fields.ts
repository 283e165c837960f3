import * as z from "zod/mini";
import { type Address, parseAddress } from "../net/address.ts";
import { parsePrefix } from "../net/prefix.ts";
import { parseDuration } from "./duration.ts";
import type { Fields } from "./fields.ts";
import { IDENTITY_EXPECTED, legalIdentity } from "./identity.ts";
import { PSK_EXPECTED, parsePsk } from "./psk.ts";
import { absolutePath, asList, oneOrMore, parsed, parsedBy, proposals, wholeSeconds } from "./schemas.ts";

// The README's table is made of these by scripts/config-table.mjs: run it after a change.

/** The keys of `vpn`. A function: nothing is built before a configuration is read. */
export function vpnFields() {
  return {
    serverIP: {
      schema: oneOrMore(parsedBy(serverAddress)),
      required: true,
      expected:
        "the hub's IPv4 or IPv6 address, or a list of them (no host name: one that does not resolve blocks an ADD for 5 seconds; no loopback, link-local or multicast address)",
      docs: "Where the hub listens. Several are tried in order.",
    },
    virtualSubnet: {
      schema: oneOrMore(parsedBy(parsePrefix)),
      required: true,
      expected: "a prefix such as 10.173.0.0/16 or fd00:173::/64, or a list of them",
      docs: "What is tunnelled, and where the pod's virtual IPs come from: one of each family that is listed. Everything to and from it is dropped while there is no tunnel.",
    },
    hostSubnet: {
      schema: z.pipe(asList(), z.array(parsedBy(parsePrefix))),
      default: [],
      expected: "a prefix such as 10.9.0.0/24, or a list of them",
      docs: "What stays outside the tunnel although a `virtualSubnet` holds it. The node's own addresses and the hub's always do.",
    },
    PSK: {
      schema: parsedBy(parsePsk),
      secret: true,
      expected: PSK_EXPECTED,
      docs: "The key that hub and pod share, written as in swanctl.conf. Exactly one of `PSK` and `pskFile` is required.",
    },
    pskFile: {
      schema: absolutePath(),
      // Who writes the key itself here by mistake must not see it in a log.
      secret: true,
      expected: "the absolute path of a file with the pre-shared key",
      docs: "A file with the key, written as in `PSK`; an end of line behind it does not count. A regular file of root's (or of the user who runs the plugin) that nobody else may read: mode 0600.",
    },
    serverID: {
      schema: parsedBy((text) => (legalIdentity(text) ? text : undefined)),
      expected: `an IKE identity: ${IDENTITY_EXPECTED}`,
      docs: "The identity that the hub must prove. Without it, any that proves the PSK.",
    },
    identity: {
      schema: z.string(),
      default: "{containerID}.{ifname}@{node}",
      expected: "a template of text, {containerID}, {ifname}, {node} and {args.NAME}",
      docs: "The pod's IKE identity. `{args.NAME}` is NAME of CNI_ARGS, such as `{args.K8S_POD_UID}`. Must differ from pod to pod: two pods with one identity take the virtual IP away from each other.",
    },
    proposals: {
      schema: proposals(),
      default: "aes128gcm16-prfsha256-x25519",
      expected: "a proposal such as aes128gcm16-prfsha256-x25519, or a list of them",
      docs: "For IKE, in strongSwan's syntax. A pod's charon knows aes128/192/256 with gcm8/12/16 or (CBC) with sha1/256/384/512, prfsha1/256/384/512 and x25519; no others.",
    },
    espProposals: {
      schema: proposals(),
      default: "aes128gcm16-x25519",
      expected: "a proposal such as aes128gcm16-x25519, or a list of them",
      docs: "For ESP, from the same algorithms; in the kernel, of these, what it has.",
    },
    timeout: {
      schema: duration({ min: 100, max: 200_000 }),
      default: "10s",
      expected: 'seconds (10), or a duration such as "10s" or "500ms", from 100ms to 200s',
      docs: "How long an ADD waits for the hub, or for all of several together. A kubelet gives a whole pod 4 minutes.",
    },
    mtu: {
      schema: z.int().check(z.minimum(576), z.maximum(65_535)),
      expected: "bytes from 576 to 65535, from 1280 with an IPv6 virtualSubnet",
      docs: "MTU of the routes into the tunnel. Without it, what fits the node's link towards the hub: at most 1400 in user space, 1438 in the kernel over Ethernet and IPv4.",
    },
    dataplane: {
      schema: z.enum(["auto", "kernel", "userspace"]),
      default: "auto",
      expected: "auto, kernel or userspace",
      docs: "Where ESP is done. `auto` takes the kernel where it really has ESP, else user space (a TUN device).",
    },
    attach: {
      schema: z.enum(["pod", "node"]),
      default: "pod",
      expected: "pod or node",
      docs: "Whose charon it is: `pod` gives each pod one of its own, in its namespace. `node` has one for all pods of the node, and gives each an XFRM interface (`ipsec0`): no process for each pod, keys out of the pod's reach; for kernels with ESP and XFRM interfaces only.",
    },
    dpd: {
      schema: wholeSeconds(3600),
      default: "2s",
      expected: 'whole seconds (2), or a duration such as "2s", up to 1h; 0 for never',
      docs: "After how long without traffic the hub is asked whether it still lives. One that does not answer for another 3.6 seconds (nine questions) is given up, and asked for a new tunnel until it answers.",
    },
  } satisfies Fields;
}

/** The keys beside `vpn` that are not the bridge plugin's. */
export function rootFields() {
  return {
    logFile: {
      schema: absolutePath(),
      expected: "the absolute path of a file",
      docs: "Where the plugin's own log goes, up to 1 MiB and as much again in `FILE.1`. Without it, nowhere. A log that cannot be written fails no pod.",
    },
    logLevel: {
      schema: z.enum(["error", "info", "debug"]),
      default: "info",
      expected: "error, info or debug",
      docs: "What is logged: what failed, what was done, or every step; `debug` makes charon's log more talkative too.",
    },
  } satisfies Fields;
}

/** In milliseconds. */
function duration({ min, max }: { readonly min: number; readonly max: number }) {
  return parsed((value: unknown) => {
    const milliseconds = parseDuration(value);
    return milliseconds !== undefined && milliseconds >= min && milliseconds <= max ? milliseconds : undefined;
  });
}

/** An address at which a hub can be reached from a pod's namespace; IPv6 link-local would need a zone. */
function serverAddress(text: string): Address | undefined {
  const address = parseAddress(text);
  const unusable =
    address === undefined ||
    // "This network", loopback, multicast and reserved (RFC 6890), on the canonical text.
    /^(?:0|127|22[4-9]|2[345]\d)\./.test(address) ||
    /^(?:::1?$|::ffff:\d+\.|fe[89ab][\da-f]:|ff[\da-f]{2}:)/.test(address);
  return unusable ? undefined : address;
}
