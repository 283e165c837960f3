import { describe } from "vitest";
import { driverSuite } from "../../netns/support/driver-suite.ts";
import { ipsecKind } from "../../netns/support/ipsec-kind.ts";

// For a kernel that has ESP and XFRM interfaces; on any other all of it fails.

describe("the IPsec driver of the agent, with ESP in the kernel", () => {
  driverSuite(ipsecKind("kernel"));
});
