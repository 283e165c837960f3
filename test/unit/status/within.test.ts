import { describe, expect, it } from "vitest";
import { within } from "../../../src/status/within.ts";

describe("within", () => {
  it("gives what the work gives, or fails as it does", async () => {
    expect(await within(10_000, "somebody", Promise.resolve(7))).toBe(7);
    await expect(within(10_000, "somebody", Promise.reject(new Error("no")))).rejects.toThrow("no");
  });

  it("gives up on who hangs, by name", async () => {
    await expect(within(1, "its charon", new Promise(() => undefined))).rejects.toThrow(
      "its charon does not answer within 0.001 s",
    );
  });
});
