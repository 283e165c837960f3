import { describe, expect, test } from "vitest";
import type { WantedTunnels } from "../../../src/agent/driver.ts";
import { Reasons } from "../../../src/agent/reasons.ts";
import { Tunnels } from "../../../src/agent/tunnels.ts";
import { Code, Fault } from "../../../src/fault.ts";
import type { Driver } from "../../../src/registry/node-record.ts";
import { FakeDriver } from "./fakes.ts";
import { prefix } from "./support.ts";

function wanted(...guarded: readonly string[]): WantedTunnels {
  return { tunnels: [], guarded: guarded.map(prefix), podPrefixes: [], addresses: [] };
}
const wish = (of: Partial<Record<Driver, WantedTunnels>>) => new Map(Object.entries(of) as [Driver, WantedTunnels][]);
const silent = () => undefined;
const refusal = () => new Fault(Code.kernel, "in use", "end it");

describe("all drivers together", () => {
  test("take away what another configuration has made, and then try again at once what it stood in the way of", async () => {
    using reasons = new Reasons();
    const [own, old] = [new FakeDriver("ipsec"), new FakeDriver("wireguard")];
    old.exists = true;
    own.failures.push(refusal());
    await using tunnels = new Tunnels([own], [old], reasons, silent);
    await tunnels.apply(wish({ ipsec: wanted("10.101.2.0/24") }), { planned: true });
    expect(old).toMatchObject({ removed: 1, disposed: true });
    expect(own.applied).toHaveLength(2);
    expect([tunnels.failing, tunnels.hasApplied]).toEqual([[], true]);
    await tunnels.apply(wish({ ipsec: wanted("10.101.2.0/24") }), { planned: false });
    expect(old.removed).toBe(1);
  });

  test("try again with the next apply to take away what could not be", async () => {
    using reasons = new Reasons();
    const [own, old] = [new FakeDriver("ipsec"), new FakeDriver("wireguard")];
    const remove = old.remove.bind(old);
    old.remove = () => Promise.reject(refusal());
    await using tunnels = new Tunnels([own], [old], reasons, silent);
    await tunnels.apply(wish({ ipsec: wanted() }), { planned: true });
    old.remove = remove;
    await tunnels.apply(wish({ ipsec: wanted() }), { planned: false });
    expect(old.removed).toBe(1);
  });

  test("guard what goes over from one to the other by both, until it has gone over", async () => {
    using reasons = new Reasons();
    const [one, other] = [new FakeDriver("wireguard"), new FakeDriver("ipsec")];
    await using tunnels = new Tunnels([one, other], [], reasons, silent);
    await tunnels.apply(wish({ wireguard: wanted("10.101.2.0/24"), ipsec: wanted("10.101.3.0/24") }), {
      planned: true,
    });
    await tunnels.apply(wish({ wireguard: wanted(), ipsec: wanted("10.101.2.0/23") }), { planned: true });
    expect(one.applied.map(({ guarded }) => guarded)).toEqual([["10.101.2.0/24"], ["10.101.2.0/24"], []]);
    expect(other.applied.map(({ guarded }) => guarded)).toEqual([
      ["10.101.3.0/24"],
      ["10.101.2.0/23"],
      ["10.101.2.0/23"],
    ]);
  });

  test("leave one that fails alone for a while, unless something else is wanted of it", async () => {
    using reasons = new Reasons();
    const driver = new FakeDriver("wireguard");
    driver.failures.push(refusal(), refusal());
    await using tunnels = new Tunnels([driver], [], reasons, silent);
    const first = wish({ wireguard: wanted("10.101.2.0/24") });
    await tunnels.apply(first, { planned: true });
    await tunnels.apply(first, { planned: false });
    expect(driver.applied).toHaveLength(1);
    await tunnels.apply(wish({ wireguard: wanted("10.101.3.0/24") }), { planned: true });
    expect(driver.applied).toHaveLength(2);
    expect(tunnels.failing).toMatchObject([{ driver: "wireguard", what: "in use; end it" }]);
  });

  test("find what is left of a driver that is not needed any more, also from before", async () => {
    using reasons = new Reasons();
    const [one, other] = [new FakeDriver("wireguard"), new FakeDriver("ipsec")];
    other.exists = true;
    await using tunnels = new Tunnels([one, other], [], reasons, silent);
    await tunnels.apply(wish({ wireguard: wanted() }), { planned: true });
    expect(other.removed).toBe(1);
    await tunnels.apply(wish({ wireguard: wanted() }), { planned: true });
    expect(other.removed).toBe(1);
  });

  test("count how long it takes, and how often it fails", async () => {
    using reasons = new Reasons();
    const driver = new FakeDriver("wireguard");
    driver.failures.push(refusal());
    await using tunnels = new Tunnels([driver], [], reasons, silent);
    await tunnels.apply(wish({ wireguard: wanted("10.101.2.0/24") }), { planned: true });
    await tunnels.apply(wish({ wireguard: wanted("10.101.3.0/24") }), { planned: true });
    expect(tunnels.counters()).toMatchObject({
      applies: [{ labels: { driver: "wireguard" }, count: 1 }],
      applyErrors: [{ labels: { driver: "wireguard" }, value: 1 }],
    });
  });
});
