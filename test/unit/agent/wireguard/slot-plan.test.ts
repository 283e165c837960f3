import { describe, expect, test } from "vitest";
import {
  IN_USE,
  LINGER,
  type ObservedSlots,
  planSlots,
  type SlotPeer,
  type SlotWish,
} from "../../../../src/agent/wireguard/slot-plan.ts";
import type { SlotName } from "../../../../src/agent/wireguard/slots.ts";
import { sameSecret } from "../../../../src/wireguard/key.ts";
import { deviceState, endpoint, peerState, prefix, privateKey, publicKey } from "./support.ts";

const NOW = 1_000_000_000;
const UP = { latestHandshake: NOW - 1000, endpoint: endpoint("192.0.2.2", 51_820) };
const MINE = privateKey(1);
const NEXT = privateKey(11);
const THEIRS = publicKey(2);
const THEIR_NEXT = publicKey(12);

const peer: SlotPeer = {
  name: "n2",
  publicKey: THEIRS,
  port: 51_820,
  endpoint: endpoint("192.0.2.2", 51_820),
  prefixes: [prefix("10.1.2.0/24"), prefix("fd00:1:2::/64")],
  persistentKeepalive: 25,
};
const PREFIXES = ["10.1.2.0/24", "fd00:1:2::/64"];
const wish: SlotWish = { privateKey: MINE, listenPort: 51_820, fwmark: 0, peers: [peer] };

function observed(by: SlotName | undefined, more: Partial<ObservedSlots>): ObservedSlots {
  const routes = new Map(by === undefined ? [] : peer.prefixes.map((one) => [one, by] as const));
  return { routes, quiet: () => 0, ...more };
}
const first = deviceState(MINE, [peerState(THEIRS, PREFIXES, UP)]);

describe("at rest", () => {
  test("all peers are on the first device, with what their records have", () => {
    const plan = planSlots(wish, observed(undefined, {}), NOW);
    expect(plan.second).toBeUndefined();
    expect(plan.settled).toBe(true);
    expect(plan.ways.get("n2")).toBe("first");
    expect(plan.first.anew).toBe(false);
    expect(plan.first.settings).toEqual({
      privateKey: MINE,
      listenPort: 51_820,
      fwmark: 0,
      peers: [
        {
          publicKey: THEIRS,
          allowedIPs: peer.prefixes,
          persistentKeepalive: 25,
          endpoint: endpoint("192.0.2.2", 51_820),
        },
      ],
    });
  });

  test("a peer that has another key at once gets it at once: the old one is of no use any more", () => {
    const plan = planSlots(
      { ...wish, peers: [{ ...peer, publicKey: publicKey(7) }] },
      observed("first", { first }),
      NOW,
    );
    expect(plan.first.settings.peers.map(({ publicKey: key }) => key)).toEqual([publicKey(7)]);
    expect(plan.second).toBeUndefined();
    expect(plan.settled).toBe(true);
  });

  test("another private key makes the first device anew", () => {
    const plan = planSlots({ ...wish, privateKey: privateKey(9) }, observed("first", { first }), NOW);
    expect(plan.first.anew).toBe(true);
    expect(plan.settled).toBe(true);
  });
});

describe("a peer's key changes", () => {
  const changing = { ...wish, peers: [{ ...peer, nextPublicKey: THEIR_NEXT }] };

  test("its next key is on a second device with this node's own key, at the next ports", () => {
    const plan = planSlots(changing, observed("first", { first }), NOW);
    expect(plan.second?.settings).toEqual({
      privateKey: MINE,
      listenPort: 51_821,
      fwmark: 0,
      peers: [
        {
          publicKey: THEIR_NEXT,
          allowedIPs: peer.prefixes,
          persistentKeepalive: IN_USE,
          endpoint: endpoint("192.0.2.2", 51_821),
        },
      ],
    });
    expect(plan.ways.get("n2")).toBe("first");
    expect(plan.first.settings.peers[0]).toMatchObject({ publicKey: THEIRS, persistentKeepalive: 25 });
    expect(plan.settled).toBe(false);
  });

  test("packets move when there is a handshake of the next key, and not before", () => {
    const second = deviceState(MINE, [peerState(THEIR_NEXT, PREFIXES)], 51_821);
    expect(planSlots(changing, observed("first", { first, second }), NOW).ways.get("n2")).toBe("first");
    const up = deviceState(MINE, [peerState(THEIR_NEXT, PREFIXES, UP)], 51_821);
    expect(planSlots(changing, observed("first", { first, second: up }), NOW).ways.get("n2")).toBe("second");
  });

  const second = deviceState(MINE, [peerState(THEIR_NEXT, PREFIXES, UP)], 51_821);
  const changed = { ...wish, peers: [{ ...peer, publicKey: THEIR_NEXT }] };

  test("the old key stays on the first device as long as packets go by it", () => {
    const plan = planSlots(changed, observed("first", { first, second }), NOW);
    expect(plan.first.settings.peers.map(({ publicKey: key }) => key)).toEqual([THEIRS]);
    expect(plan.ways.get("n2")).toBe("second");
    expect(plan.settled).toBe(false);
  });

  test("then the first device gets the new key, where the peer was heard last, and begins a session", () => {
    const roamed = { ...UP, endpoint: endpoint("198.51.100.9", 40_000) };
    const behindNat = deviceState(MINE, [peerState(THEIRS, PREFIXES, roamed)]);
    const plan = planSlots(changed, observed("second", { first: behindNat, second }), NOW);
    expect(plan.first.settings.peers).toEqual([
      {
        publicKey: THEIR_NEXT,
        allowedIPs: peer.prefixes,
        persistentKeepalive: IN_USE,
        endpoint: endpoint("198.51.100.9", 40_000),
      },
    ]);
    expect(plan.ways.get("n2")).toBe("second");
    expect(plan.second?.settings.peers[0]?.persistentKeepalive).toBe(IN_USE);
  });

  const back = deviceState(MINE, [peerState(THEIR_NEXT, PREFIXES, UP)]);

  test("packets go back when the first device has a handshake of the new key", () => {
    const plan = planSlots(changed, observed("second", { first: back, second }), NOW);
    expect(plan.ways.get("n2")).toBe("first");
    expect(plan.second?.settings.peers[0]?.persistentKeepalive).toBe(IN_USE); // until they have
    expect(plan.first.settings.peers[0]?.persistentKeepalive).toBe(25);
  });

  test("the second device stays until nothing has come by it for a while, and goes then", () => {
    const staying = planSlots(changed, observed("first", { first: back, second, quiet: () => LINGER - 1 }), NOW);
    expect(staying.second?.settings.peers).toEqual([
      { publicKey: THEIR_NEXT, allowedIPs: peer.prefixes, persistentKeepalive: 0 },
    ]);
    expect(staying.settled).toBe(false);
    const gone = planSlots(changed, observed("first", { first: back, second, quiet: () => LINGER }), NOW);
    expect(gone.second).toBeUndefined();
    expect(gone.settled).toBe(true);
  });

  test("a change that the peer gave up leads back to the first device, whose session was there all the time", () => {
    const plan = planSlots(wish, observed("second", { first, second }), NOW);
    expect(plan.ways.get("n2")).toBe("first");
    expect(plan.second?.settings.peers.map(({ publicKey: key }) => key)).toEqual([THEIR_NEXT]);
    const gone = planSlots(wish, observed("first", { first, second, quiet: () => LINGER }), NOW);
    expect(gone.second).toBeUndefined();
  });

  test("a node that missed the change takes the new key at once", () => {
    const plan = planSlots(changed, observed("first", { first }), NOW);
    expect(plan.first.settings.peers.map(({ publicKey: key }) => key)).toEqual([THEIR_NEXT]);
  });
});

