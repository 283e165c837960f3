import { describe } from "vitest";
import { agentSuite } from "../../netns/support/agent-suite.ts";

// For a kernel that has ESP and XFRM interfaces; on any other all of it fails.

describe("agents with IPsec in the kernel", () => {
  agentSuite("ipsec", ["kernel", "kernel"]);
});

describe("agents with IPsec, of which one has it in the kernel and one in user space", () => {
  agentSuite("ipsec", ["kernel", "userspace"]);
});
