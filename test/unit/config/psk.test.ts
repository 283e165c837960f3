import { describe, expect, test } from "vitest";
import { parsePsk, parsePskFile } from "../../../src/config/psk.ts";
import type { SecretFile } from "../../../src/config/psk-file.ts";
import { Code, Fault } from "../../../src/fault.ts";
import { faultOf, parse, withVpn } from "./support.ts";

const bytes = (text: string) => new Uint8Array(Buffer.from(text));
const hex = (secret: { reveal(): Uint8Array } | undefined) => secret && Buffer.from(secret.reveal()).toString("hex");

describe("parsePsk, as swanctl writes keys", () => {
  test.each([
    ["ab", "6162"],
    [" a\n", "20610a"],
    ["ü", "c3bc"],
    ["0xC0ffee", "c0ffee"],
    ["0X00", "00"],
    ["0sFpZAZqEN6Ti9sqt4ZP5EWcqx", "16964066a10de938bdb2ab7864fe4459cab1"],
    ["0Sff8=", "7dff"],
    ["0sff8", "7dff"],
    ["0", "30"],
    ["x0c0", "78306330"],
  ])("%j is %s", (text, expected) => {
    expect(hex(parsePsk(text))).toBe(expected);
  });

  test.each(["", "0x", "0s", "0xabc", "0x0g", "0xab cd", "0sf", "0sff=", "0sf===", "0sff8=ff8=", "0sff8-"])(
    "%j is none",
    (text) => expect(parsePsk(text)).toBeUndefined(),
  );

  test("is as long as a value of VICI at most", () => {
    expect(parsePsk("x".repeat(65_535))?.reveal()).toHaveLength(65_535);
    expect(parsePsk("x".repeat(65_536))).toBeUndefined();
    expect(parsePsk("ü".repeat(40_000))).toBeUndefined();
  });
});

describe("parsePskFile", () => {
  test.each([
    ["key", "6b6579"],
    ["key\n", "6b6579"],
    ["key\r\n", "6b6579"],
    ["key\n\n", "6b65790a"],
    ["key ", "6b657920"],
    ["0xc0ffee\n", "c0ffee"],
  ])("%j holds %s", (text, expected) => {
    expect(hex(parsePskFile(bytes(text)))).toBe(expected);
  });

  test("takes bytes that are no text as they are", () => {
    expect(hex(parsePskFile(Uint8Array.of(0x30, 0x78, 0xff, 0x00, 0x0a)))).toBe("3078ff00");
  });

  test.each(["", "\n", "\r\n", "0xz\n"])("%j holds none", (text) => expect(parsePskFile(bytes(text))).toBeUndefined());
});

describe("vpn.pskFile", () => {
  const path = "/etc/podvpn/psk";
  const good: SecretFile = { uid: 0, mode: 0o100600, bytes: bytes("from-file\n") };
  const raw = withVpn({ PSK: undefined, pskFile: path });
  const reading = (file: SecretFile | undefined, euid = 0) => ({ euid, readSecretFile: () => file });

  test("is read once, by its path", () => {
    const paths: string[] = [];
    const config = parse(raw, {
      readSecretFile: (asked) => {
        paths.push(asked);
        return good;
      },
    });
    expect(Buffer.from(config.psk.reveal()).toString()).toBe("from-file");
    expect(paths).toEqual([path]);
  });

  test("may belong to whoever runs the plugin, and be read-only", () => {
    expect(hex(parse(raw, reading({ ...good, uid: 1000, mode: 0o100400 }, 1000)).psk)).toBe("66726f6d2d66696c65");
  });

  test.each<[string, SecretFile | undefined, string]>([
    ["is not there", undefined, "which does not exist"],
    ["is a directory", { ...good, mode: 0o040700, bytes: bytes("") }, "which is no regular file"],
    ["is a FIFO", { ...good, mode: 0o010600, bytes: bytes("") }, "which is no regular file"],
    ["belongs to somebody else", { ...good, uid: 1000 }, "which belongs to user 1000"],
    ["is open to all", { ...good, mode: 0o100644 }, "which others than its owner may use (mode 0644)"],
    ["is open to the group", { ...good, mode: 0o100640 }, "which others than its owner may use (mode 0640)"],
    ["can be written by others", { ...good, mode: 0o100602 }, "which others than its owner may use (mode 0602)"],
    ["is empty", { ...good, bytes: bytes("\n") }, "which holds no key"],
    ["holds wrong digits", { ...good, bytes: bytes("0xnothing") }, "which holds no key"],
  ])("is refused when it %s", (_name, file, why) => {
    const fault = faultOf(raw, reading(file));
    expect(fault.what).toBe(`vpn.pskFile is "${path}", ${why}`);
    expect(fault.message).not.toContain("nothing");
  });

  test("that cannot be read hides no other error", () => {
    const readSecretFile = () => {
      throw new Fault(Code.io, `${path}: EACCES`, "run as root");
    };
    const fault = faultOf(withVpn({ PSK: undefined, pskFile: path, mtu: 1 }), { readSecretFile });
    expect(fault.code).toBe(Code.invalidConfig);
    expect(fault.details?.split("\n")).toContain(`vpn.pskFile: ${path}: EACCES: run as root`);
    expect(fault.details?.split("\n")).toHaveLength(2);
  });

  test("is not opened when it is no absolute path, or beside a PSK", () => {
    const readSecretFile = () => {
      throw new Error("opened");
    };
    expect(faultOf(withVpn({ PSK: undefined, pskFile: "psk" }), { readSecretFile }).what).toContain("vpn.pskFile");
    expect(faultOf(withVpn({ pskFile: path }), { readSecretFile }).what).toContain("both");
  });
});
