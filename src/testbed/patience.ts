/**
 * How many times as long as usual things may take: 1 unless PODVPN_TEST_SLOWNESS says otherwise, as on an emulated
 * machine.
 */
export const SLOWNESS = Number(process.env.PODVPN_TEST_SLOWNESS ?? 1);

/** A bound in milliseconds on a machine of usual speed, as one for this machine. */
export function patience(milliseconds: number): number {
  return milliseconds * SLOWNESS;
}

/** A number of packets or of repetitions on a machine of usual speed, as one for this machine. */
export function fewer(count: number): number {
  return Math.ceil(count / SLOWNESS);
}
