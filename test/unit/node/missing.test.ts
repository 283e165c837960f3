import { describe, expect, test } from "vitest";
import { type Prefix, parsePrefix } from "../../../src/net/prefix.ts";
import { describeChange } from "../../../src/node/missing.ts";
import { Secret } from "../../../src/secret.ts";
import type { PeerChange } from "../../../src/wireguard/device.ts";
import { type PublicKey, publicKeyFrom } from "../../../src/wireguard/key.ts";

const PEER = key(1);

describe("what CHECK says of a device that differs", () => {
  test("nothing, when nothing would be changed", () => {
    expect(describeChange({ peers: [] }, "podvpn0")).toEqual([]);
  });

  test("names key, port and mark, and never a key's secret half", () => {
    const privateKey = new Secret(new Uint8Array(32).fill(65));
    const words = describeChange({ privateKey, listenPort: 51820, fwmark: 7, peers: [] }, "podvpn0").join("\n");
    expect(words).toMatch(/private key of podvpn0/);
    expect(words).toMatch(/port 51820/);
    expect(words).toMatch(/fwmark of podvpn0 is not 7/);
    expect(words).not.toMatch(/AAAA|QUFB/);
  });

  test("tells a missing peer from one that nobody asked for", () => {
    const peers: PeerChange[] = [
      { publicKey: PEER, isNew: true, persistentKeepalive: 0, addAllowedIPs: [] },
      { publicKey: key(2), remove: true },
    ];
    expect(describeChange({ peers }, "podvpn0")).toEqual([
      `missing: peer ${PEER}`,
      `peer ${key(2)} is on the device, but not in the configuration`,
    ]);
  });

  test("names each thing in which a peer differs", () => {
    const change = { publicKey: PEER, isNew: false, persistentKeepalive: 25, presharedKey: "none" } as const;
    const [allowed = "", ...others] = describeChange(
      { peers: [{ ...change, addAllowedIPs: [prefix("10.1.2.0/24")] }] },
      "podvpn0",
    );
    expect(allowed).toBe(`peer ${PEER} does not have allowed IPs 10.1.2.0/24`);
    expect(others.join("\n")).toMatch(/preshared key\n.*keepalive/);
  });

  test("an endpoint alone is no fault: a peer may be anywhere", () => {
    const endpoint = { address: "10.9.0.2" as never, port: 51820 };
    expect(describeChange({ peers: [{ publicKey: PEER, isNew: false, endpoint, addAllowedIPs: [] }] }, "x")).toEqual(
      [],
    );
  });

  test("a peer that only takes allowed IPs away is no peer, but its allowed IPs are told", () => {
    const peers: PeerChange[] = [
      { publicKey: PEER, isNew: true, persistentKeepalive: 0, addAllowedIPs: [prefix("10.7.0.0/16")] },
      { publicKey: PEER, remove: true },
    ];
    expect(describeChange({ peers }, "podvpn0")).toEqual([
      "allowed IPs 10.7.0.0/16 are on the device, but not in the configuration",
    ]);
  });
});

function key(fill: number): PublicKey {
  return publicKeyFrom(new Uint8Array(32).fill(fill));
}

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new TypeError(text);
  return parsed;
}
