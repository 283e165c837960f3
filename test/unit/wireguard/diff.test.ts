import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Secret } from "../../../src/secret.ts";
import type { DeviceSettings, DeviceState, PeerChange, PeerState } from "../../../src/wireguard/device.ts";
import { diff, isEmpty, REJECT_AFTER_TIME } from "../../../src/wireguard/diff.ts";
import { type PublicKey, publicKeyFrom, sameSecret } from "../../../src/wireguard/key.ts";
import {
  endpoint,
  essence,
  key,
  NOW,
  owners,
  peer,
  prefix,
  sameEndpoints,
  secret,
  settings,
  stateOf,
  states,
  steps,
} from "./support/model.ts";

const DUMMY = key(200);
const options = { now: NOW, dummy: () => DUMMY };

function device(...peers: DeviceSettings["peers"]): DeviceSettings {
  return { privateKey: secret(11), listenPort: 51820, fwmark: 0, peers };
}

/** A state whose peers had a handshake `age` milliseconds ago. */
function used(settings: DeviceSettings, age: number): DeviceState {
  const { peers, ...rest } = stateOf(settings);
  return { ...rest, peers: peers.map((one) => ({ ...one, latestHandshake: NOW - age })) };
}

function isAlive({ latestHandshake }: PeerState): boolean {
  return latestHandshake !== undefined && Math.abs(NOW - latestHandshake) <= REJECT_AFTER_TIME;
}

/** Two secrets are never unequal for the test runner: they are compared as this. */
function hex(secret: Secret): string {
  return Buffer.from(secret.reveal()).toString("hex");
}

function presharedKeyOf(change: PeerChange | undefined): string | undefined {
  if (change === undefined || "remove" in change) return undefined;
  return change.presharedKey instanceof Secret ? hex(change.presharedKey) : change.presharedKey;
}

function changedKeys(changes: readonly PeerChange[]): PublicKey[] {
  return changes.map(({ publicKey }) => publicKey);
}

