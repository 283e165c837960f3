import { describe } from "vitest";
import { driverSuite } from "../netns/support/driver-suite.ts";
import { ipsecKind } from "../netns/support/ipsec-kind.ts";

describe("the IPsec driver of the agent, with libipsec", () => {
  driverSuite(ipsecKind("userspace"));
});
