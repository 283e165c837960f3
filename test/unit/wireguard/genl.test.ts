import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseAttributes } from "../../../src/netlink/attributes.ts";
import type { Command } from "../../../src/netlink/generic.ts";
import type { DeviceChange, DeviceState, PeerChange, PeerState } from "../../../src/wireguard/device.ts";
import { diff } from "../../../src/wireguard/diff.ts";
import { deviceState, getDevice, setDevice } from "../../../src/wireguard/genl.ts";
import { ModelKernel, sockaddrHex } from "./support/genl-kernel.ts";
import { endpoint, essence, key, NOW, peer, prefix, secret, settings, states, steps } from "./support/model.ts";

const INDEX = 0x01020304;
const GET_DEVICE = 0;
const SET_DEVICE = 1;

function bodyOf({ attributes }: Command): Uint8Array {
  return Buffer.concat(attributes);
}

/** Writes the change to the kernel. */
function apply(kernel: ModelKernel, change: DeviceChange): void {
  for (const command of setDevice(INDEX, change)) {
    expect(command.command).toBe(SET_DEVICE);
    kernel.set(bodyOf(command));
  }
}

/** What is read from the kernel when its answers have room for `most` allowed IPs. */
function read(kernel: ModelKernel, most = 1000): DeviceState {
  return deviceState(kernel.get(most).map(parseAttributes));
}

/** A kernel with a device in that state, put there by other means than messages. */
function kernelWith(state: DeviceState): ModelKernel {
  const kernel = new ModelKernel(INDEX);
  kernel.listenPort = state.listenPort;
  kernel.fwmark = state.fwmark;
  if (state.privateKey !== undefined) kernel.privateKey = hex(state.privateKey.reveal());
  for (const one of state.peers) {
    kernel.peers.set(hex(Buffer.from(one.publicKey, "base64")), {
      presharedKey: one.presharedKey === undefined ? "00".repeat(32) : hex(one.presharedKey.reveal()),
      endpoint: one.endpoint === undefined ? "" : sockaddrHex(one.endpoint.address, one.endpoint.port),
      keepalive: one.persistentKeepalive,
      allowedIPs: new Set(one.allowedIPs.map(kernelPrefix)),
      handshake: BigInt(one.latestHandshake ?? 0) * 1_000_000n,
      received: BigInt(one.receivedBytes),
      sent: BigInt(one.sentBytes),
    });
  }
  return kernel;
}

