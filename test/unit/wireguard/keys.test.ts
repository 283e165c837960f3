import { execFile } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Secret } from "../../../src/secret.ts";
import { clamped, encodeKey, parsePublicKey } from "../../../src/wireguard/key.ts";
import {
  ensurePrivateKey,
  makePrivateKey,
  publicKeyOf,
  randomPublicKey,
  readPrivateKey,
  writePrivateKey,
} from "../../../src/wireguard/keys.ts";

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "podvpn-keys-"));
  path = join(directory, "wireguard", "podvpn0.key");
});
afterEach(() => rmSync(directory, { recursive: true }));

const base64 = (secret: Secret) => encodeKey(secret.reveal());
const FIELD = "wireguard.privateKeyFile";

/** Removes the file, and gives its path. */
function without(file: string): string {
  rmSync(file);
  return file;
}

function fault(code: number, message: string) {
  return expect.objectContaining({ name: "Fault", code, message: expect.stringContaining(message) });
}

describe("a public key", () => {
  it.each([
    [
      "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
      "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
    ],
    [
      "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
      "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
    ],
  ])("is that of RFC 7748 section 6.1: %s", async (secret, expected) => {
    const key = await publicKeyOf(new Secret(Buffer.from(secret, "hex")));
    expect(Buffer.from(key, "base64").toString("hex")).toBe(expected);
  });

  it("is the same for a private key that is not clamped", async () => {
    const key = await makePrivateKey();
    const raw = Uint8Array.from(key.reveal());
    raw[0] = (raw[0] ?? 0) | 0x07;
    raw[31] = (raw[31] ?? 0) | 0x80;
    expect(base64(clamped(new Secret(raw)))).toBe(base64(key));
    expect(await publicKeyOf(new Secret(raw))).toBe(await publicKeyOf(key));
  });

  it("that is random is a key, and another each time", () => {
    const [one, other] = [randomPublicKey(), randomPublicKey()];
    expect(parsePublicKey(one)).toBe(one);
    expect(one).not.toBe(other);
  });
});

describe("a new private key", () => {
  it("is clamped, and another each time", async () => {
    const [one, other] = [await makePrivateKey(), await makePrivateKey()];
    expect(base64(clamped(one))).toBe(base64(one));
    expect(base64(one)).not.toBe(base64(other));
  });

  it("is written for wg(8), closed to others, with the directories that are missing", async () => {
    const key = await makePrivateKey();
    expect(writePrivateKey(path, key)).toBe(true);
    expect(readFileSync(path, "utf8")).toBe(`${base64(key)}\n`);
    expect(statSync(path).mode & 0o7777).toBe(0o600);
    expect(statSync(join(directory, "wireguard")).mode & 0o7777).toBe(0o700);
  });

  it("is never written over anything, and leaves nothing beside it", async () => {
    const key = await makePrivateKey();
    writePrivateKey(path, key);
    expect(writePrivateKey(path, await makePrivateKey())).toBe(false);
    expect(readFileSync(path, "utf8")).toBe(`${base64(key)}\n`);
    expect(readdirSync(join(directory, "wireguard"))).toEqual(["podvpn0.key"]);
  });

  it("is not written through a link that points nowhere", async () => {
    mkdirSync(join(directory, "wireguard"));
    symlinkSync(join(directory, "elsewhere"), path);
    expect(writePrivateKey(path, await makePrivateKey())).toBe(false);
    expect(existsSync(join(directory, "elsewhere"))).toBe(false);
  });

  it("takes what a killed process left with it, and nothing else", async () => {
    mkdirSync(join(directory, "wireguard"));
    // 2^22 is the most that a pid can be, and a process with ours lives.
    for (const name of [`${path}.4194305.tmp`, `${path}.${process.ppid}.tmp`, `${path}.old`])
      writeFileSync(name, "secret");
    writePrivateKey(path, await makePrivateKey());
    expect(readdirSync(join(directory, "wireguard")).sort()).toEqual(
      ["podvpn0.key", `podvpn0.key.${process.ppid}.tmp`, "podvpn0.key.old"].sort(),
    );
  });
});

