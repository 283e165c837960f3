import { StockHub } from "../../../src/testbed/stock-hub.ts";
import {
  DIST,
  HUB_ADDRESS,
  HUB_ADDRESS_6,
  PSK,
  VIRTUAL_SUBNET,
  VIRTUAL_SUBNET_6,
} from "../../netns/support/cluster.ts";
import type { Damage, Profile } from "../support/profile.ts";
import { VERSIONS } from "../support/versions.ts";
import { OF_STRONGSWAN, OF_STRONGSWAN_CHAINED } from "./deviations.ts";
import { BRIDGE, RESERVATION_LOST } from "./reference.ts";

const OWN = {
  vpn: {
    serverIP: HUB_ADDRESS,
    virtualSubnet: [VIRTUAL_SUBNET, VIRTUAL_SUBNET_6],
    hostSubnet: "10.9.0.0/24",
    PSK,
  },
};

const OWN_DAMAGES: readonly Damage[] = [
  {
    what: "its charon is killed",
    cause: async ({ pod }) => {
      await pod.node.exec(["sh", "-ec", "kill -KILL $(ip netns pids $0)", pod.name]);
    },
  },
  {
    what: "its filter in the container is gone",
    cause: async ({ pod }) => void (await pod.exec(["nft", "flush", "ruleset"])),
  },
];

const MASQUERADE_LOST: Damage = {
  what: "its masquerading on the node is gone",
  cause: async ({ pod }) => void (await pod.node.exec(["nft", "flush", "ruleset"])),
};

/**
 * `strongswan` with a hub beside it, in user space (which every machine has): as the first of a list it delegates to the
 * reference bridge; behind that bridge it delegates nothing.
 */
export function strongswanProfile(form: "single" | "chained", reference: string): Profile {
  const single = form === "single";
  return {
    name: single ? "strongswan" : "strongswan behind bridge",
    type: "strongswan",
    path: [DIST, reference],
    conf: {
      name: "podnet",
      plugins: single ? [{ ...BRIDGE, ...OWN, type: "strongswan" }] : [BRIDGE, { type: "strongswan", ...OWN }],
    },
    version: "1.1.0",
    versions: VERSIONS,
    delegates: single ? ["bridge"] : [],
    makes: single ? ["interface", "address", "route"] : ["address", "route"],
    damages: single ? [...OWN_DAMAGES, MASQUERADE_LOST, RESERVATION_LOST] : OWN_DAMAGES,
    unavailabilities: [
      {
        what: "the file with the PSK is missing",
        conf: (conf) => ({ ...conf, vpn: { ...OWN.vpn, PSK: undefined, pskFile: "/etc/podvpn/no-such.psk" } }),
      },
    ],
    deviations: single ? OF_STRONGSWAN : OF_STRONGSWAN_CHAINED,
    setUp: async (testbed) => {
      const hub = await testbed.node("hub", { addresses: [`${HUB_ADDRESS}/24`, `${HUB_ADDRESS_6}/64`] });
      return StockHub.start(hub, { psk: PSK });
    },
  };
}
