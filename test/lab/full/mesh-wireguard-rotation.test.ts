import { describe } from "vitest";
import { rotationSuite } from "../../netns/support/wireguard-rotation-suite.ts";

// For a kernel that has WireGuard; on any other all of it fails.

describe("a WireGuard key that changes, in the kernel", () => {
  rotationSuite("kernel", 1);
});
