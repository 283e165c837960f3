import { generateKeyPairSync } from "node:crypto";
import type { Vici } from "vici";
import { describe, expect, test } from "vitest";
import {
  authenticationWith,
  GivenCredentials,
  type IpsecCredentials,
  keyId,
} from "../../../../src/agent/ipsec/credentials.ts";
import type { FittingTunnel } from "../../../../src/agent/ipsec/fitting.ts";
import { Secret } from "../../../../src/secret.ts";
import { peer } from "../support.ts";

function keyPair() {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  return {
    privateKey: new Secret(privateKey.export({ format: "der", type: "pkcs8" })),
    publicKey: publicKey.export({ format: "der", type: "spki" }).toString("base64"),
  };
}

function tunnel(index: number, nextPublicKey?: string): FittingTunnel {
  const ipsec = { identity: `n${index}.example`, publicKey: `key ${index}`, ...(nextPublicKey && { nextPublicKey }) };
  return { peer: peer(index), ipsec, local: [], remote: [] };
}

/** A charon that remembers what it was told. */
function charon(keys: readonly string[] = []) {
  const told: string[] = [];
  const vici = {
    getKeys: async () => [...keys],
    loadKey: async () => told.push("key"),
    loadCert: async ({ flag }: { flag: string }) => told.push(`certificate ${flag}`),
    loadShared: async ({ id, owners }: { id: string; owners: string[] }) => told.push(`${id} of ${owners.join()}`),
  };
  return { told, vici: vici as unknown as Vici };
}

describe("what a node proves, and what a peer has to", () => {
  const [key, next] = [keyPair(), keyPair()];

  test("is the next key of either as soon as there is one; the peer's current one will do as well", () => {
    expect(authenticationWith({ by: "key", key }, tunnel(2))).toEqual({
      by: "key",
      own: key.publicKey,
      peer: ["key 2"],
    });
    expect(authenticationWith({ by: "key", key, next }, tunnel(2, "next 2"))).toEqual({
      by: "key",
      own: next.publicKey,
      peer: ["next 2", "key 2"],
    });
  });
});

describe("credentials given to charon", () => {
  test("are given once, and again when they have changed or charon has forgotten", async () => {
    const { told, vici } = charon();
    const given = new GivenCredentials();
    const credentials: IpsecCredentials = { by: "key", key: keyPair() };
    await given.give(vici, credentials, []);
    await given.give(vici, credentials, []);
    expect(told).toEqual(["key"]);
    await given.give(vici, { by: "key", key: keyPair() }, []);
    expect(told).toEqual(["key", "key"]);
    given.forget();
    await given.give(vici, credentials, []);
    expect(told).toEqual(["key", "key", "key"]);
  });

  test("a key that charon has from an agent before is not given at all", async () => {
    const key = keyPair();
    const { told, vici } = charon([keyId(key.publicKey)]);
    await new GivenCredentials().give(vici, { by: "key", key }, []);
    expect(told).toEqual([]);
  });

  test("each peer's PSK belongs to that peer alone: else any of them would prove any peer", async () => {
    const { told, vici } = charon();
    const psk = (name: string) => (name === "n3" ? undefined : new Secret(Buffer.from(`of ${name}`)));
    await new GivenCredentials().give(vici, { by: "psk", psk }, [tunnel(2), tunnel(3), tunnel(4)]);
    expect(told).toEqual(["mesh n2 of n2.example", "mesh n4 of n4.example"]);
  });

  test("with certificates the authorities come first", async () => {
    const { told, vici } = charon();
    const bytes = Buffer.from("PEM");
    const credentials: IpsecCredentials = {
      by: "x509",
      certificate: bytes,
      privateKey: new Secret(bytes),
      authorities: [bytes, bytes],
    };
    await new GivenCredentials().give(vici, credentials, []);
    expect(told).toEqual(["certificate CA", "certificate CA", "key"]);
  });
});
