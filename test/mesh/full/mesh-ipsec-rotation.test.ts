import { describe } from "vitest";
import { ipsecRotationSuite } from "../../netns/support/ipsec-rotation-suite.ts";

describe("an IPsec key that changes, with libipsec", () => {
  ipsecRotationSuite("userspace", 3);
});
