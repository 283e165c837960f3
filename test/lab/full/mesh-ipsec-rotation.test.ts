import { describe } from "vitest";
import { ipsecRotationSuite } from "../../netns/support/ipsec-rotation-suite.ts";

// For a kernel that has ESP and XFRM interfaces; on any other all of it fails.

describe("an IPsec key that changes, with ESP in the kernel", () => {
  ipsecRotationSuite("kernel", 1);
});
