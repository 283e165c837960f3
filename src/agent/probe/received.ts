/** Which probes of one sender have come: what an answer tells it. */
export interface Received {
  readonly session: number;
  /** The newest sequence. */
  readonly sequence: number;
  /** Bit n: the one n before the newest has come. */
  readonly bits: number;
}

/** What is known after one more probe. An older one than 31 before the newest is not kept; a new session begins anew. Pure. */
export function received(
  before: Received | undefined,
  probe: { readonly session: number; readonly sequence: number },
): Received {
  const { session, sequence } = probe;
  if (before === undefined || before.session !== session) return { session, sequence, bits: 1 };
  const ahead = (sequence - before.sequence) | 0; // signed: sequences wrap around
  if (ahead > 0) return { session, sequence, bits: ahead > 31 ? 1 : ((before.bits << ahead) | 1) >>> 0 };
  return ahead < -31 ? before : { ...before, bits: (before.bits | (1 << -ahead)) >>> 0 };
}

/** The bits as seen from a probe that is not the newest any more. Pure. */
export function bitsFrom({ sequence, bits }: Received, of: number): number {
  const behind = (sequence - of) | 0;
  return behind > 31 ? 1 : (bits >>> behind) | 1;
}
