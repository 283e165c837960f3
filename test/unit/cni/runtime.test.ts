import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Runtime, RuntimeError } from "../../../src/cni/runtime.ts";
import { run } from "../../../src/os/process.ts";
import { ScriptPlugins } from "./script-plugin.ts";

let plugins: ScriptPlugins;
let cacheDir: string;
let runtime: Runtime;
beforeEach(() => {
  plugins = new ScriptPlugins();
  cacheDir = join(plugins.directory, "cache");
  runtime = new Runtime({ path: [plugins.directory], cacheDir });
  plugins.add("one", printing("10.1.2.2/24"));
  plugins.add("two", printing("10.173.0.5/32"));
});
afterEach(() => plugins[Symbol.dispose]());

/** A plugin that prints `address` as its result, in the version that it is asked for. */
function printing(address: string): string {
  return `version=$(printf '%s' "$config" | sed 's/.*"cniVersion":"\\([^"]*\\)".*/\\1/')
[ "$CNI_COMMAND" != ADD ] || echo "{\\"cniVersion\\":\\"$version\\",\\"ips\\":[{\\"address\\":\\"${address}\\"}]}"`;
}

const failing = (code: number) => `echo '{"code":${code},"msg":"refused","details":"why"}'; exit 1`;

const LIST = { cniVersion: "1.1.0", name: "net", plugins: [{ type: "one" }, { type: "two" }] };
const ATTACHMENT = { containerID: "c1", netns: "/run/netns/c1", ifname: "eth0", args: { K8S_POD_NAME: "web", A: "b" } };
const CACHED = { cniVersion: "1.1.0", ips: [{ address: "10.173.0.5/32" }] };

function called(): string[] {
  return plugins.calls().map(({ env }) => `${env.TYPE} ${env.CNI_COMMAND}`);
}

