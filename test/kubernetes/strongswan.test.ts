import { describe } from "vitest";
import { strongswan } from "./support/strongswan.ts";
import { networkTests } from "./support/suite.ts";

describe("Kubernetes with strongswan as its only network", () => networkTests(strongswan));