describe("the difference of any two states, applied", () => {
  it("gives the wanted one, of which the difference is nothing", () => {
    fc.assert(
      fc.property(settings, states, (wanted, actual) => {
        const result = steps(actual, diff(wanted, actual, options)).at(-1) ?? actual;
        expect(result.peers.map(essence).sort()).toEqual(wanted.peers.map(essence).sort());
        expect(sameSecret(result.privateKey, wanted.privateKey)).toBe(true);
        expect(result.fwmark).toBe(wanted.fwmark);
        if (wanted.listenPort === 0) expect(result.listenPort).not.toBe(0);
        else expect(result.listenPort).toBe(wanted.listenPort);
        expect(isEmpty(diff(wanted, result, options))).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  it("leaves each peer where it is while that is alive, and gives every other the endpoint that is wanted", () => {
    fc.assert(
      fc.property(settings, states, (wanted, actual) => {
        const result = steps(actual, diff(wanted, actual, options)).at(-1) ?? actual;
        for (const one of wanted.peers) {
          const before = actual.peers.find(({ publicKey }) => publicKey === one.publicKey);
          const after = result.peers.find(({ publicKey }) => publicKey === one.publicKey);
          const stays = before?.endpoint !== undefined && (isAlive(before) || one.endpoint === undefined);
          expect(sameEndpoints(after?.endpoint, stays ? before.endpoint : one.endpoint)).toBe(true);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it("names no peer that is right", () => {
    fc.assert(
      fc.property(settings, states, (wanted, actual) => {
        const changed = new Set(changedKeys(diff(wanted, actual, options).peers));
        for (const one of wanted.peers) {
          const before = actual.peers.find(({ publicKey }) => publicKey === one.publicKey);
          if (before === undefined || essence(before) !== essence(one)) continue;
          const keepsEndpoint = one.endpoint === undefined || sameEndpoints(before.endpoint, one.endpoint);
          if (keepsEndpoint) expect(changed).not.toContain(one.publicKey);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it("has no step at which an allowed IP that somebody has and somebody shall have belongs to nobody", () => {
    fc.assert(
      fc.property(settings, states, (wanted, actual) => {
        const [had, shall] = [owners(actual.peers), owners(wanted.peers)];
        for (const { peers } of steps(actual, diff(wanted, actual, options))) {
          const has = owners(peers);
          for (const [prefix, owner] of had) {
            const heir = shall.get(prefix);
            if (heir !== undefined) expect([owner, heir]).toContain(has.get(prefix));
          }
        }
      }),
      { numRuns: 2000 },
    );
  });

  it("never removes and makes the same peer, and leaves no dummy", () => {
    fc.assert(
      fc.property(settings, states, (wanted, actual) => {
        const { peers } = diff(wanted, actual, options);
        const removed = peers.filter((change) => "remove" in change).map(({ publicKey }) => publicKey);
        for (const one of wanted.peers) expect(removed).not.toContain(one.publicKey);
        const there = new Set(changedKeys(actual.peers.map(({ publicKey }) => ({ publicKey, remove: true }))));
        for (const change of peers) if (!("remove" in change)) expect(change.isNew).toBe(!there.has(change.publicKey));
      }),
    );
  });
});

describe("diff", () => {
  const LAN = prefix("10.1.0.0/16");

  it("is empty for a device that is right, whatever its traffic", () => {
    const wanted = device(peer(1, { allowedIPs: [LAN], presharedKey: secret(1), persistentKeepalive: 25 }));
    expect(diff(wanted, used(wanted, 0), options)).toEqual({ peers: [] });
  });

  it("makes a peer with all that it has, in one step", () => {
    const whole = {
      presharedKey: secret(1),
      endpoint: endpoint("192.0.2.1", 1),
      persistentKeepalive: 25,
      allowedIPs: [LAN],
    };
    const { peers } = diff(device(peer(1, whole)), stateOf(device()), options);
    expect(presharedKeyOf(peers[0])).toBe(hex(secret(1)));
    expect(peers).toEqual([
      {
        publicKey: key(1),
        isNew: true,
        presharedKey: whole.presharedKey,
        endpoint: whole.endpoint,
        persistentKeepalive: 25,
        addAllowedIPs: [LAN],
      },
    ]);
  });

  it("alters preshared key and keepalive in place", () => {
    const before = device(
      peer(1, { presharedKey: secret(1), allowedIPs: [LAN] }),
      peer(2, { presharedKey: secret(1) }),
    );
    const after = device(peer(1, { persistentKeepalive: 25, allowedIPs: [LAN] }), peer(2, { presharedKey: secret(2) }));
    const [one, two] = diff(after, used(before, 0), options).peers;
    expect(one).toEqual({
      publicKey: key(1),
      isNew: false,
      presharedKey: "none",
      persistentKeepalive: 25,
      addAllowedIPs: [],
    });
    expect(two).toEqual({ publicKey: key(2), isNew: false, presharedKey: expect.any(Secret), addAllowedIPs: [] });
    expect(presharedKeyOf(two)).toBe(hex(secret(2)));
  });

  it("gives an allowed IP to its new owner alone: from the old one it is taken in the same step", () => {
    const change = diff(
      device(peer(1), peer(2, { allowedIPs: [LAN] })),
      used(device(peer(1, { allowedIPs: [LAN] }), peer(2)), 0),
      options,
    );
    expect(change.peers).toEqual([{ publicKey: key(2), isNew: false, addAllowedIPs: [LAN] }]);
  });

  it("makes the heir of a peer before it removes that", () => {
    const change = diff(
      device(peer(2, { allowedIPs: [LAN] })),
      stateOf(device(peer(1, { allowedIPs: [LAN] }))),
      options,
    );
    expect(changedKeys(change.peers)).toEqual([key(2), key(1)]);
    expect(change.peers.at(-1)).toEqual({ publicKey: key(1), remove: true });
  });

  it("takes an allowed IP that nobody shall have by a peer that then goes with it", () => {
    const other = prefix("10.2.0.0/16");
    const change = diff(
      device(peer(1, { allowedIPs: [LAN] })),
      used(device(peer(1, { allowedIPs: [LAN, other] })), 0),
      options,
    );
    expect(change.peers).toEqual([
      { publicKey: DUMMY, isNew: true, persistentKeepalive: 0, addAllowedIPs: [other] },
      { publicKey: DUMMY, remove: true },
    ]);
  });

  it("asks for no dummy where none is needed", () => {
    const dummy = () => {
      throw new Error("asked");
    };
    const before = device(peer(1, { allowedIPs: [LAN] }), peer(3));
    expect(diff(device(peer(2, { allowedIPs: [LAN] })), stateOf(before), { now: NOW, dummy }).peers).toHaveLength(3);
  });

  const configured = endpoint("192.0.2.1", 51820);
  const roamed = endpoint("198.51.100.7", 40000);
  const wanted = device(peer(1, { endpoint: configured }));

  it("leaves a peer that roamed where it is as long as its session can be alive", () => {
    const there = device(peer(1, { endpoint: roamed }));
    expect(isEmpty(diff(wanted, used(there, 180_000), options))).toBe(true);
    expect(diff(wanted, used(there, 180_001), options).peers).toMatchObject([
      { publicKey: key(1), endpoint: configured },
    ]);
    expect(diff(wanted, stateOf(there), options).peers).toMatchObject([{ publicKey: key(1), endpoint: configured }]);
  });

  it("takes no peer for alive whose handshake is in the future: the clock has been set back since", () => {
    const there = device(peer(1, { endpoint: roamed }));
    expect(isEmpty(diff(wanted, used(there, -1000), options))).toBe(true);
    expect(diff(wanted, used(there, -180_001), options).peers).toMatchObject([
      { publicKey: key(1), endpoint: configured },
    ]);
  });

  it("gives an endpoint to a peer that has none, alive or not", () => {
    expect(diff(wanted, used(device(peer(1)), 0), options).peers).toMatchObject([{ endpoint: configured }]);
  });

  it("leaves the endpoint of a peer whose own is not known", () => {
    const there = device(peer(1, { endpoint: roamed }));
    expect(isEmpty(diff(device(peer(1)), stateOf(there), options))).toBe(true);
  });

  it("takes any port that the device has for 0, but not none", () => {
    const any = { ...device(), listenPort: 0 };
    expect(isEmpty(diff(any, stateOf(device()), options))).toBe(true);
    expect(diff(any, stateOf(any), options)).toEqual({ listenPort: 0, peers: [] });
  });

  it("knows a private key as the device has it: clamped", () => {
    const bytes = Uint8Array.from(secret(11).reveal());
    bytes[0] = 0x07;
    bytes[31] = 0x80;
    expect(isEmpty(diff({ ...device(), privateKey: new Secret(bytes) }, stateOf(device()), options))).toBe(true);
    const { privateKey } = diff({ ...device(), privateKey: secret(12) }, stateOf(device()), options);
    expect(sameSecret(privateKey, secret(12))).toBe(true);
  });

  it("takes no time of the square of the peers: 20,000 and as many allowed IPs", () => {
    const many = Array.from({ length: 20_000 }, (_, index) => {
      const bytes = new Uint8Array(32);
      new DataView(bytes.buffer).setUint32(0, index + 1);
      const allowedIPs = [prefix(`10.${index >> 8}.${index & 255}.0/24`)];
      return { publicKey: publicKeyFrom(bytes), persistentKeepalive: 0, allowedIPs };
    });
    const none = many.map((one) => ({ ...one, allowedIPs: [] }));
    expect(isEmpty(diff(device(...many), stateOf(device(...many)), options))).toBe(true);
    expect(diff(device(...none), stateOf(device(...many)), options).peers).toHaveLength(2);
  });
});

describe("a peer of which nothing comes any more", () => {
  const there = used(device(peer(1, { endpoint: endpoint("192.0.2.1", 51820) })), 1000);
  const wanted = device(peer(1, { endpoint: endpoint("192.0.2.2", 51820) }));

  it("is sent to where it is wanted, however young its session is", () => {
    expect(isEmpty(diff(wanted, there, options))).toBe(true);
    const { peers } = diff(wanted, there, { ...options, lost: new Set([key(1)]) });
    expect(peers).toMatchObject([{ publicKey: key(1), endpoint: { address: "192.0.2.2" } }]);
    expect(isEmpty(diff(wanted, there, { ...options, lost: new Set([key(2)]) }))).toBe(true);
  });
});
