import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { run } from "../../src/os/process.ts";

const SCRIPT = fileURLToPath(new URL("../../scripts/conformance.mjs", import.meta.url));
const EXAMPLE = fileURLToPath(new URL("examples/tuning.conflist", import.meta.url));

/** `npm run test:conformance -- …`, as somebody with a plugin of their own calls it. */
async function command(...args: string[]) {
  // Without what the vitest that runs this test has put there.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("VITEST")));
  const { code, stdout, stderr } = await run(process.execPath, [SCRIPT, ...args], { timeout: 110_000, env });
  const lines = stdout.toString().trimEnd().split("\n");
  return { code, last: lines.at(-1), output: `${lines.join("\n")}${stderr}` };
}

test("the command tests any plugin, and names the section of what it violates", async () => {
  const { code, last, output } = await command("--dir", "/usr/lib/cni", "--type", "tuning", "--conf", EXAMPLE);
  // libcni's own deviations, as no profile knows of them.
  expect(output).toMatch(/CNI 1\.0\.0, Section 2: VERSION: MUST: cniVersion is the one that it was asked in/);
  for (const id of ["version/echo", "parameters/container-id-illegal", "parameters/path-optional", "error/version"]) {
    expect(output).toContain(`[${id}]`);
  }
  expect(last).toMatch(/^\d+ passed, 4 failed$/);
  expect(code).toBe(1);
});

test.each([
  ["nothing but a type", ["--type", "tuning"], "--dir, --type and --conf are needed"],
  ["no such plugin", ["--dir", "/usr/lib/cni", "--type", "none", "--conf", EXAMPLE], "no executable /usr/lib/cni/none"],
  ["no such file", ["--dir", "/usr/lib/cni", "--type", "tuning", "--conf", "/no/such"], "There is no file /no/such"],
  ["no such version", ["--dir", "/d", "--type", "t", "--conf", EXAMPLE, "--version", "2"], "--version 2 is none of"],
  ["an unknown option", ["--verbose"], "Unknown option '--verbose'"],
])("the command refuses %s", async (_what, args, message) => {
  const { code, last, output } = await command(...args);
  expect(output).toContain(message);
  expect(last).toBe("0 passed, 1 failed");
  expect(code).toBe(1);
});