describe("ensurePrivateKey", () => {
  it("makes a key once, and then gives the same", async () => {
    const made = await ensurePrivateKey(FIELD, path);
    expect(base64(await ensurePrivateKey(FIELD, path))).toBe(base64(made));
    expect(readFileSync(path, "utf8")).toBe(`${base64(made)}\n`);
  });

  it("gives eight processes at once one key", async () => {
    const source = new URL("../../../src/wireguard", import.meta.url).href;
    const script = `
      import { ensurePrivateKey, publicKeyOf } from "${source}/keys.ts";
      process.stdout.write(await publicKeyOf(await ensurePrivateKey("field", ${JSON.stringify(path)})));`;
    const args = ["--experimental-transform-types", "--no-warnings", "--input-type=module", "-e", script];
    const runs = Array.from({ length: 8 }, () => promisify(execFile)(process.execPath, args));
    const keys = (await Promise.all(runs)).map(({ stdout }) => stdout);
    expect(new Set(keys).size).toBe(1);
    expect(keys[0]).toBe(await publicKeyOf(readPrivateKey(FIELD, path)));
    expect(readdirSync(join(directory, "wireguard"))).toEqual(["podvpn0.key"]);
  });

  it("leaves a file that holds no key as it is", async () => {
    mkdirSync(join(directory, "wireguard"));
    writeFileSync(path, "", { mode: 0o600 });
    await expect(ensurePrivateKey(FIELD, path)).rejects.toThrowError(fault(7, `${FIELD} is "${path}"`));
    expect(readFileSync(path, "utf8")).toBe("");
  });
});

describe("readPrivateKey", () => {
  beforeEach(async () => void (await ensurePrivateKey(FIELD, path)));

  it("gives a key that somebody wrote without clamping as a device keeps it", () => {
    const raw = new Secret(Buffer.alloc(32, 0xff));
    rmSync(path);
    writeFileSync(path, `${base64(raw)}\n`, { mode: 0o400 });
    expect(base64(readPrivateKey(FIELD, path))).toBe(base64(clamped(raw)));
  });

  const refusals: [string, () => void, string][] = [
    ["is not there", () => rmSync(path), "does not exist; make it with podvpn wg genkey"],
    ["others may read", () => chmodSync(path, 0o604), "(mode 0604); close it, with chmod 600"],
    ["the group may read", () => chmodSync(path, 0o640), "(mode 0640)"],
    ["is a directory", () => mkdirSync(without(path)), "no regular file"],
    ["is a device", () => symlinkSync("/dev/null", without(path)), "no regular file"],
    ["is empty", () => writeFileSync(path, ""), "does not hold a WireGuard private key"],
    ["has the key of zeros", () => writeFileSync(path, `${Buffer.alloc(32).toString("base64")}\n`), "does not hold"],
    ["has a short key", () => writeFileSync(path, `${Buffer.alloc(31, 1).toString("base64")}\n`), "does not hold"],
    ["has two keys", () => writeFileSync(path, readFileSync(path, "utf8").repeat(2)), "does not hold"],
    ["has hex", () => writeFileSync(path, "ab".repeat(32)), "does not hold"],
  ];
  // Only root can give a file away.
  if (process.geteuid?.() === 0) {
    refusals.push(["is another user's", () => chownSync(path, 12_345, 0), "belongs to user 12345; make it root's"]);
  }
  it.each(refusals)("refuses a file that %s, naming field, path and remedy", (_, spoil, message) => {
    spoil();
    const attempt = () => readPrivateKey(FIELD, path);
    expect(attempt).toThrowError(fault(7, `${FIELD} is "${path}", which `));
    expect(attempt).toThrowError(fault(7, message));
    expect(attempt).not.toThrowError(/AQEB|abab/);
  });
});
