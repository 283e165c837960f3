import { describe } from "vitest";
import { driverSuite } from "../../netns/support/driver-suite.ts";
import { wireguardKind } from "../../netns/support/wireguard-kind.ts";

// For a kernel that has WireGuard; on any other all of it fails.

describe("the WireGuard driver of the agent, in the kernel", () => {
  driverSuite(wireguardKind("kernel"));
});
