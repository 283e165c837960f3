import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { readAgentConfig, watchConfig } from "../../../src/agent/config-file.ts";

let directory: string;
let file: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "podvpn-config-"));
  file = join(directory, "agent.yaml");
});
afterEach(() => rmSync(directory, { recursive: true }));

const soon = (check: () => void) => vi.waitFor(check, { timeout: 5000, interval: 10 });
const write = (text: string) => writeFileSync(file, text);

describe("the agent's configuration file", () => {
  test("is read with the host's name as a default", () => {
    write("name: n1\n");
    expect(readAgentConfig(file)).toMatchObject({ config: { name: "n1" }, text: "name: n1\n" });
  });

  test("that is not there, no YAML or wrong is a fault with the file's name", () => {
    expect(() => readAgentConfig(file)).toThrow(`${file} does not exist`);
    write("name: [\n");
    expect(() => readAgentConfig(file)).toThrow(/agent\.yaml:\d+ is not YAML/);
    write("nme: n1\nmtu: 7\n");
    expect(() => readAgentConfig(file)).toThrow(`${file} has 2 errors`);
  });

  test.each([
    ["written", () => write("name: n2\n")],
    [
      "replaced",
      () => {
        writeFileSync(`${file}.new`, "name: n2\n");
        renameSync(`${file}.new`, file);
      },
    ],
    [
      "reached by a link that is turned elsewhere, as with a ConfigMap",
      () => {
        symlinkSync("second", join(directory, "..data_tmp"));
        renameSync(join(directory, "..data_tmp"), join(directory, "..data"));
      },
    ],
  ])("is told of when it is %s, and several writes are one", async (_, change) => {
    for (const version of ["first", "second"]) mkdirSync(join(directory, version));
    symlinkSync("first", join(directory, "..data"));
    write("name: n1\n");
    const changed = vi.fn();
    using _watch = watchConfig(file, changed, (error) => {
      throw error;
    });
    await soon(() => {
      change();
      expect(changed).toHaveBeenCalled();
    });
  });

  test("is not told of for what else is in its directory", async () => {
    write("name: n1\n");
    const [changed, other] = [vi.fn(), vi.fn()];
    using _watch = watchConfig(file, changed, () => undefined);
    using _other = watchConfig(join(directory, "psk"), other, () => undefined);
    await soon(() => {
      writeFileSync(join(directory, "psk"), "x");
      expect(other).toHaveBeenCalled();
    });
    expect(changed).not.toHaveBeenCalled();
  });
});
