import { DIST } from "../../netns/support/cluster.ts";
import { keyPair } from "../../netns/support/mesh.ts";
import { killWireguardGo } from "../../netns/support/mesh-device.ts";
import type { Damage, Profile } from "../support/profile.ts";
import { VERSIONS } from "../support/versions.ts";
import { OF_WIREGUARD, OF_WIREGUARD_CHAINED } from "./deviations.ts";
import { BRIDGE, RESERVATION_LOST } from "./reference.ts";

/** A peer that never answers: CNI asks for nothing that needs one that does. */
const PEER = {
  publicKey: keyPair().publicKey,
  endpoint: "10.9.0.2:51820",
  allowedIPs: ["10.1.2.0/24", "fd00:1:2::/64"],
};
const OWN = { wireguard: { peers: [PEER], dataplane: "userspace" } };

const OWN_DAMAGES: readonly Damage[] = [
  { what: "wireguard-go is killed", cause: ({ pod }) => killWireguardGo(pod.node) },
  {
    what: "the node's route to a peer is gone",
    cause: async ({ pod }) => void (await pod.node.exec(["ip", "route", "del", "10.1.2.0/24", "dev", "podvpn0"])),
  },
  {
    what: "all filters of the node are gone",
    cause: async ({ pod }) => void (await pod.node.exec(["nft", "flush", "ruleset"])),
  },
];

/** `wireguard` by wireguard-go (which every machine can run), with the reference bridge as its delegate or before it. */
export function wireguardProfile(form: "single" | "chained", reference: string): Profile {
  const single = form === "single";
  return {
    name: single ? "wireguard" : "wireguard behind bridge",
    type: "wireguard",
    path: [DIST, reference],
    conf: {
      name: "podnet",
      plugins: single ? [{ ...BRIDGE, ...OWN, type: "wireguard" }] : [BRIDGE, { type: "wireguard", ...OWN }],
    },
    version: "1.1.0",
    versions: VERSIONS,
    delegates: single ? ["bridge"] : [],
    makes: single ? ["interface", "address", "route"] : ["route"],
    damages: single ? [...OWN_DAMAGES, RESERVATION_LOST] : OWN_DAMAGES,
    unavailabilities: [
      {
        what: "the file with the peers is missing",
        conf: (conf) => ({ ...conf, wireguard: { peersFile: "/etc/podvpn/no-such.yaml" } }),
      },
    ],
    deviations: single ? OF_WIREGUARD : OF_WIREGUARD_CHAINED,
  };
}
