import { describe } from "vitest";
import { networkTests } from "./support/suite.ts";
import { wireguard } from "./support/wireguard.ts";

describe("Kubernetes with wireguard as its only network", () => networkTests(wireguard));
