import { describe, expect, it } from "vitest";
import { main, type Plugin } from "../../../src/cni/dispatch.ts";
import { PluginFault } from "../../../src/cni/execute.ts";
import type { Result } from "../../../src/cni/result.ts";
import { supportedVersions } from "../../../src/cni/version.ts";
import { Code, Fault } from "../../../src/fault.ts";

const ENV = { CNI_CONTAINERID: "c1", CNI_NETNS: "/run/netns/c1", CNI_IFNAME: "eth0", CNI_PATH: "/p:/q", HOME: "/root" };
const CONF = { cniVersion: "1.1.0", name: "net", type: "strongswan" };
const RESULT: Result = { interfaces: [], ips: [{ address: "10.173.0.5/32" }], routes: [] };

interface Outcome {
  readonly status: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
  /** The methods of the plugin that were called, with what they got. */
  readonly calls: [string, unknown][];
  readonly loaded: number;
}

/** Runs main() with a plugin that notes its calls. `conf` undefined: nobody may read standard input. */
async function call(
  env: Record<string, string | undefined>,
  conf?: unknown,
  behaviour: Partial<Plugin> = {},
): Promise<Outcome> {
  const calls: [string, unknown][] = [];
  let loaded = 0;
  let status: number | undefined;
  let stdout = "";
  let stderr = "";
  const note = (name: string) => async (argument: unknown) => {
    calls.push([name, argument]);
  };
  const plugin: Plugin = {
    add: async (argument) => {
      calls.push(["add", argument]);
      return RESULT;
    },
    del: note("del"),
    check: note("check"),
    status: note("status"),
    gc: note("gc"),
    ...behaviour,
  };
  await main(
    async () => {
      loaded += 1;
      return plugin;
    },
    "podvpn strongswan 0.1.0",
    {
      env,
      readStdin: () => {
        if (conf === undefined) throw new Error("standard input was read");
        return typeof conf === "string" ? conf : JSON.stringify(conf);
      },
      writeStdout: (text) => {
        stdout += text;
      },
      writeStderr: (text) => {
        stderr += text;
      },
      exit: (code) => {
        expect(status, "exit is called once").toBeUndefined();
        status = code;
      },
    },
  );
  return { status, stdout, stderr, calls, loaded };
}

function error(outcome: Outcome): unknown {
  expect(outcome.status).toBe(1);
  return JSON.parse(outcome.stdout);
}

describe("a plugin called by hand", () => {
  it.each([undefined, ""])("tells about itself on standard error and succeeds (CNI_COMMAND %j)", async (command) => {
    const outcome = await call({ ...ENV, CNI_COMMAND: command });
    expect(outcome).toMatchObject({ status: 0, stdout: "", calls: [], loaded: 0 });
    expect(outcome.stderr).toBe(
      `podvpn strongswan 0.1.0\nCNI protocol versions supported: ${supportedVersions.join(", ")}\n`,
    );
  });
});

describe("VERSION", () => {
  it.each([
    ["", "1.1.0"],
    ["{}", "1.1.0"],
    ["{", "1.1.0"],
    ['{"cniVersion":"0.2.0"}', "0.2.0"],
    ['{"cniVersion":"1.0.0","name":"../"}', "1.0.0"],
    ['{"cniVersion":"9.9.9"}', "9.9.9"],
    ['{"cniVersion":"newest"}', "1.1.0"],
  ])("for standard input %j answers in %s, without loading the plugin", async (conf, cniVersion) => {
    const outcome = await call({ CNI_COMMAND: "VERSION" }, conf);
    expect(outcome).toMatchObject({ status: 0, stderr: "", loaded: 0 });
    expect(JSON.parse(outcome.stdout)).toEqual({ cniVersion, supportedVersions });
  });
});

describe("ADD", () => {
  it.each(supportedVersions)("prints the result in version %s", async (cniVersion) => {
    const outcome = await call({ ...ENV, CNI_COMMAND: "ADD" }, { ...CONF, cniVersion });
    expect(outcome).toMatchObject({ status: 0, stderr: "" });
    const expected = {
      "0.1.0": { ip4: { ip: "10.173.0.5/32" } },
      "0.2.0": { ip4: { ip: "10.173.0.5/32" } },
      "0.3.0": { ips: [{ version: "4", address: "10.173.0.5/32" }] },
      "0.3.1": { ips: [{ version: "4", address: "10.173.0.5/32" }] },
      "0.4.0": { ips: [{ version: "4", address: "10.173.0.5/32" }] },
      "1.0.0": { ips: [{ address: "10.173.0.5/32" }] },
      "1.1.0": { ips: [{ address: "10.173.0.5/32" }] },
    };
    expect(JSON.parse(outcome.stdout)).toEqual({ cniVersion, ...expected[cniVersion] });
  });

  it("prints the result in the shape of 0.1.0 when no version is given", async () => {
    const outcome = await call({ ...ENV, CNI_COMMAND: "ADD" }, { name: "net", type: "strongswan" });
    expect(JSON.parse(outcome.stdout)).toEqual({ cniVersion: "0.1.0", ip4: { ip: "10.173.0.5/32" } });
  });

  it("hands over the variables, the configuration and the whole environment", async () => {
    const env = { ...ENV, CNI_COMMAND: "ADD", CNI_ARGS: "K8S_POD_NAME=web" };
    const { calls } = await call(env, CONF);
    expect(calls).toEqual([
      [
        "add",
        expect.objectContaining({
          containerID: "c1",
          netns: "/run/netns/c1",
          ifname: "eth0",
          path: ["/p", "/q"],
          args: new Map([["K8S_POD_NAME", "web"]]),
          config: expect.objectContaining({ cniVersion: "1.1.0", name: "net", raw: CONF }),
          env,
        }),
      ],
    ]);
  });
});

