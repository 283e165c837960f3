import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { addressOf, pings } from "./support/container-runtime.ts";
import { Containerd } from "./support/containerd.ts";
import { TYPES } from "./support/networks.ts";
import { RuntimePair, runtimeSuite } from "./support/runtime-suite.ts";

describe.each(TYPES)("containerd with %s", (type) => {
  let pair: RuntimePair<Containerd>;

  beforeAll(async () => {
    pair = await RuntimePair.create(type, "1.0.0", Containerd.start);
  });
  afterAll(async () => {
    await pair?.[Symbol.asyncDispose]();
  });

  runtimeSuite(type, () => pair);

  test("pods go on while containerd is killed, are found again, and can be removed", async () => {
    const [runtime] = pair.runtimes;
    {
      await using both = await pair.runBoth();
      const { a, b } = both;
      await runtime.restart(async () => {
        expect(await pings(b, addressOf(a))).toBe(true);
      });
      expect(await runtime.state(a)).toBe("SANDBOX_READY");
      expect(await pings(a, addressOf(b))).toBe(true);
      await using late = await runtime.run("late");
      expect(await pings(late, addressOf(a))).toBe(true);
    }
    await pair.expectNothingLeft();
  });
});