describe("this node's key changes", () => {
  const changing = { ...wish, nextPrivateKey: NEXT };
  const second = deviceState(NEXT, [peerState(THEIRS, PREFIXES, UP)], 51_821);

  test("the second device has the next key, and all peers with theirs", () => {
    const plan = planSlots(changing, observed("first", { first }), NOW);
    expect(plan.second?.settings).toMatchObject({ privateKey: NEXT, listenPort: 51_821 });
    expect(plan.second?.settings.peers.map(({ publicKey: key }) => key)).toEqual([THEIRS]);
    expect(plan.first.settings.privateKey).toBe(MINE);
  });

  test("a peer has moved when packets go to it by the second device", () => {
    const moving = planSlots(changing, observed("first", { first, second }), NOW);
    expect(moving.ways.get("n2")).toBe("second");
    expect(moving.progress).toEqual([{ name: "n2", publicKey: THEIRS, hasTunnel: true, hasMoved: false }]);
    expect(planSlots(changing, observed("second", { first, second }), NOW).progress[0]?.hasMoved).toBe(true);
  });

  test("the first device does not get the new key while packets go by it", () => {
    const promoted = { ...wish, privateKey: NEXT };
    const plan = planSlots(promoted, observed("first", { first, second }), NOW);
    expect(plan.first.settings.privateKey).toBe(MINE);
    expect(plan.first.settings.peers).toBe(first.peers);
    expect(plan.ways.get("n2")).toBe("second");
    expect(plan.settled).toBe(false);
  });

  test("then it gets it, without any peer of before: a handshake of the old key counts for nothing", () => {
    const promoted = { ...wish, privateKey: NEXT };
    const plan = planSlots(promoted, observed("second", { first, second }), NOW);
    expect(plan.first.anew).toBe(true);
    expect(plan.first.settings.privateKey).toBe(NEXT);
    expect(plan.first.settings.peers[0]).toMatchObject({ publicKey: THEIRS, persistentKeepalive: IN_USE });
    expect(plan.ways.get("n2")).toBe("second");
  });

  test("a change that was given up leaves the second device with the key that it has, until nobody uses it", () => {
    const plan = planSlots(wish, observed("second", { first, second }), NOW);
    expect(plan.ways.get("n2")).toBe("first");
    expect(sameSecret(plan.second?.settings.privateKey, NEXT)).toBe(true);
    const gone = planSlots(wish, observed("first", { first, second, quiet: () => LINGER }), NOW);
    expect(gone.second).toBeUndefined();
  });

  test("and is made anew for the change of a peer that comes first", () => {
    const earlier = { ...wish, peers: [{ ...peer, nextPublicKey: THEIR_NEXT }] };
    const leaving = planSlots(earlier, observed("first", { first, second }), NOW);
    expect(sameSecret(leaving.second?.settings.privateKey, NEXT)).toBe(true);
    expect(leaving.second?.settings.peers.map(({ publicKey: key }) => key)).toEqual([THEIRS]);
    const anew = planSlots(earlier, observed("first", { first, second, quiet: () => LINGER }), NOW);
    expect(anew.second?.anew).toBe(true);
    expect(anew.second?.settings.privateKey).toBe(MINE);
    expect(anew.second?.settings.peers.map(({ publicKey: key }) => key)).toEqual([THEIR_NEXT]);
  });

  test("a first device that was killed meanwhile is made with the key that counts", () => {
    const plan = planSlots(changing, observed("second", { second }), NOW);
    expect(plan.first).toMatchObject({ anew: false, settings: { privateKey: MINE } });
    expect(plan.ways.get("n2")).toBe("second");
  });
});
