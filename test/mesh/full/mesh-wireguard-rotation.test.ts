import { describe } from "vitest";
import { rotationSuite } from "../../netns/support/wireguard-rotation-suite.ts";

describe("a WireGuard key that changes, in user space", () => {
  rotationSuite("userspace", 3);
});
