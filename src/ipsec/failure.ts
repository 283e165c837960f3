import { Code, Fault } from "../fault.ts";

/** One line of charon's control log, as `initiate` delivers it. */
export interface ControlLogLine {
  readonly group: string;
  readonly msg: string;
}

/** What was asked for when an `initiate` failed. */
export interface Attempt {
  readonly server: string;
  readonly identity: string;
  readonly serverID?: string;
  /** Milliseconds after which charon was told to give up. */
  readonly timeout: number;
}

/**
 * Why an `initiate` failed, from charon's control log. VICI's own errmsg is the same for every reason, so the log is
 * all there is; the messages are those of strongSwan 5.9 (docs/facts/strongswan.md has the table). Pure.
 */
export function initiateFault(attempt: Attempt, log: readonly ControlLogLine[], errmsg: string): Fault {
  const text = log.map((line) => line.msg).join("\n");
  const [code, what, remedy] = (SIGNATURES.find(({ pattern }) => pattern.test(text)) ?? UNKNOWN).explain(
    attempt,
    text,
    errmsg,
  );
  return new Fault(code, what, remedy, { details: relevant(log) });
}

/** charon ended, or went mute, in the middle of an `initiate`. Pure. */
export function charonLostFault(attempt: Attempt, log: readonly ControlLogLine[], cause: Error): Fault {
  return new Fault(
    Code.charon,
    `charon ended or stopped answering while it asked hub ${attempt.server}`,
    "see the kernel's log for who killed it (out of memory?), and try again",
    { details: [relevant(log), cause.message].filter((text) => text !== "").join("\n"), cause },
  );
}

/** charon took no connection of our making: of what is in it, only the proposals are passed on unread. Pure. */
export function configurationFault(errmsg: string): Fault {
  return new Fault(
    Code.invalidConfig,
    `charon refuses the connection (${errmsg})`,
    "correct vpn.proposals or vpn.espProposals: the algorithms that they name must be among those of a pod's charon",
  );
}

/** Why none of several hubs gave a tunnel, in the order in which they were asked; the code is the first one's. Pure. */
export function hubsFault(refusals: readonly Fault[]): Fault {
  const [first, ...others] = refusals;
  if (first === undefined) return new Fault(Code.internal, "no hub was asked", "report this");
  if (others.length === 0) return first;
  return new Fault(
    first.code,
    refusals.map(({ what }) => what).join(", and "),
    [...new Set(refusals.map(({ remedy }) => remedy))].join("; "),
    { details: refusals.flatMap(({ details }) => details ?? []).join("\n"), cause: first },
  );
}

interface Signature {
  readonly pattern: RegExp;
  explain(attempt: Attempt, log: string, errmsg: string): readonly [code: number, what: string, remedy: string];
}

/** The first that matches wins: what a peer said stands before what its silence suggests. */
const SIGNATURES: readonly Signature[] = [
  {
    pattern: /received AUTHENTICATION_FAILED notify/,
    explain: ({ server, identity, serverID }) => [
      Code.authentication,
      `hub ${server} refused identity "${identity}"${serverID === undefined ? "" : ` (asked for hub "${serverID}")`}`,
      "see that vpn.PSK or vpn.pskFile is the hub's, that the hub knows the identity, and that vpn.serverID is its own; the hub's log has the reason",
    ],
  },
  {
    pattern: /MAC mismatch|constraint check(?:ing)? failed/,
    explain: ({ server, serverID }) => [
      Code.authentication,
      `hub ${server} did not prove ${serverID === undefined ? "that it knows the PSK" : `the identity "${serverID}"`}`,
      "correct vpn.serverID, or the PSK",
    ],
  },
  {
    pattern: /no shared key found/,
    explain: ({ identity }) => [Code.internal, `charon has no PSK for "${identity}"`, "report this with charon's log"],
  },
  {
    pattern: /received NO_PROPOSAL_CHOSEN notify, no CHILD_SA built/,
    explain: ({ server }) => [
      Code.proposals,
      `hub ${server} accepts none of our ESP proposals`,
      "set vpn.espProposals to what the hub's esp_proposals has",
    ],
  },
  {
    pattern: /received NO_PROPOSAL_CHOSEN notify/,
    explain: ({ server }) => [
      Code.proposals,
      `hub ${server} has no connection for us or accepts none of our IKE proposals`,
      "see that the hub's configuration is loaded, and set vpn.proposals to what its proposals has",
    ],
  },
  {
    pattern: /received TS_UNACCEPTABLE notify/,
    explain: ({ server }) => [
      Code.trafficSelectors,
      `hub ${server} does not serve vpn.virtualSubnet`,
      "set vpn.virtualSubnet to a part of the hub's local_ts; a hub with kernel-libipsec needs an address of its own in it",
    ],
  },
  {
    pattern: /received INTERNAL_ADDRESS_FAILURE notify/,
    explain: ({ server }) => [
      Code.tryAgainLater,
      `hub ${server} has no free virtual IP for us`,
      "enlarge the hub's pool, or wait until leases are freed",
    ],
  },
  {
    pattern: /unable to install .*(?:IPsec SA|policies)/,
    explain: ({ server }) => [
      Code.missingPart,
      `hub ${server} agreed, but charon could not install the SA on this node`,
      "see that /dev/net/tun works (`modprobe tun`) or, with ESP in the kernel, that it has the algorithms of vpn.espProposals",
    ],
  },
  {
    pattern: /could not create any sockets|no socket implementation registered/,
    explain: () => [Code.charon, "charon could open no UDP socket in the pod's namespace", "see charon's log"],
  },
  {
    pattern: /unable to resolve/,
    explain: ({ server }) => [Code.hubSilent, `${server} cannot be resolved`, "give vpn.serverIP as an address"],
  },
  {
    pattern: /sending packet: from (?:0\.0\.0\.0|::)\[/,
    explain: ({ server }) => [
      Code.hubSilent,
      `the pod has no route to hub ${server}`,
      "give the pod a default route (isDefaultGateway, or routes in ipam)",
    ],
  },
  {
    pattern: /parsed IKE_SA_INIT response[\s\S]*retransmit \d+ of request with message ID 1/,
    explain: ({ server }) => [
      Code.hubSilent,
      `hub ${server} answers on UDP port 500 but not on 4500`,
      "let UDP port 4500 pass between node and hub",
    ],
  },
  {
    pattern: /retransmit \d+ of request|giving up after|peer not responding|^(?!.*received packet).*sending packet/s,
    explain: ({ server, timeout }) => [
      Code.hubSilent,
      `no answer from hub ${server} within ${timeout / 1000} s`,
      "see that the hub runs, that the pod reaches it, and that UDP ports 500 and 4500 pass",
    ],
  },
];

const UNKNOWN: Signature = {
  pattern: /^/,
  explain: ({ server }, _log, errmsg) => [Code.charon, `no tunnel to hub ${server} (${errmsg})`, "see charon's log"],
};

/** The last five lines that an operator can use; ENC lines only list payloads. */
function relevant(log: readonly ControlLogLine[]): string {
  return log
    .filter(({ group }) => group === "IKE" || group === "CFG" || group === "NET")
    .slice(-5)
    .map(({ group, msg }) => `[${group}] ${msg}`)
    .join("\n");
}
