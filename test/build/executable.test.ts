import { spawnSync } from "node:child_process";
import { copyFileSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { call, DIST, Installation, ROOT } from "./support/executable.ts";

const installation = new Installation();
afterAll(() => installation[Symbol.dispose]());

const node = join(ROOT, "node_modules/.bin/node");
const VERSION = { CNI_COMMAND: "VERSION" };

describe("the executable", () => {
  test("answers VERSION with nothing on standard error: V8 takes the code cache, Node has nothing to warn of", () => {
    const { status, stdout, stderr } = call(installation.strongswan, [], VERSION, '{"cniVersion":"1.0.0"}');
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(JSON.parse(stdout)).toEqual({
      cniVersion: "1.0.0",
      supportedVersions: ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"],
    });
  });

  test("is picked by name through a symbolic link and as a copy, too", () => {
    const link = join(installation.directory, "links");
    spawnSync("mkdir", [link]);
    symlinkSync(installation.podvpn, join(link, "strongswan"));
    expect(call(join(link, "strongswan"), [], VERSION, "{}").status).toBe(0);
    const copy = join(link, "podvpn");
    copyFileSync(installation.strongswan, copy);
    expect(call(copy, ["version"])).toMatchObject({ status: 0, stdout: expect.stringMatching(/^podvpn \d/) });
  });

  test("runs a plugin from its code cache: V8 takes it", () => {
    const trace = join(installation.directory, "trace");
    expect(call(installation.strongswan, [], { CNI_COMMAND: "ADD", PODVPN_TRACE: trace }, "{}").status).toBe(1);
    expect(readFileSync(trace, "utf8")).toMatch(/ code cache of strongswan accepted\n/);
  });

  test("refuses a configuration without unpacking its native code", () => {
    const env = "CNI_COMMAND=ADD CNI_CONTAINERID=x CNI_NETNS=/x CNI_IFNAME=eth0 CNI_PATH=/x";
    const config = JSON.stringify({ cniVersion: "1.0.0", name: "x", type: "strongswan", vpn: {} });
    const { stdout } = installation.sandboxed(`echo '${config}' | ${env} strongswan || ls -A /var/lib /run`);
    expect(stdout).toMatch(/"code":7,[\s\S]*\}\n\/run:\n\n\/var\/lib:\n$/);
  });

  test("called as a plugin by hand, says what it is", () => {
    const { status, stdout, stderr } = call(installation.strongswan, []);
    expect({ status, stdout }).toEqual({ status: 0, stdout: "" });
    expect(stderr).toMatch(/^podvpn \d+\.\d+\.\d+: the CNI plugin strongswan\n/);
  });

  test("called by a runtime under a foreign name, answers with a CNI error", () => {
    const foreign = join(installation.directory, "podvpn-copy");
    symlinkSync(installation.podvpn, foreign);
    const { status, stdout, stderr } = call(foreign, [], { CNI_COMMAND: "ADD" }, "{}");
    expect({ status, stderr }).toEqual({ status: 1, stderr: "" });
    expect(JSON.parse(stdout)).toMatchObject({ code: 199, msg: expect.stringContaining('install it as "strongswan"') });
  });

  test("passes every argument to its command, Node's own options as well", () => {
    const { status, stdout } = call(installation.podvpn, ["--version"]);
    expect({ status, stdout }).toEqual({ status: 0, stdout: call(installation.podvpn, ["version"]).stdout });
  });

  test("is not changed by the environment of its caller", () => {
    const env = {
      ...VERSION,
      NODE_OPTIONS: "--require /nonexistent --max-old-space-size=1",
      NODE_PATH: "/nonexistent",
      NODE_EXTRA_CA_CERTS: "/nonexistent",
      NODE_PENDING_DEPRECATION: "1",
    };
    const { status, stderr } = call(installation.strongswan, [], env, "{}");
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  });

  test("opens nothing for VERSION but itself, its libraries and what Node reads of the system", () => {
    const log = join(installation.directory, "strace.log");
    const strace = ["-f", "-e", "trace=%file", "-o", log, installation.strongswan];
    expect(call("strace", strace, { ...VERSION, PATH: "/usr/bin:/bin" }, "{}").status).toBe(0);
    const opened = [...readFileSync(log, "utf8").matchAll(/(?:open|openat|mkdir|stat|lstat|statx)\([^"]*"([^"]+)"/g)];
    const paths = opened
      .map((match) => match[1] ?? "")
      .filter((path) => !/^\/(lib|usr\/lib|etc|proc|sys|dev)\b/.test(path));
    expect([...new Set(paths)]).toEqual([installation.strongswan]);
    expect(readFileSync(log, "utf8")).not.toMatch(/podvpn\/addons|\.node"/);
  });

  test("loads none of Node's slow modules for VERSION", () => {
    const list = join(installation.directory, "modules.json");
    const hook = join(installation.directory, "hook.cjs");
    writeFileSync(
      hook,
      `process.on("exit", () => require("fs").writeFileSync(${JSON.stringify(list)}, JSON.stringify(process.moduleLoadList)))`,
    );
    const args = ["-c", `exec -a strongswan ${node} --require ${hook} ${join(DIST, "bundle.cjs")}`];
    expect(call("bash", args, { ...VERSION, PATH: "/usr/bin:/bin" }, "{}").status).toBe(0);
    const modules: string[] = JSON.parse(readFileSync(list, "utf8"));
    const slow = ["child_process", "net", "crypto", "dns", "http", "stream", "tls", "worker_threads", "zlib"];
    expect(modules.filter((name) => slow.some((each) => name === `NativeModule ${each}`))).toEqual([]);
  });

  test("has no means to be killed after an effect: only the bundle of the undo tests has", () => {
    expect(readFileSync(join(DIST, "bundle.cjs"), "utf8")).not.toContain("PODVPN_KILL_AFTER");
    expect(readFileSync(join(DIST, "bundle-faults.cjs"), "utf8")).toContain("PODVPN_KILL_AFTER");
  });
});

describe("the build", () => {
  test("gives the same bytes again, and tells nothing of the machine it ran on", () => {
    const again = join(installation.directory, "again");
    for (const directory of [DIST, again]) {
      const { status, stderr } = spawnSync(node, [join(ROOT, "scripts/build.mjs"), directory], { encoding: "utf8" });
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    }
    const rebuilt = readFileSync(join(again, "podvpn"));
    expect(rebuilt.equals(readFileSync(join(DIST, "podvpn")))).toBe(true);
    expect(rebuilt.includes(ROOT)).toBe(false);
    expect(rebuilt.includes(installation.directory)).toBe(false);
  });

  test("is skipped when nothing has changed", () => {
    const { status, stdout } = spawnSync(node, [join(ROOT, "scripts/build.mjs")], { encoding: "utf8" });
    expect({ status, stdout }).toEqual({ status: 0, stdout: "" });
  });
});
