import { describe } from "vitest";
import { driverSuite } from "./support/driver-suite.ts";
import { ipsecKind } from "./support/ipsec-kind.ts";

describe("the IPsec driver of the agent, with libipsec", () => {
  driverSuite(ipsecKind("userspace"));
});
