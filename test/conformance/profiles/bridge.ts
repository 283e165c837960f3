import type { Profile } from "../support/profile.ts";
import { OF_BRIDGE_111, OF_BRIDGE_191 } from "./deviations.ts";
import { BRIDGE, RESERVATION_LOST, type Reference, versionsOf } from "./reference.ts";

/** The reference bridge with host-local, as the first of a list. */
export function bridgeProfile(reference: Reference): Profile {
  return {
    name: `reference bridge ${reference.release}`,
    type: "bridge",
    path: [reference.directory],
    conf: { name: "podnet", plugins: [BRIDGE] },
    version: reference.version,
    versions: versionsOf(reference),
    delegates: ["host-local"],
    makes: ["interface", "address", "route"],
    damages: [RESERVATION_LOST],
    unavailabilities: [],
    deviations: reference.version === "1.1.0" ? OF_BRIDGE_191 : OF_BRIDGE_111,
  };
}
