import { conformance } from "../support/conformance.ts";
import { givenProfile, parseOptions } from "./profile.ts";

conformance(await givenProfile(parseOptions(process.env.PODVPN_CONFORMANCE ?? "")));
