import { chmodSync, closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { executePlugin, findPlugin, PluginFault } from "../../../src/cni/execute.ts";
import { ScriptPlugins } from "./script-plugin.ts";

let plugins: ScriptPlugins;
beforeEach(() => {
  plugins = new ScriptPlugins();
});
afterEach(() => plugins[Symbol.dispose]());

function fault(code: number, message: string) {
  return expect.objectContaining({ name: "Fault", code, message: expect.stringContaining(message) });
}

describe("findPlugin", () => {
  it("takes the first executable regular file, in the order of the directories", () => {
    const [one, two, three] = [plugins.mkdir("1"), plugins.mkdir("2"), plugins.mkdir("3")];
    mkdirSync(join(one, "bridge"));
    writeFileSync(join(two, "bridge"), "");
    chmodSync(join(two, "bridge"), 0o644);
    plugins.add("3/bridge", "");
    expect(findPlugin("bridge", ["/no/such/directory", one, two, three])).toBe(join(three, "bridge"));
    chmodSync(join(two, "bridge"), 0o755);
    expect(findPlugin("bridge", [one, two, three])).toBe(join(two, "bridge"));
  });

  it("names the type, the directories searched and the remedy when there is none", () => {
    expect(() => findPlugin("brigde", ["/a", "/b"])).toThrow(
      fault(100, 'no CNI plugin "brigde" in /a, /b; install it there (Debian: containernetworking-plugins'),
    );
    expect(() => findPlugin("bridge", [])).toThrow(
      fault(4, 'CNI_PATH is missing, in which the plugin "bridge" is looked for'),
    );
  });

  it.each(["", ".", "..", "../bridge", "/usr/lib/cni/bridge", "a/b"])("refuses the type %j", (type) => {
    expect(() => findPlugin(type, ["/usr/lib/cni"])).toThrow(fault(7, `the plugin type is "${type}"`));
  });
});

describe("executePlugin", () => {
  const call = (file: string, command: "ADD" | "DEL" | "VERSION" = "ADD") =>
    executePlugin(file, {
      command,
      env: { CNI_COMMAND: "CHECK", CNI_PATH: "/p" },
      config: { name: "n" },
      timeout: 10_000,
    });

  it("gives the plugin the whole environment, the command and the configuration", async () => {
    const file = plugins.add("p", 'echo \'{"cniVersion":"1.0.0"}\'');
    expect(await call(file)).toEqual({ cniVersion: "1.0.0" });
    expect(plugins.calls()).toEqual([
      { env: { CNI_COMMAND: "ADD", CNI_PATH: "/p", TYPE: "p" }, config: { name: "n" } },
    ]);
  });

  it("ignores what a DEL prints", async () => {
    expect(await call(plugins.add("p", "echo done"), "DEL")).toBeUndefined();
  });

  it("raises the plugin's CNI error with code, message and details verbatim", async () => {
    const file = plugins.add("p", `printf '%s' '{"code":11,"msg":"try; later","details":"a\\nb"}'; exit 1`);
    const failed = await call(file).catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(PluginFault);
    expect(failed).toMatchObject({ type: "p", code: 11, msg: "try; later", message: "try; later", details: "a\nb" });
  });

  it.each([
    ["garbage", "echo hello", "printed no JSON object as the result of ADD"],
    ["a list", "echo '[]'", "printed no JSON object as the result of ADD"],
    ["nothing", "", "printed no JSON object as the result of ADD"],
    [
      "a failure without a CNI error",
      "echo '{\"a\":1}'; exit 3",
      "ended with exit status 3 during ADD, without a CNI error",
    ],
    ["a death by signal", 'echo \'{"code":1,"msg":"half"}\'; kill -SEGV $$', "was killed by SIGSEGV during ADD"],
  ])("raises Fault 100 for %s", async (_, script, message) => {
    await expect(call(plugins.add("p", script))).rejects.toThrow(fault(100, message));
  });

  it("keeps the last lines of standard error", async () => {
    const failed = await call(plugins.add("p", "seq 1 100 >&2; exit 2")).catch((error: unknown) => error);
    expect(failed).toMatchObject({ details: Array.from({ length: 20 }, (_, i) => String(81 + i)).join("\n") });
  });

  it("hands on what the plugin wrote to standard error, whether or not it failed; nothing when that is nothing", async () => {
    const told: string[] = [];
    const options = {
      command: "DEL",
      env: {},
      config: {},
      timeout: 10_000,
      onStderr: (text: string) => told.push(text),
    } as const;
    await executePlugin(plugins.add("p", "echo a word >&2"), options);
    await executePlugin(plugins.add("q", "echo a last word >&2; exit 2"), options).catch(() => undefined);
    await executePlugin(plugins.add("r", ""), options);
    expect(told).toEqual(["a word\n", "a last word\n"]);
  });

  it("lets the plugin inherit file descriptors: a lock outlives us", async () => {
    const lock = join(plugins.directory, "lock");
    const fd = openSync(lock, "w");
    try {
      const file = plugins.add("p", "echo inherited >&3; echo '{}'");
      await executePlugin(file, { command: "ADD", env: process.env, config: {}, timeout: 10_000, inheritFds: [fd] });
    } finally {
      closeSync(fd);
    }
    expect(readFileSync(lock, "utf8")).toBe("inherited\n");
  });
});
