import { fileURLToPath } from "node:url";
import type { Profile } from "../support/profile.ts";
import { BRIDGE, CURRENT, RESERVATION_LOST, versionsOf } from "./reference.ts";

/** Scripts around the reference plugins, each of which does one thing wrong. */
export const FAULTY = fileURLToPath(new URL("../faulty", import.meta.url));

/** One of them, as the first of a list, or behind the bridge when its name says so. */
export function faultyProfile(type: string): Profile {
  const bridge = { ...BRIDGE, ipMasq: false };
  const chained = type.startsWith("chained-");
  return {
    name: type,
    type,
    path: [FAULTY, CURRENT.directory],
    conf: { name: "podnet", plugins: chained ? [bridge, { type }] : [{ ...bridge, type }] },
    version: CURRENT.version,
    versions: versionsOf(CURRENT),
    delegates: chained ? [] : ["host-local"],
    damages: chained ? [] : [RESERVATION_LOST],
    unavailabilities: chained
      ? []
      : [{ what: "there is no such IPAM", conf: (conf) => ({ ...conf, ipam: { type: "no-such-ipam" } }) }],
    deviations: {},
    env: { REAL: CURRENT.directory },
  };
}
