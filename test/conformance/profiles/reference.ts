import { referencePlugins } from "../../../scripts/reference.mjs";
import type { Damage } from "../support/profile.ts";
import type { Version } from "../support/versions.ts";

const UP_TO_100 = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0"];

/** What a version of the reference plugins is called, where it is, and what it speaks. */
export interface Reference {
  readonly release: string;
  readonly directory: string;
  readonly version: Version;
}

/** containernetworking-plugins of Debian 12. */
export const DEBIAN: Reference = { release: "1.1.1", directory: "/usr/lib/cni", version: "1.0.0" };

/** As scripts/go/go.mod has it. */
export const CURRENT: Reference = { release: "1.9.1", directory: await referencePlugins(), version: "1.1.0" };

/** The bridge that both reference profiles and podvpn's own ones use. */
export const BRIDGE = {
  type: "bridge",
  bridge: "cni0",
  isDefaultGateway: true,
  ipMasq: true,
  ipam: {
    type: "host-local",
    ranges: [[{ subnet: "10.1.1.0/24" }], [{ subnet: "fd00:1:1::/64" }]],
  },
} as const;

/** host-local has forgotten whose an address is: another container may get it. */
export const RESERVATION_LOST: Damage = {
  what: "the reservations of its addresses are gone",
  cause: async ({ pod }) => void (await pod.node.exec(["sh", "-c", "rm /var/lib/cni/networks/podnet/*[0-9a-f]"])),
};

export function versionsOf({ version }: Reference): readonly string[] {
  return version === "1.1.0" ? [...UP_TO_100, "1.1.0"] : UP_TO_100;
}
