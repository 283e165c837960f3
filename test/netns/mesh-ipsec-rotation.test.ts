import { describe } from "vitest";
import { ipsecRotationSuite } from "./support/ipsec-rotation-suite.ts";

describe("an IPsec key that changes, with libipsec", () => {
  ipsecRotationSuite("userspace", 3);
});
