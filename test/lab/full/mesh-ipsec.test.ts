import { describe } from "vitest";
import { driverSuite } from "../../netns/support/driver-suite.ts";
import { ipsecKind } from "../../netns/support/ipsec-kind.ts";
import { ipsecRotationSuite } from "../../netns/support/ipsec-rotation-suite.ts";

// For a kernel that has ESP and XFRM interfaces; on any other all of it fails.

describe("the IPsec driver of the agent, with ESP in the kernel", () => {
  driverSuite(ipsecKind("kernel"));
});

describe("an IPsec key that changes, with ESP in the kernel", () => {
  ipsecRotationSuite("kernel", 2);
});
