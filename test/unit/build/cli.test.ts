import { describe, expect, test } from "vitest";
import { type Command, type CommandModule, UsageError } from "../../../src/cli/command.ts";
import { commands } from "../../../src/cli/commands.ts";
import { main } from "../../../src/cli/main.ts";
import { Code, Fault } from "../../../src/fault.ts";
import { programOf } from "../../../src/programs.ts";

async function call(args: string[], table?: readonly Command[]) {
  const said = { stdout: "", stderr: "" };
  const terminal = {
    stdout: (text: string) => {
      said.stdout += text;
    },
    stderr: (text: string) => {
      said.stderr += text;
    },
  };
  return { status: await main(args, terminal, table ?? commands), ...said };
}

function command(run: CommandModule["run"]): Command[] {
  return [{ name: "work", summary: "works", load: async () => ({ help: "Usage: podvpn work\n", forms: [], run }) }];
}

describe("podvpn", () => {
  test("prints its help within 80 columns, and a line for each command", async () => {
    const { stdout, status } = await call(["--help"]);
    expect(status).toBe(0);
    expect(Math.max(...stdout.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80);
    for (const { name } of commands) expect(stdout).toMatch(new RegExp(`^  ${name} +\\S`, "m"));
  });

  test.each(commands.map(({ name }) => name))("%s prints its help within 80 columns", async (name) => {
    const { stdout, status } = await call([name, "--help"]);
    expect(status).toBe(0);
    expect(stdout).toMatch(new RegExp(`^Usage: podvpn ${name}`));
    expect(Math.max(...stdout.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80);
    expect((await call(["help", name])).stdout).toBe(stdout);
  });

  test("without a command prints its help on standard error", async () => {
    expect(await call([])).toMatchObject({ status: 2, stdout: "", stderr: expect.stringContaining("Usage:") });
  });

  test("suggests the command that was meant", async () => {
    expect(await call(["instal"])).toEqual({
      status: 2,
      stdout: "",
      stderr: 'podvpn: there is no command "instal"\ndid you mean "podvpn install"?\n',
    });
  });

  test("names all commands when none is near", async () => {
    const { stderr } = await call(["xyzzy"]);
    for (const { name } of commands) expect(stderr).toContain(name);
  });

  test("prints a fault as what is wrong and what to do", async () => {
    const table = command(async () => {
      throw new Fault(Code.io, "/x: ENOSPC", "free space", { details: "last line" });
    });
    expect(await call(["work"], table)).toEqual({
      status: 1,
      stdout: "",
      stderr: "podvpn work: /x: ENOSPC\nfree space\nlast line\n",
    });
  });

  test("refuses an option that it does not know", async () => {
    const { status, stderr } = await call(["version", "--nonsense"]);
    expect({ status, stderr }).toEqual({
      status: 2,
      stderr: "podvpn version: Unknown option '--nonsense'\nsee \"podvpn version --help\"\n",
    });
  });

  test("takes a command's own complaint about its arguments for wrong usage", async () => {
    const table = command(async () => {
      throw new UsageError("give a file");
    });
    expect(await call(["work"], table)).toMatchObject({ status: 2, stderr: expect.stringContaining("give a file") });
  });

  test("passes the arguments on and the exit status back", async () => {
    const seen: string[][] = [];
    const table = command(async (args) => {
      seen.push([...args]);
      return 7;
    });
    expect(await call(["work", "a", "--b"], table)).toEqual({ status: 7, stdout: "", stderr: "" });
    expect(seen).toEqual([["a", "--b"]]);
  });

  test("does not swallow an error that is nobody's fault", async () => {
    const table = command(async () => {
      throw new RangeError("a bug");
    });
    await expect(call(["work"], table)).rejects.toThrow("a bug");
  });
});

test.each([
  ["/opt/cni/bin/strongswan", "strongswan"],
  ["strongswan", "strongswan"],
  ["./podvpn", "podvpn"],
  ["/usr/bin/node", undefined],
  ["", undefined],
])("argv[0] %j picks the program %j", (argv0, expected) => {
  expect(programOf(argv0)).toBe(expected);
});
