import { CURRENT } from "./profiles/reference.ts";
import { strongswanProfile } from "./profiles/strongswan.ts";
import { wireguardProfile } from "./profiles/wireguard.ts";
import { conformance } from "./support/conformance.ts";

conformance(
  strongswanProfile("single", CURRENT.directory),
  strongswanProfile("chained", CURRENT.directory),
  wireguardProfile("single", CURRENT.directory),
  wireguardProfile("chained", CURRENT.directory),
);
