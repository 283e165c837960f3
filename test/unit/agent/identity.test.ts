import { execFileSync } from "node:child_process";
import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, verify } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ipsecKeys, nextKeyFile, wireguardKeys } from "../../../src/agent/identity.ts";
import { OwnIdentity } from "../../../src/agent/own-identity.ts";
import { Code } from "../../../src/fault.ts";
import { config } from "./fakes.ts";

let directory: string;
beforeEach(() => {
  directory = join(mkdtempSync(join(tmpdir(), "podvpn-identity-")), "mesh");
});
afterEach(() => rmSync(join(directory, ".."), { recursive: true }));

const mode = (path: string) => (statSync(path).mode & 0o7777).toString(8);

describe.each([
  ["WireGuard", wireguardKeys, "wireguard.key"],
  ["IPsec", ipsecKeys, "ipsec.key"],
] as const)("the %s key of a node", (_, keys, name) => {
  test("is made once, for root alone, and stays", async () => {
    const path = join(directory, name);
    const made = await keys.ensure(path);
    expect([mode(directory), mode(path)]).toEqual(["700", "600"]);
    const text = readFileSync(path, "utf8");
    expect((await keys.ensure(path)).publicKey).toBe(made.publicKey);
    expect((await keys.read(path))?.publicKey).toBe(made.publicKey);
    expect(readFileSync(path, "utf8")).toBe(text);
    expect(readdirSync(directory)).toEqual([name]);
  });

  test("is the same for two that make it at the same time", async () => {
    const path = join(directory, name);
    const made = await Promise.all(Array.from({ length: 5 }, () => keys.ensure(path)));
    expect(new Set(made.map(({ publicKey }) => publicKey)).size).toBe(1);
  });

  test.each([
    ["empty", ""],
    ["cut off", "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2Vw\n"],
    ["of another kind", "nonsense that must not be shown"],
  ])("that is %s is refused and not replaced, and never shown", async (_what, text) => {
    const path = join(directory, name);
    mkdirSync(directory);
    writeFileSync(path, text, { mode: 0o600 });
    const failed = await keys.ensure(path).catch((error: unknown) => error);
    expect(failed).toMatchObject({
      code: Code.invalidConfig,
      what: expect.stringContaining(`${keys.field} is "${path}"`),
    });
    if (text !== "") expect(String(failed)).not.toContain(text.slice(0, 20));
    expect(readFileSync(path, "utf8")).toBe(text);
  });

  test("that others can read is refused", async () => {
    const path = join(directory, name);
    await keys.ensure(path);
    chmodSync(path, 0o640);
    await expect(keys.ensure(path)).rejects.toMatchObject({ remedy: "close it, with chmod 600" });
  });

  test("is not there before it is made", async () => {
    expect(await keys.read(join(directory, name))).toBeUndefined();
  });
});

test("the IPsec key is an ed25519 key, as openssl(1) knows it, in PEM or DER", async () => {
  const path = join(directory, "ipsec.key");
  const { privateKey, publicKey } = await ipsecKeys.ensure(path);
  expect(execFileSync("openssl", ["pkey", "-in", path, "-noout", "-text"]).toString()).toContain("ED25519");
  const spki = execFileSync("openssl", ["pkey", "-in", path, "-pubout", "-outform", "DER"]).toString("base64");
  expect(publicKey).toBe(spki);
  const secret = createPrivateKey({ key: Buffer.from(privateKey.reveal()), format: "der", type: "pkcs8" });
  const known = createPublicKey({ key: Buffer.from(publicKey, "base64"), format: "der", type: "spki" });
  expect(verify(null, Buffer.from("x"), known, sign(null, Buffer.from("x"), secret))).toBe(true);
  writeFileSync(path, privateKey.reveal());
  expect((await ipsecKeys.read(path))?.publicKey).toBe(publicKey);
});

test("a key of another algorithm is no IPsec key", async () => {
  const path = join(directory, "ipsec.key");
  mkdirSync(directory);
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  writeFileSync(path, privateKey.export({ format: "pem", type: "pkcs8" }), { mode: 0o600 });
  await expect(ipsecKeys.ensure(path)).rejects.toMatchObject({ what: expect.stringContaining("ed25519") });
});

describe("the identity of a node", () => {
  const both = () =>
    config({
      drivers: ["wireguard", "ipsec"],
      wireguard: { privateKeyFile: join(directory, "wireguard.key") },
      ipsec: { privateKeyFile: join(directory, "ipsec.key") },
    });

  test("has a key for each driver that has keys", async () => {
    const { publicKeys } = await OwnIdentity.ensure(both());
    expect(Object.keys(publicKeys)).toEqual(["wireguard", "ipsec"]);
    expect(readdirSync(directory).sort()).toEqual(["ipsec.key", "wireguard.key"]);
  });

  test("gets next keys, which become the keys, or are withdrawn", async () => {
    const identity = await OwnIdentity.ensure(both());
    const before = identity.publicKeys;
    await identity.makeNext();
    const next = identity.publicKeys;
    expect(next).toMatchObject(before);
    expect(readdirSync(directory).sort()).toEqual([
      "ipsec.key",
      "ipsec.next.key",
      "wireguard.key",
      "wireguard.next.key",
    ]);
    expect((await OwnIdentity.ensure(both())).publicKeys).toEqual(next); // an agent that was killed goes on with them
    identity.promote();
    expect(identity.publicKeys).toEqual({ wireguard: next.nextWireguard, ipsec: next.nextIpsec });
    expect((await OwnIdentity.ensure(both())).publicKeys).toEqual(identity.publicKeys);
    await identity.makeNext();
    identity.withdraw();
    expect((await OwnIdentity.ensure(both())).publicKeys).toEqual({
      wireguard: next.nextWireguard,
      ipsec: next.nextIpsec,
    });
  });

  test("holds next keys of IPsec back that it has just made, and none that it finds", async () => {
    const identity = await OwnIdentity.ensure(both());
    expect(identity.isHeldBack).toBe(false);
    await identity.makeNext();
    expect(identity.isHeldBack).toBe(true);
    expect((await OwnIdentity.ensure(both())).isHeldBack).toBe(false); // tunnels may go by them already
    identity.use();
    expect(identity.isHeldBack).toBe(false);
  });

  test("is known by the keys of a driver that the configuration does not have any more", async () => {
    const { publicKeys } = await OwnIdentity.ensure(both());
    const alone = (driver: "wireguard" | "ipsec") => OwnIdentity.ensure({ ...both(), drivers: [driver] });
    expect([...(await alone("wireguard")).knownKeys].sort()).toEqual(Object.values(publicKeys).sort());
    expect((await alone("ipsec")).publicKeys).toEqual({ ipsec: publicKeys.ipsec });
    expect([...(await alone("ipsec")).knownKeys].sort()).toEqual(Object.values(publicKeys).sort());
    writeFileSync(join(directory, "wireguard.key"), "damaged");
    expect([...(await alone("ipsec")).knownKeys]).toEqual([publicKeys.ipsec]);
  });

  test("keeps the next key beside the key", () => {
    expect(nextKeyFile("/a/wireguard.key")).toBe("/a/wireguard.next.key");
    expect(nextKeyFile("/a/other")).toBe("/a/other.next");
  });
});
