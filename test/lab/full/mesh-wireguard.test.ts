import { describe } from "vitest";
import { driverSuite } from "../../netns/support/driver-suite.ts";
import { wireguardKind } from "../../netns/support/wireguard-kind.ts";
import { rotationSuite } from "../../netns/support/wireguard-rotation-suite.ts";

// For a kernel that has WireGuard; on any other all of it fails.

describe("the WireGuard driver of the agent, in the kernel", () => {
  driverSuite(wireguardKind("kernel"));
});

describe("a WireGuard key that changes, in the kernel", () => {
  rotationSuite("kernel");
});
