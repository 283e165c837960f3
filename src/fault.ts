/**
 * A fault that a user can act on: what is wrong, with field and value, and what to do about it.
 * It is the one error type that reaches the CNI error on stdout or the operator's terminal.
 */
export class Fault extends Error {
  override readonly name: string = "Fault";

  /**
   * @param code CNI error code: 1 to 99 as the specification has them, 100 and more are ours ({@link Code}).
   * @param what What is wrong, naming the field and its value; never a secret.
   * @param remedy A sentence in the imperative.
   * @param options `details`: further lines for CNI's `details` (the daemon's last log lines); `cause` as in Error.
   */
  constructor(
    readonly code: number,
    readonly what: string,
    readonly remedy: string,
    options: ErrorOptions & { readonly details?: string } = {},
  ) {
    super(`${what}; ${remedy}`, options);
    if (options.details !== undefined) this.details = options.details;
  }

  readonly details?: string;
}

/** CNI error codes: the specification's (SPEC 1.1.0, "Error") and, from 100 on, podvpn's own. */
export const Code = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  unknownContainer: 3,
  invalidEnvironment: 4,
  io: 5,
  decode: 6,
  invalidConfig: 7,
  invalidNetns: 8,
  tryAgainLater: 11,
  /** STATUS: the plugin is not available, ADD would fail. */
  notAvailable: 50,
  /** STATUS: running containers may have limited connectivity. */
  limitedConnectivity: 51,
  /** A delegate plugin is missing or broke off without a CNI error. */
  delegate: 100,
  /** A program, device or kernel feature that the data plane needs is missing on this node. */
  missingPart: 101,
  /** The kernel refused a link, address, route, rule or filter. */
  kernel: 102,
  /** charon did not start, died, or does not answer. */
  charon: 103,
  /** No answer from the hub. */
  hubSilent: 104,
  /** The hub refused who we are: PSK or identity. */
  authentication: 105,
  /** Hub and pod have no IKE or ESP proposal in common. */
  proposals: 106,
  /** The hub does not serve the virtual subnet. */
  trafficSelectors: 107,
  /** CHECK found something that ADD had made gone or changed. */
  checkFailed: 108,
  /** A fault of podvpn itself. */
  internal: 199,
} as const;