/** `family/address/length` with the address in hex. */
function kernelPrefix(text: string): string {
  const [address = "", length = ""] = text.split("/");
  const name = sockaddrHex(address, 0);
  return address.includes(":") ? `10/${name.slice(16, 48)}/${length}` : `2/${name.slice(8, 16)}/${length}`;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

/** All that a state says, as text that is equal for equal ones. */
function text({ privateKey, listenPort, fwmark, peers }: DeviceState): string[] {
  const device = [privateKey && hex(privateKey.reveal()), listenPort, fwmark];
  return [JSON.stringify(device), ...peers.map(peerText).sort()];
}

function peerText(one: PeerState): string {
  const { endpoint: where, latestHandshake, receivedBytes, sentBytes } = one;
  return `${essence(one)} ${where?.address} ${where?.port} ${latestHandshake} ${receivedBytes} ${sentBytes}`;
}

/** A new peer with so many allowed IPs, beginning with the `from`-th. */
function creation(index: number, count: number, from = 0) {
  const numbers = Array.from({ length: count }, (_, at) => from + at);
  const addAllowedIPs = numbers.map((number) => prefix(`10.${number >> 8}.${number & 255}.0/24`));
  return { publicKey: key(index), isNew: true, addAllowedIPs };
}

/** Changes that no difference makes, too: peers and allowed IPs by the hundred, in any order. */
const largeChanges: fc.Arbitrary<DeviceChange> = fc
  .record(
    {
      privateKey: fc.integer({ min: 11, max: 12 }).map(secret),
      listenPort: fc.integer({ min: 1, max: 65_535 }),
      fwmark: fc.nat(),
      peers: fc.array(
        fc.tuple(
          fc.integer({ min: 1, max: 120 }),
          fc.oneof(
            { weight: 8, arbitrary: fc.integer({ max: 3, min: 0 }) },
            { weight: 1, arbitrary: fc.integer({ min: 0, max: 700 }) },
          ),
          fc.nat({ max: 60_000 }),
          fc.constantFrom("new", "altered", "removed"),
          fc.boolean(),
        ),
        { maxLength: 120 },
      ),
    },
    { requiredKeys: ["peers"] },
  )
  .map(({ peers, ...device }) => ({
    ...device,
    peers: peers.map(([index, count, from, what, hasKey]): PeerChange => {
      if (what === "removed") return { publicKey: key(index), remove: true };
      return {
        ...creation(index, count, from),
        isNew: what === "new",
        ...(hasKey && { presharedKey: secret(index), endpoint: endpoint("192.0.2.1", index) }),
      };
    }),
  }));

describe("a change, as messages to the kernel", () => {
  it("makes of any state what the change says, when it is a difference", () => {
    fc.assert(
      fc.property(states, settings, fc.integer({ min: 1, max: 20 }), (actual, wanted, most) => {
        const change = diff(wanted, actual, { now: NOW, dummy: () => key(200) });
        const kernel = kernelWith(actual);
        apply(kernel, change);
        expect(text(read(kernel, most))).toEqual(text(steps(actual, change).at(-1) ?? actual));
      }),
    );
  });

  it("makes what it says, and keeps within the bounds of a message, however large it is", () => {
    fc.assert(
      fc.property(largeChanges, (change) => {
        const kernel = new ModelKernel(INDEX);
        apply(kernel, change);
        expect(text(read(kernel))).toEqual(text(steps(read(new ModelKernel(INDEX)), change).at(-1) ?? FAIL));
        for (const [position, { peers, allowedIPs, device, bytes }] of kernel.seen.entries()) {
          expect(peers).toBeLessThanOrEqual(32);
          expect(allowedIPs).toBeLessThanOrEqual(256);
          expect(bytes).toBeLessThan(32_768);
          if (position > 0) expect(device).toEqual([]);
        }
      }),
      { numRuns: 60 },
    );
  });

  it("has 32 peers or 256 allowed IPs in a message", () => {
    const seen = (peers: PeerChange[]) => {
      const kernel = new ModelKernel(INDEX);
      apply(kernel, { peers });
      return kernel.seen;
    };
    const bare = Array.from({ length: 70 }, (_, index) => creation(index, 0));
    expect(seen(bare).map(({ peers }) => peers)).toEqual([32, 32, 6]);
    expect(seen([creation(1, 600)]).map(({ allowedIPs }) => allowedIPs)).toEqual([256, 256, 88]);
  });

  it("is no message at all when it is empty", () => {
    expect(setDevice(INDEX, { peers: [] })).toEqual([]);
  });

  it("takes a preshared key away with a key of zeros, and leaves it without a word of it", () => {
    const kernel = kernelWith({ ...EMPTY, peers: [{ ...quiet(1), presharedKey: secret(1) }] });
    const alter = { publicKey: key(1), isNew: false, addAllowedIPs: [] };
    apply(kernel, { peers: [{ ...alter, persistentKeepalive: 25 }] });
    expect(read(kernel).peers[0]?.presharedKey).toBeDefined();
    apply(kernel, { peers: [{ ...alter, presharedKey: "none" }] });
    expect(read(kernel).peers[0]?.presharedKey).toBeUndefined();
    expect(read(kernel).peers[0]?.persistentKeepalive).toBe(25);
  });

  it("does not make a peer anew that vanished before it was altered, nor the rest of one with many allowed IPs", () => {
    const kernel = new ModelKernel(INDEX);
    apply(kernel, { peers: [{ ...creation(1, 600), isNew: false }] });
    expect(kernel.peers.size).toBe(0);
    const [first, ...others] = setDevice(INDEX, { peers: [creation(1, 600)] });
    if (first !== undefined) kernel.set(bodyOf(first));
    kernel.peers.clear();
    for (const command of others) kernel.set(bodyOf(command));
    expect(kernel.peers.size).toBe(0);
  });

  it("has the endpoint as the socket address that the kernel wants", () => {
    const kernel = new ModelKernel(INDEX);
    const changes = [endpoint("198.51.100.7", 51_820), endpoint("2001:db8::1:2", 1)].map(
      (one, index): PeerChange => ({ publicKey: key(index), isNew: true, endpoint: one, addAllowedIPs: [] }),
    );
    apply(kernel, { peers: changes });
    expect([...kernel.peers.values()].map((one) => one.endpoint)).toEqual([
      "0200ca6cc63364070000000000000000",
      "0a0000010000000020010db800000000000000000001000200000000",
    ]);
  });
});

describe("a device that is read", () => {
  it("is one list, however its messages are cut", () => {
    fc.assert(
      fc.property(states, fc.integer({ min: 1, max: 20 }), (state, most) => {
        expect(text(read(kernelWith(state), most))).toEqual(text(state));
      }),
    );
  });

  it("is asked for by the index of its link", () => {
    const { command, attributes } = getDevice(INDEX);
    expect(command).toBe(GET_DEVICE);
    expect(hex(Buffer.concat(attributes))).toBe("0800010004030201");
  });

  it("has no endpoint for a peer whose address has a zone, or is of no family that we know", () => {
    const zoned = endpoint("fe80::1", 51_820);
    const kernel = kernelWith({ ...EMPTY, peers: [{ ...quiet(1), endpoint: zoned }, quiet(2)] });
    expect(read(kernel).peers[0]?.endpoint).toEqual(zoned);
    const [first, second] = [...kernel.peers.values()];
    if (first !== undefined) first.endpoint = first.endpoint.replace(/00000000$/, "02000000");
    if (second !== undefined) second.endpoint = "00".repeat(16);
    expect(read(kernel).peers.map((one) => one.endpoint)).toEqual([undefined, undefined]);
  });

  it("keeps counters beyond 32 bits, and the time of the handshake to the millisecond", () => {
    const kernel = kernelWith({ ...EMPTY, peers: [{ ...quiet(1), receivedBytes: 2 ** 40 + 1, sentBytes: 2 ** 33 }] });
    const [only] = [...kernel.peers.values()];
    if (only !== undefined) Object.assign(only, { handshake: 1_795_255_200_123_456_789n });
    expect(read(kernel).peers[0]).toMatchObject({
      receivedBytes: 2 ** 40 + 1,
      sentBytes: 2 ** 33,
      latestHandshake: 1_795_255_200_123,
    });
  });

  it("has no secret in the error when the kernel sent what it never sends", () => {
    const kernel = kernelWith({ ...EMPTY, privateKey: secret(1), peers: [{ ...quiet(1), presharedKey: secret(2) }] });
    const [message = Buffer.alloc(0)] = kernel.get(1);
    for (let length = 1; length < message.length; length += 1) {
      try {
        deviceState([parseAttributes(message.subarray(0, length))]);
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
        expect(String(error)).not.toMatch(/[\da-z+/]{20}/i);
      }
    }
  });
});

const EMPTY: DeviceState = { listenPort: 0, fwmark: 0, peers: [] };

/** What no expectation is equal to. */
const FAIL: DeviceState = { ...EMPTY, fwmark: -1 };

/** A peer that nothing was heard of. */
function quiet(index: number): PeerState {
  return { ...peer(index), receivedBytes: 0, sentBytes: 0 };
}
