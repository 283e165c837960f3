import { bridgeProfile } from "./profiles/bridge.ts";
import { CURRENT, DEBIAN } from "./profiles/reference.ts";
import { tuningProfile } from "./profiles/tuning.ts";
import { conformance } from "./support/conformance.ts";

conformance(bridgeProfile(DEBIAN), bridgeProfile(CURRENT), tuningProfile(DEBIAN), tuningProfile(CURRENT));