describe("DEL, CHECK, STATUS and GC", () => {
  it.each([
    ["DEL", CONF],
    ["CHECK", { ...CONF, prevResult: { ips: [] } }],
    ["STATUS", CONF],
    ["GC", CONF],
  ])("%s calls its method and prints nothing", async (command, conf) => {
    const outcome = await call({ ...ENV, CNI_COMMAND: command }, conf);
    expect(outcome).toMatchObject({ status: 0, stdout: "", stderr: "" });
    expect(outcome.calls.map(([name]) => name)).toEqual([command.toLowerCase()]);
  });

  it("DEL works without a namespace", async () => {
    const { calls } = await call({ ...ENV, CNI_COMMAND: "DEL", CNI_NETNS: "" }, CONF);
    expect(calls).toEqual([["del", expect.not.objectContaining({ netns: expect.anything() })]]);
  });

  it("CHECK gets the result of ADD", async () => {
    const prevResult = { interfaces: [], ips: [{ address: "10.173.0.5/32" }], routes: [] };
    const { calls } = await call({ ...ENV, CNI_COMMAND: "CHECK" }, { ...CONF, prevResult });
    expect(calls).toEqual([["check", expect.objectContaining({ prevResult })]]);
  });

  it("CHECK without prevResult is refused (7)", async () => {
    const outcome = await call({ ...ENV, CNI_COMMAND: "CHECK" }, CONF);
    expect(error(outcome)).toMatchObject({ code: 7, msg: "prevResult is missing; give the result of ADD" });
    expect(outcome.loaded).toBe(0);
  });

  it.each([
    ["CHECK", "0.3.1", "0.4.0"],
    ["CHECK", undefined, "0.4.0"],
    ["GC", "1.0.0", "1.1.0"],
    ["STATUS", "0.4.0", "1.1.0"],
  ])("%s in %s is refused (1): it came with %s", async (command, cniVersion, least) => {
    const outcome = await call({ ...ENV, CNI_COMMAND: command }, { ...CONF, cniVersion });
    expect(error(outcome)).toMatchObject({
      code: 1,
      cniVersion: cniVersion ?? "0.1.0",
      msg: expect.stringContaining(least),
    });
    expect(outcome.loaded).toBe(0);
  });
});

describe("a call that is refused", () => {
  it.each([
    ["an unknown command", { ...ENV, CNI_COMMAND: "UPDATE" }, CONF, 4],
    ["missing variables", { CNI_COMMAND: "ADD" }, CONF, 4],
    ["missing variables before broken JSON", { CNI_COMMAND: "ADD" }, "{", 4],
    ["an illegal container id", { ...ENV, CNI_COMMAND: "DEL", CNI_CONTAINERID: "../x" }, CONF, 4],
    ["broken JSON", { ...ENV, CNI_COMMAND: "ADD" }, "{", 6],
    ["no standard input", { ...ENV, CNI_COMMAND: "ADD" }, "", 6],
    ["an illegal name", { ...ENV, CNI_COMMAND: "ADD" }, { ...CONF, name: "../x" }, 7],
    ["an unknown version", { ...ENV, CNI_COMMAND: "ADD" }, { ...CONF, cniVersion: "2.0.0" }, 1],
  ])("for %s never loads the plugin", async (_, env, conf, code) => {
    const outcome = await call(env, conf);
    expect(error(outcome)).toMatchObject({ cniVersion: "1.1.0", code });
    expect(outcome.loaded).toBe(0);
  });

  it.each(["0.1.0", "0.4.0", "1.0.0"])("gets its error in the version that it asked for (%s)", async (cniVersion) => {
    const outcome = await call({ CNI_COMMAND: "ADD" }, { ...CONF, cniVersion });
    expect(error(outcome)).toMatchObject({ cniVersion, code: 4 });
  });

  it("gets its error even when standard input cannot be read", async () => {
    expect(error(await call({ ...ENV, CNI_COMMAND: "ADD" }))).toMatchObject({ code: 199 });
  });
});

describe("a plugin that fails", () => {
  it("prints the Fault as CNI error, and nothing else", async () => {
    const fault = new Fault(Code.hubSilent, "no answer", "see the hub", { details: "a\nb" });
    const outcome = await call({ ...ENV, CNI_COMMAND: "ADD" }, CONF, { add: () => Promise.reject(fault) });
    expect(error(outcome)).toEqual({ cniVersion: "1.1.0", code: 104, msg: "no answer; see the hub", details: "a\nb" });
  });

  it.each([50, 51])("passes on a delegate's STATUS %i", async (code) => {
    const status = () => Promise.reject(new PluginFault("bridge", code, "not now", undefined));
    const outcome = await call({ ...ENV, CNI_COMMAND: "STATUS" }, CONF, { status });
    expect(error(outcome)).toEqual({ cniVersion: "1.1.0", code, msg: "not now" });
  });

  it("never says in DEL what containerd takes for success", async () => {
    const del = () => Promise.reject(new PluginFault("bridge", 5, "chain not found", undefined));
    const outcome = await call({ ...ENV, CNI_COMMAND: "DEL" }, CONF, { del });
    expect(error(outcome)).toMatchObject({ code: 5, msg: "chain missing" });
  });
});
