import { describe, expect, test } from "vitest";
import { RegistryFollower } from "../../../src/agent/registry-follower.ts";
import type { Registry, RegistryState } from "../../../src/registry/registry.ts";

const STATE: RegistryState = { version: "1", nodes: [], refusals: [] };

describe("a registry that cannot be read for a while", () => {
  test("is told once, and is well again when it can be read, although nothing in it has changed", async () => {
    const stop = new AbortController();
    const lines: string[] = [];
    const errors: (string | undefined)[] = [];
    const registry: Pick<Registry, "watch"> = {
      async *watch(_signal, onError, onRecovered) {
        yield STATE;
        onError(new Error("it is not mounted"));
        errors.push(follower.error);
        onRecovered?.();
        errors.push(follower.error);
        stop.abort();
      },
    };
    // Nothing else of it is asked for.
    const follower = new RegistryFollower(registry as Registry, (level, message) => lines.push(`${level} ${message}`));
    await follower.run(stop.signal, () => undefined);
    expect(errors).toEqual(["it is not mounted", undefined]);
    expect(lines).toEqual([
      "error registry cannot be read; what was read last goes on to count",
      "info registry can be read again",
    ]);
    expect(follower.changes).toBe(1);
  });

  test("is told as such also when there is a state from before, as after a restart", async () => {
    const stop = new AbortController();
    const errors: (string | undefined)[] = [];
    const registry: Pick<Registry, "watch"> = {
      async *watch(_signal, onError, onRecovered) {
        onError(new Error("it is not mounted"));
        yield STATE; // what was accepted last
        errors.push(follower.error);
        onRecovered?.();
        yield { ...STATE, version: "2" };
        errors.push(follower.error);
        stop.abort();
      },
    };
    const follower = new RegistryFollower(registry as Registry, () => undefined);
    await follower.run(stop.signal, () => undefined);
    expect(errors).toEqual(["it is not mounted", undefined]);
  });

  test("is well again when it can be watched anew", async () => {
    const stop = new AbortController();
    const errors: (string | undefined)[] = [];
    let watches = 0;
    const registry: Pick<Registry, "watch"> = {
      async *watch() {
        watches += 1;
        if (watches === 1) throw new Error("it is gone");
        errors.push(follower.error);
        yield STATE;
        errors.push(follower.error);
        stop.abort();
      },
    };
    const follower = new RegistryFollower(registry as Registry, () => undefined);
    await follower.run(stop.signal, () => undefined);
    expect(errors).toEqual(["it is gone", undefined]);
  });
});
