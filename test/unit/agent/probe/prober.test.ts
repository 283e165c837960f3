import { createSocket } from "node:dgram";
import { describe, expect, test, vi } from "vitest";
import { encodeProbePacket } from "../../../../src/agent/probe/packet.ts";
import { Prober } from "../../../../src/agent/probe/prober.ts";
import { address } from "../support.ts";

const PORT = 47_274;
const [ONE, OTHER, STRANGER] = ["127.0.7.1", "127.0.7.2", "127.0.7.3"].map(address);

function prober(onChange = vi.fn()) {
  const made = new Prober({ port: PORT, interval: 200, downAfter: 1000, degradedLoss: 0.05 });
  made.listen({ onChange, onDoubt: () => undefined });
  return made;
}

const soon = (check: () => void) => vi.waitFor(check, { timeout: 10_000, interval: 20 });

describe("two probers", () => {
  test("find each other, and one that is gone is down", async () => {
    const changed = vi.fn();
    using one = prober(changed);
    expect(await one.set([ONE ?? address("::")], [{ name: "other", probes: [OTHER ?? address("::")] }])).toEqual([]);
    {
      using other = prober();
      await other.set([OTHER ?? address("::")], [{ name: "one", probes: [ONE ?? address("::")] }]);
      await soon(() => expect([one.health("other"), other.health("one")]).toEqual(["up", "up"]));
      expect(one.report("other")?.roundTrip?.smoothed).toBeLessThan(1000);
    }
    await soon(() => expect(one.health("other")).toBe("down"));
    expect(
      changed.mock.calls
        .flatMap(([changes]) => changes)
        .map(({ to }: { to: string }) => to)
        .at(-1),
    ).toBe("down");
  });
});

describe("a prober", () => {
  test("answers no stranger", async () => {
    using one = prober();
    await one.set([ONE ?? address("::")], [{ name: "other", probes: [OTHER ?? address("::")] }]);
    const heard: string[] = [];
    const ask = (from: string) =>
      new Promise<void>((resolve) => {
        const socket = createSocket("udp4").on("message", () => heard.push(from));
        socket.bind(PORT, from, () => {
          const probe = encodeProbePacket({ type: "probe", session: 1, sequence: 0, sentAt: 0n });
          socket.send(probe, PORT, ONE, () => resolve());
        });
        sockets.push(socket);
      });
    const sockets: ReturnType<typeof createSocket>[] = [];
    await ask(STRANGER ?? "");
    await ask(OTHER ?? "");
    await soon(() => expect(heard).toContain(OTHER));
    expect(heard).not.toContain(STRANGER);
    for (const socket of sockets) socket.close();
  });

  test("says which of its own addresses it cannot use, and can as soon as they are there", async () => {
    using one = prober();
    const peers = [{ name: "other", probes: [OTHER ?? address("::")] }];
    const failures = await one.set([address("192.0.2.7")], peers);
    expect(failures).toMatchObject([{ errno: "EADDRNOTAVAIL" }]);
    expect(one.report("other")).toBeUndefined(); // nothing can be sent from here
    expect(await one.set([ONE ?? address("::")], peers)).toEqual([]);
    expect(one.report("other")).toMatchObject({ health: "unknown" });
  });
});
