/** Whom a tunnel was asked of, and as whom. */
export interface MeshAttempt {
  /** The peer's name. */
  readonly peer: string;
  /** This node's IKE identity, and the peer's. */
  readonly identity: string;
  readonly peerIdentity: string;
}

/**
 * Why a peer gives no tunnel, with the remedy, from charon's log; undefined when the log does not say: a peer that is
 * silent is just not there. The messages are those of strongSwan 5.9 (docs/facts/strongswan.md). Pure.
 */
export function meshFailure(attempt: MeshAttempt, log: readonly string[]): string | undefined {
  const text = log.join("\n");
  return SIGNATURES.find(({ pattern }) => pattern.test(text))?.explain(attempt);
}

interface Signature {
  readonly pattern: RegExp;
  explain(attempt: MeshAttempt): string;
}

/** The first that matches wins: what this side found out stands before what the peer said. */
const SIGNATURES: readonly Signature[] = [
  {
    pattern: /no trusted .* public key found|constraint check failed|constraint requires|subject certificate invalid/,
    explain: ({ peer, peerIdentity }) =>
      `${peer} did not prove to be "${peerIdentity}": its key or certificate is another than it should have; see that its agent publishes to the same registry, and with certificates the clocks of both`,
  },
  {
    pattern: /MAC mismatch|no shared key found/,
    explain: ({ peer }) => `${peer} has another PSK; give both nodes the same in ipsec.pskFile`,
  },
  {
    pattern: /no private key found/,
    explain: ({ identity }) =>
      `charon has no private key for "${identity}"; see that ipsec.privateKeyFile belongs to the certificate`,
  },
  {
    pattern: /received AUTHENTICATION_FAILED notify/,
    explain: ({ peer, identity }) =>
      `${peer} refuses this node ("${identity}"): its registry has another key for it, or none; see that both agents read the same registry`,
  },
  {
    pattern: /received TS_UNACCEPTABLE notify/,
    explain: ({ peer }) =>
      `${peer} does not take the prefixes of this node, or has no address of its own in its pod prefixes; see that both agents read the same registry`,
  },
  {
    pattern: /received NO_PROPOSAL_CHOSEN notify/,
    explain: ({ peer, identity }) =>
      `${peer} has no connection for this node ("${identity}"); see that its agent runs, and reads the same registry`,
  },
  {
    pattern: /unable to install .*(?:IPsec SA|policies)/,
    explain: ({ peer }) =>
      `the tunnel to ${peer} was agreed to, and cannot be installed on this node; see that /dev/net/tun works, or that the kernel has ESP with AES-GCM`,
  },
];
