import type { WireguardConfig } from "../config/wireguard.ts";
import type { Prefix } from "../net/prefix.ts";
import type { Secret } from "../secret.ts";

/** What the node's device shall be. */
export interface EnsureRequest {
  readonly config: WireguardConfig;
  /** Whose configuration it is. */
  readonly network: string;
  readonly privateKey: Secret;
  /** Subnets of the pods of this network on this node, as far as they are known before there is a pod. */
  readonly podSubnets: readonly Prefix[];
  /** Directory of the attachment that asks: it does not count as another user of the device. */
  readonly attachment: string;
  /** Called when the device is this call's alone: from now on there may be something to release. */
  readonly onHeld?: () => void;
  /** Called when nothing of the mesh can leave the node, or be taken in, in plain any more. */
  readonly onGuarded?: () => void;
}
