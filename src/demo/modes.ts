import type { Mode } from "./mode.ts";
import { strongswan } from "./strongswan.ts";
import { wireguard } from "./wireguard.ts";

/** All that can be shown, in this order. */
export const modes: readonly Mode[] = [strongswan, wireguard];
