import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { addressOf, pings } from "./support/container-runtime.ts";
import { TYPES } from "./support/networks.ts";
import { Podman } from "./support/podman.ts";
import { RuntimePair, runtimeSuite } from "./support/runtime-suite.ts";

describe.each(TYPES)("podman with %s", (type) => {
  let pair: RuntimePair<Podman>;

  beforeAll(async () => {
    pair = await RuntimePair.create(type, "1.0.0", Podman.start);
  });
  afterAll(async () => {
    await pair?.[Symbol.asyncDispose]();
  });

  runtimeSuite(type, () => pair);

  test("a container that is restarted gets a network again, and leaves nothing of the old one", async () => {
    {
      await using both = await pair.runBoth();
      const { a, b } = both;
      const again = await pair.runtimes[0].restart(a);
      expect(await pings(again, addressOf(b))).toBe(true);
      expect(await pings(b, addressOf(again))).toBe(true);
    }
    await pair.expectNothingLeft();
  });
});
