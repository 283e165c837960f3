import { describe } from "vitest";
import { agentSuite } from "../../netns/support/agent-suite.ts";

// For a kernel that has WireGuard; on any other all of it fails.

describe("agents with WireGuard in the kernel", () => {
  agentSuite("wireguard", ["kernel", "kernel"]);
});

describe("agents with WireGuard, of which one has it in the kernel and one in user space", () => {
  agentSuite("wireguard", ["kernel", "userspace"]);
});