describe("Runtime", () => {
  it("ADD calls the plugins in order, each with the result of the one before, and gives the last result", async () => {
    expect(await runtime.add(LIST, ATTACHMENT)).toEqual({ interfaces: [], ips: CACHED.ips, routes: [] });
    expect(called()).toEqual(["one ADD", "two ADD"]);
    const [one, two] = plugins.calls();
    expect(one).toMatchObject({
      env: {
        CNI_CONTAINERID: "c1",
        CNI_NETNS: "/run/netns/c1",
        CNI_IFNAME: "eth0",
        CNI_ARGS: "K8S_POD_NAME=web;A=b",
        CNI_PATH: plugins.directory,
      },
      config: { type: "one", name: "net", cniVersion: "1.1.0" },
    });
    expect(one?.config).not.toHaveProperty("prevResult");
    expect(two?.config.prevResult).toEqual({ cniVersion: "1.1.0", ips: [{ address: "10.1.2.2/24" }] });
  });

  it("ADD caches the result where libcni does, in its format", async () => {
    await runtime.add(LIST, ATTACHMENT);
    const file = JSON.parse(readFileSync(join(cacheDir, "results/net-c1-eth0"), "utf8"));
    expect(file).toEqual({
      kind: "cniCacheV1",
      containerId: "c1",
      config: Buffer.from(JSON.stringify(LIST)).toString("base64"),
      ifName: "eth0",
      networkName: "net",
      netns: "/run/netns/c1",
      cniArgs: [
        ["K8S_POD_NAME", "web"],
        ["A", "b"],
      ],
      result: CACHED,
    });
    expect(runtime.cachedResult(LIST, ATTACHMENT)).toEqual(CACHED);
  });

  it("CHECK and DEL get the cached result, DEL in reverse order, and the cache is emptied", async () => {
    await runtime.add(LIST, ATTACHMENT);
    await runtime.check(LIST, ATTACHMENT);
    await runtime.del(LIST, ATTACHMENT);
    expect(called().slice(2)).toEqual(["one CHECK", "two CHECK", "two DEL", "one DEL"]);
    for (const { config } of plugins.calls().slice(2)) expect(config.prevResult).toEqual(CACHED);
    expect(readdirSync(join(cacheDir, "results"))).toEqual([]);
  });

  it("passes the cached result in the version that the configuration has now", async () => {
    await runtime.add(LIST, ATTACHMENT);
    await runtime.check({ ...LIST, cniVersion: "0.4.0" }, ATTACHMENT);
    expect(plugins.calls().at(-1)?.config.prevResult).toEqual({
      cniVersion: "0.4.0",
      ips: [{ version: "4", address: "10.173.0.5/32" }],
    });
  });

  it.each(["0.1.0", "0.3.1"])("in %s DEL gets no result and CHECK does not exist", async (cniVersion) => {
    const old = { ...LIST, cniVersion };
    plugins.add("one", "[ $CNI_COMMAND != ADD ] || echo '{}'");
    plugins.add("two", "[ $CNI_COMMAND != ADD ] || echo '{}'");
    await runtime.add(old, ATTACHMENT);
    await expect(runtime.check(old, ATTACHMENT)).rejects.toThrow(expect.objectContaining({ code: 1 }));
    await runtime.del(old, ATTACHMENT);
    expect(called().slice(2)).toEqual(["two DEL", "one DEL"]);
    expect(plugins.calls().at(-1)?.config).not.toHaveProperty("prevResult");
  });

  it("DEL without ADD, twice, and with a broken cache calls the plugins all the same", async () => {
    await runtime.del(LIST, ATTACHMENT);
    await runtime.add(LIST, ATTACHMENT);
    writeFileSync(join(cacheDir, "results/net-c1-eth0"), "");
    await runtime.del(LIST, ATTACHMENT);
    await runtime.del(LIST, ATTACHMENT);
    expect(called().filter((call) => call.endsWith("DEL"))).toHaveLength(6);
  });

  it("does not CHECK what says disableCheck", async () => {
    await runtime.add(LIST, ATTACHMENT);
    await runtime.check({ ...LIST, disableCheck: true }, ATTACHMENT);
    expect(called()).toEqual(["one ADD", "two ADD"]);
  });

  it("ends ADD at the first plugin that fails and says which it was", async () => {
    plugins.add("one", failing(7));
    const failed = await runtime.add(LIST, ATTACHMENT).catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(RuntimeError);
    expect(failed).toMatchObject({ plugin: "one", code: 7, msg: "refused", details: "why" });
    expect(called()).toEqual(["one ADD"]);
    expect(existsSync(join(cacheDir, "results/net-c1-eth0"))).toBe(false);
  });

  it("keeps the cached result when DEL fails: it is needed again", async () => {
    await runtime.add(LIST, ATTACHMENT);
    plugins.add("one", failing(5));
    await expect(runtime.del(LIST, ATTACHMENT)).rejects.toThrow("plugin one: refused; why");
    expect(runtime.cachedResult(LIST, ATTACHMENT)).toEqual(CACHED);
  });

  it("reports a plugin that is missing or breaks off like one that fails", async () => {
    plugins.add("one", "kill -KILL $$");
    await expect(runtime.add(LIST, ATTACHMENT)).rejects.toThrow(
      expect.objectContaining({
        name: "RuntimeError",
        plugin: "one",
        code: 100,
        msg: expect.stringContaining("SIGKILL"),
      }),
    );
    await expect(runtime.add({ ...LIST, plugins: [{ type: "none" }] }, ATTACHMENT)).rejects.toThrow(
      expect.objectContaining({ name: "RuntimeError", plugin: "none", code: 100 }),
    );
  });

  it.each([
    [{ ...ATTACHMENT, containerID: "../c" }, "CNI_CONTAINERID"],
    [{ ...ATTACHMENT, ifname: "a/b" }, "CNI_IFNAME"],
  ])("calls no plugin for an illegal attachment", async (attachment, message) => {
    await expect(runtime.add(LIST, attachment)).rejects.toThrow(message);
    await expect(runtime.del(LIST, attachment)).rejects.toThrow(message);
    expect(called()).toEqual([]);
  });

  it("STATUS asks every plugin, without variables of a container, from 1.1.0 on", async () => {
    await runtime.status({ ...LIST, cniVersion: "1.0.0" });
    expect(called()).toEqual([]);
    await runtime.status(LIST);
    expect(called()).toEqual(["one STATUS", "two STATUS"]);
    plugins.add("one", failing(50));
    await expect(runtime.status(LIST)).rejects.toThrow(expect.objectContaining({ plugin: "one", code: 50 }));
  });

  it("GC deletes what is cached and not valid, then tells the plugins what is", async () => {
    const other = { ...ATTACHMENT, containerID: "c2" };
    for (const attachment of [ATTACHMENT, other]) await runtime.add(LIST, attachment);
    await runtime.add({ ...LIST, name: "elsewhere" }, ATTACHMENT);
    const before = called().length;
    const valid = [{ containerID: "c2", ifname: "eth0" }];
    await runtime.gc(LIST, valid);
    expect(called().slice(before)).toEqual(["two DEL", "one DEL", "one GC", "two GC"]);
    const [del, , gc] = plugins.calls().slice(before);
    expect(del?.env).toMatchObject({
      CNI_CONTAINERID: "c1",
      CNI_NETNS: "/run/netns/c1",
      CNI_ARGS: "K8S_POD_NAME=web;A=b",
    });
    expect(gc?.config["cni.dev/valid-attachments"]).toEqual(valid);
    expect(readdirSync(join(cacheDir, "results")).sort()).toEqual(["elsewhere-c1-eth0", "net-c2-eth0"]);
  });

  it("GC goes on when one plugin fails, and tells all failures", async () => {
    plugins.add("one", failing(5));
    plugins.add("two", failing(6));
    const failed = await runtime.gc(LIST, []).catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(AggregateError);
    expect(failed).toMatchObject({ errors: [{ plugin: "one" }, { plugin: "two" }] });
  });

  it("asks a plugin for its versions", async () => {
    plugins.add("one", `echo '{"cniVersion":"1.1.0","supportedVersions":["1.0.0"]}'`);
    expect(await runtime.version("one")).toEqual({ cniVersion: "1.1.0", supportedVersions: ["1.0.0"] });
  });

  it("runs the plugins by the runner that it is given", async () => {
    const files: string[] = [];
    const elsewhere = new Runtime({
      path: [plugins.directory],
      cacheDir,
      run: (file, args, options) => {
        files.push(file);
        return run("/usr/bin/env", [file, ...args], options);
      },
    });
    await elsewhere.add(LIST, ATTACHMENT);
    expect(files).toEqual([join(plugins.directory, "one"), join(plugins.directory, "two")]);
  });
});
