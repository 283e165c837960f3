import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { commands } from "../../../src/cli/commands.ts";
import { cli } from "./support/cli.ts";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "podvpn-cli-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

describe("every command", () => {
  it("has help of at most 80 columns, and a summary of at most 60", async () => {
    for (const { name, summary } of commands) {
      const { status, stdout } = await cli(name, "--help");
      expect(status).toBe(0);
      expect(stdout).toMatch(/^Usage: podvpn /);
      expect(
        stdout.split("\n").filter((line) => line.length > 80),
        name,
      ).toEqual([]);
      expect(summary.length, name).toBeLessThanOrEqual(60);
    }
  });
});

describe("podvpn capture", () => {
  it("refuses arguments that it cannot use, each by name, before it looks at anything", async () => {
    for (const [args, what] of [
      [["--seconds", "0"], '--seconds is "0"'],
      [["--seconds", "ten"], '--seconds is "ten"'],
      [["--seconds", "86401"], "a whole number from 1 to 86400"],
      [["--prefix", "10.1.0.0"], '--prefix is "10.1.0.0"'],
      [["--prefix", "0.0.0.0/0"], "holds every address"],
      [["--prefix", "::/0"], "holds every address"],
      [["--port", "65536"], '--port is "65536"'],
      [["--every", "1"], "Unknown option '--every'"],
    ] as const) {
      const result = await cli("capture", ...args);
      expect(result, args.join(" ")).toMatchObject({ status: 2, stdout: "", stderr: expect.stringContaining(what) });
      expect(result.stderr).toContain('see "podvpn capture --help"');
    }
  });
});

describe("podvpn wg", () => {
  it("refuses words and combinations that there are not", async () => {
    for (const [args, what] of [
      [[], "genkey, pubkey or show"],
      [["psk"], 'there is no "psk"'],
      [["pubkey", "podvpn0"], '"podvpn0" is neither'],
      [["pubkey", "--file", "/f", "--interface", "podvpn0"], "exclude each other"],
      [["pubkey", "--file", "/f", "-"], "exclude each other"],
      [["show", "podvpn0", "podvpn1"], '"podvpn1" is one interface too many'],
    ] as const) {
      expect(await cli("wg", ...args), args.join(" ")).toMatchObject({
        status: 2,
        stdout: "",
        stderr: expect.stringContaining(what),
      });
    }
  });

  it("makes a key file with the directories that are missing, closed to others, and prints no private key", async () => {
    const file = join(directory, "a/b/node.key");
    const { status, stdout, stderr } = await cli("wg", "genkey", "--file", file);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toMatch(/^[A-Za-z0-9+/]{43}=\n$/);
    expect(statSync(file).mode & 0o7777).toBe(0o600);
    expect(statSync(join(directory, "a")).mode & 0o7777).toBe(0o700);
    expect(readFileSync(file, "utf8")).toMatch(/^[A-Za-z0-9+/]{43}=\n$/);
    expect(readFileSync(file, "utf8")).not.toBe(stdout);
    expect(await cli("wg", "pubkey", "--file", file)).toMatchObject({ status: 0, stdout });
  });
});
