import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import type { Command } from "../../../src/cli/command.ts";
import { commands } from "../../../src/cli/commands.ts";
import { bashCompletion } from "../../../src/cli/shells/bash.ts";
import { fishCompletion } from "../../../src/cli/shells/fish.ts";
import { commandSpecs } from "../../../src/cli/shells/spec.ts";
import { zshCompletion } from "../../../src/cli/shells/zsh.ts";
import { cli } from "./support/cli.ts";

let directory: string;
let script: string;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "podvpn-completion-"));
  script = join(directory, "podvpn.bash");
  writeFileSync(script, (await cli("completion", "bash")).stdout);
  mkdirSync(join(directory, "etc with space"));
  writeFileSync(join(directory, "etc.yaml"), "");
});
afterAll(() => rmSync(directory, { recursive: true }));

/** What bash offers for the last of these words. */
function offered(...words: readonly string[]): string[] {
  const program = `source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); $(complete -p podvpn | sed 's/.*-F \\([^ ]*\\).*/\\1/')
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = spawnSync("bash", ["--norc", "-c", program, "bash", script, "podvpn", ...words], {
    cwd: directory,
    encoding: "utf8",
  });
  expect(stderr).toBe("");
  return stdout.split("\n").filter((line) => line !== "");
}

describe("podvpn completion bash", () => {
  it("offers all commands, and those that begin as the word does", () => {
    const names = commands.map(({ name }) => name);
    expect(offered("").sort()).toEqual([...names, "help", "--help", "--version"].sort());
    expect(offered("sta")).toEqual(["status"]);
    expect(offered("help", "ho")).toEqual([]);
    expect(offered("help", "hu")).toEqual(["hub"]);
  });

  it("offers every option that a command takes, and --help", async () => {
    for (const { name, load } of commands) {
      for (const { word, options } of (await load()).forms) {
        const call = word === undefined ? [name] : [name, word];
        const all = [...Object.keys(options).map((option) => `--${option}`), "--help"];
        expect(offered(...call, "--").sort(), call.join(" ")).toEqual(all.sort());
      }
    }
  });

  it("offers the words behind a command, and the options of each", () => {
    expect(offered("wg", "")).toEqual(expect.arrayContaining(["genkey", "pubkey", "show"]));
    expect(offered("hub", "le")).toEqual(["leases"]);
    expect(offered("hub", "leases", "--j")).toEqual(["--json"]);
    expect(offered("hub", "--j")).toEqual([]);
    expect(offered("demo", "wire")).toEqual(["wireguard"]);
    expect(offered("completion", "")).toEqual(expect.arrayContaining(["bash", "zsh", "fish"]));
  });

  it("offers what stands behind an option: files, directories, interfaces, one of a list", () => {
    expect(offered("agent", "--config", "etc").sort()).toEqual(["etc with space", "etc.yaml"]);
    expect(offered("graph", "--registry", "etc")).toEqual(["etc with space"]);
    expect(offered("capture", "--interface", "l")).toContain("lo");
    expect(offered("wg", "show", "l")).toContain("lo");
    expect(offered("graph", "--topology", "")).toEqual(["full", "site"]);
    expect(offered("capture", "--seconds", "")).toEqual([]);
  });

  it("knows an option by the value that is joined to it", () => {
    expect(offered("graph", "--topology", "=", "s")).toEqual(["site"]);
    expect(offered("graph", "--topology", "=")).toEqual(["full", "site"]);
  });

  it("works at a terminal, when TAB is pressed", () => {
    // The line is an argument of podvpn as far as readline is concerned.
    const shown = spawnSync("script", ["-qec", "bash --norc --noprofile -i", "/dev/null"], {
      cwd: directory,
      input: `source ${script}\npodvpn() { echo "called:$*"; }\npodvpn capt\t--inter\tlo --js\t\nexit\n`,
      encoding: "utf8",
      env: { ...process.env, TERM: "dumb", HISTFILE: "" },
      timeout: 20_000,
    });
    expect(shown.stdout).toContain("called:capture --interface lo --json");
  });
});

describe("podvpn completion", () => {
  test.each(["bash", "zsh", "fish"])("%s names every command and every option", async (shell) => {
    const { status, stdout, stderr } = await cli("completion", shell);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    for (const { name, load } of commands) {
      expect(stdout).toMatch(new RegExp(`\\b${name}\\b`));
      for (const option of (await load()).forms.flatMap(({ options }) => Object.keys(options))) {
        expect(stdout, `${name} --${option}`).toMatch(new RegExp(`(?:--|-l )${option}\\b`));
      }
    }
  });

  it("is made of what commands take: another option is in it at once", async () => {
    const table: Command[] = [
      {
        name: "work",
        summary: "it's [all]: done",
        load: async () => ({
          help: "Usage: podvpn work\n\nOptions:\n  --colour C  it's of [one]: many\n",
          forms: [{ options: { colour: { type: "string", value: ["red", "blue"], multiple: true } } }],
          run: async () => 0,
        }),
      },
    ];
    const specs = await commandSpecs(table);
    expect(bashCompletion(specs)).toContain('"work --colour") _podvpn_reply -W "red blue"; return ;;');
    expect(zshCompletion(specs)).toContain("'work:it'\\''s \\[all\\]\\: done'");
    expect(zshCompletion(specs)).toContain("'*--colour=[it'\\''s of \\[one\\]]:colour:(red blue)'");
    expect(fishCompletion(specs)).toContain(
      `-n '__podvpn_call "work"' -l colour -x -a 'red blue' -d 'it\\'s of [one]'`,
    );
  });

  it("refuses shells that it does not know, and more than one", async () => {
    for (const args of [[], ["csh"], ["bash", "zsh"]]) {
      const { status, stderr } = await cli("completion", ...args);
      expect({ status, stderr }).toMatchObject({ status: 2, stderr: expect.stringContaining("bash, zsh, fish") });
    }
  });
});
