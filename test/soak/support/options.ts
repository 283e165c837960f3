/** How long a soak is, and which. */
export interface SoakOptions {
  readonly events: number;
  readonly seed: number;
}

/** What runs when nobody says anything else: short, and all kinds of events are among them. */
const DEFAULTS: SoakOptions = { events: 30, seed: 1 };

/** The same for the mesh of agents, of which an event takes longer: all of these are of different kinds. */
export const MESH_DEFAULTS: SoakOptions = { events: 12, seed: 1543 };

/** PODVPN_SOAK_EVENTS and PODVPN_SOAK_SEED, as `npm run test:soak` sets them. @throws RangeError. */
export function soakOptions(
  env: Readonly<Record<string, string | undefined>>,
  defaults: SoakOptions = DEFAULTS,
): SoakOptions {
  return {
    events: whole(env.PODVPN_SOAK_EVENTS, "PODVPN_SOAK_EVENTS") ?? defaults.events,
    seed: whole(env.PODVPN_SOAK_SEED, "PODVPN_SOAK_SEED") ?? defaults.seed,
  };
}

function whole(text: string | undefined, name: string): number | undefined {
  if (text === undefined || text === "") return undefined;
  if (!/^\d{1,9}$/.test(text)) throw new RangeError(`${name} is "${text}": give a whole number`);
  return Number(text);
}

/** The command that does the first `events` events of this soak again. */
export function command({ events, seed }: SoakOptions): string {
  return `npm run test:soak -- --events ${events} --seed ${seed}`;
}
