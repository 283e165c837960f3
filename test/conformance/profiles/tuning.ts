import type { Damage, Profile } from "../support/profile.ts";
import { OF_LIBCNI_SOLE } from "./deviations.ts";
import { BRIDGE, type Reference, versionsOf } from "./reference.ts";

const SETTING = "net.ipv4.conf.all.arp_notify";

const SETTING_CHANGED: Damage = {
  what: "the kernel's setting that it made is another",
  cause: async ({ pod }) => void (await pod.exec(["sh", "-c", "echo 0 >/proc/sys/net/ipv4/conf/all/arp_notify"])),
};

/** The reference tuning behind the reference bridge: a chained plugin that changes nothing which a result lists. */
export function tuningProfile(reference: Reference): Profile {
  return {
    name: `reference tuning ${reference.release} behind bridge`,
    type: "tuning",
    path: [reference.directory],
    conf: { name: "podnet", plugins: [BRIDGE, { type: "tuning", sysctl: { [SETTING]: "1" } }] },
    version: reference.version,
    versions: versionsOf(reference),
    delegates: [],
    makes: [],
    damages: [SETTING_CHANGED],
    unavailabilities: [],
    deviations: OF_LIBCNI_SOLE,
  };
}
