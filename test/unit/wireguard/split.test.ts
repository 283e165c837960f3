import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { DeviceChange, DeviceState } from "../../../src/wireguard/device.ts";
import { diff } from "../../../src/wireguard/diff.ts";
import { splitChange } from "../../../src/wireguard/split.ts";
import { essence, key, NOW, peer, prefix, secret, settings, states, steps } from "./support/model.ts";

const limits = fc.record({ peers: fc.integer({ min: 1, max: 4 }), allowedIPs: fc.integer({ min: 1, max: 4 }) });
const changes = fc
  .tuple(settings, states)
  .map(([wanted, actual]) => ({ actual, change: diff(wanted, actual, { now: NOW, dummy: () => key(200) }) }));

function applied(state: DeviceState, change: DeviceChange): DeviceState {
  return steps(state, change).at(-1) ?? state;
}

describe("a change in parts", () => {
  it("does the same as the whole", () => {
    fc.assert(
      fc.property(changes, limits, ({ actual, change }, most) => {
        const whole = applied(actual, change);
        const parts = splitChange(change, most).reduce(applied, actual);
        expect(parts.peers.map(essence).sort()).toEqual(whole.peers.map(essence).sort());
        expect([parts.listenPort, parts.fwmark]).toEqual([whole.listenPort, whole.fwmark]);
      }),
      { numRuns: 2000 },
    );
  });

  it("keeps each part within the limits, and the device's own fields in the first", () => {
    fc.assert(
      fc.property(changes, limits, ({ change }, most) => {
        const parts = splitChange(change, most);
        for (const [index, { peers, ...device }] of parts.entries()) {
          const count = peers.map((one) => ("remove" in one ? 0 : one.addAllowedIPs.length)).reduce((a, b) => a + b, 0);
          expect(peers.length).toBeLessThanOrEqual(most.peers);
          expect(count).toBeLessThanOrEqual(most.allowedIPs);
          if (index > 0) expect(device).toEqual({});
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe("splitChange", () => {
  it("gives nothing for nothing, and one part for the device's own fields alone", () => {
    expect(splitChange({ peers: [] }, { peers: 2, allowedIPs: 2 })).toEqual([]);
    expect(splitChange({ fwmark: 0, peers: [] }, { peers: 2, allowedIPs: 2 })).toEqual([{ fwmark: 0, peers: [] }]);
  });

  it("goes on with a peer as an alteration, without its other fields", () => {
    const three = ["10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24"].map(prefix);
    const { publicKey } = peer(1);
    const made = { publicKey, isNew: true, presharedKey: secret(1), persistentKeepalive: 25, addAllowedIPs: three };
    expect(splitChange({ peers: [made] }, { peers: 32, allowedIPs: 2 })).toEqual([
      { peers: [{ ...made, addAllowedIPs: three.slice(0, 2) }] },
      { peers: [{ publicKey, isNew: false, addAllowedIPs: three.slice(2) }] },
    ]);
  });
});
