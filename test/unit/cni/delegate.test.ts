import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type DelegateOptions, delegate } from "../../../src/cni/delegate.ts";
import type { Result } from "../../../src/cni/result.ts";
import { ScriptPlugins } from "./script-plugin.ts";

let plugins: ScriptPlugins;
beforeEach(() => {
  plugins = new ScriptPlugins();
});
afterEach(() => plugins[Symbol.dispose]());

const PREV: Result = { interfaces: [], ips: [{ address: "10.1.2.2/24" }], routes: [{ dst: "0.0.0.0/0", mtu: 1400 }] };

/** A plugin like those made with Go's skel package: it speaks `versions`, and prints an address. */
function speaking(...versions: string[]): string {
  return `version=$(printf '%s' "$config" | sed -n 's/.*"cniVersion":"\\([^"]*\\)".*/\\1/p')
if [ "$CNI_COMMAND" = VERSION ]; then
  echo '{"cniVersion":"0.4.0","supportedVersions":${JSON.stringify(versions)}}'
  exit
fi
case " ${versions.join(" ")} " in
  *" $version "*) [ "$CNI_COMMAND" != ADD ] || echo "{\\"cniVersion\\":\\"$version\\",\\"ips\\":[{\\"address\\":\\"10.1.2.2/24\\"}]}" ;;
  *) echo '{"code":1,"msg":"incompatible CNI versions"}'; exit 1 ;;
esac`;
}

function call(options: Partial<DelegateOptions> = {}) {
  return delegate({
    verb: "ADD",
    type: "p",
    path: [plugins.directory],
    env: { ...process.env, CNI_COMMAND: "ADD", CNI_IFNAME: "eth0" },
    config: { name: "n", type: "p", cniVersion: "0.2.0", prevResult: { ips: "old" }, bridge: "br0" },
    cniVersion: "1.1.0",
    timeout: 10_000,
    ...options,
  });
}

/** Command and version of each call. */
function spoken(): string[] {
  return plugins.calls().map(({ env, config }) => `${env.CNI_COMMAND} ${config.cniVersion}`);
}

describe("delegate", () => {
  it.each([
    ["0.1.0", "1.0.0"],
    ["0.4.0", "1.0.0"],
    ["1.0.0", "1.0.0"],
    ["1.1.0", "1.1.0"],
  ] as const)("for a caller of %s speaks %s", async (cniVersion, asked) => {
    plugins.add("p", speaking("1.0.0", "1.1.0"));
    expect(await call({ cniVersion })).toEqual({ interfaces: [], ips: [{ address: "10.1.2.2/24" }], routes: [] });
    expect(spoken()).toEqual([`ADD ${asked}`]);
  });

  it("passes the configuration on, with its own prevResult in the version that it speaks", async () => {
    plugins.add("p", speaking("1.0.0"));
    await call({ verb: "CHECK", cniVersion: "1.0.0", prevResult: PREV });
    expect(plugins.calls()[0]).toMatchObject({
      env: { CNI_COMMAND: "CHECK", CNI_IFNAME: "eth0" },
      config: {
        name: "n",
        type: "p",
        bridge: "br0",
        cniVersion: "1.0.0",
        prevResult: { cniVersion: "1.0.0", ips: [{ address: "10.1.2.2/24" }], routes: [{ dst: "0.0.0.0/0" }] },
      },
    });
  });

  it("passes no prevResult on when it is given none", async () => {
    plugins.add("p", speaking("1.0.0", "1.1.0"));
    await call();
    expect(plugins.calls()[0]?.config).not.toHaveProperty("prevResult");
  });

  it.each([
    [["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0"], "1.0.0"],
    [["0.3.0", "0.3.1"], "0.3.1"],
    [["0.4.0", "2.0.0"], "0.4.0"],
  ])("settles with a plugin that speaks %j on %s", async (versions, settled) => {
    plugins.add("p", speaking(...versions));
    expect(await call()).toMatchObject({ ips: [{ address: "10.1.2.2/24" }] });
    expect(spoken()).toEqual(["ADD 1.1.0", "VERSION 1.1.0", `ADD ${settled}`]);
  });

  it.each([
    [["0.1.0", "0.2.0"], "/p speaks CNI 0.1.0, 0.2.0; install a version of it that speaks one from 0.3.0 to 1.1.0"],
    [[], "/p speaks no version of CNI that it names"],
  ])("gives up on a plugin that speaks %j", async (versions, message) => {
    plugins.add("p", speaking(...versions));
    await expect(call()).rejects.toThrow(
      expect.objectContaining({ code: 100, message: expect.stringContaining(message) }),
    );
  });

  it.each(["GC", "STATUS"] as const)("leaves out %s for a plugin that is too old to know it", async (verb) => {
    plugins.add(
      "p",
      `[ "$CNI_COMMAND" = VERSION ] || { echo '{"code":3,"msg":"missing containerID"}'; exit 1; }
echo '{"cniVersion":"1.0.0","supportedVersions":["0.4.0","1.0.0"]}'`,
    );
    await expect(call({ verb })).resolves.toBeUndefined();
    expect(spoken()).toEqual([`${verb} 1.1.0`, "VERSION 1.1.0"]);
  });

  it("leaves out CHECK for a plugin before 0.4.0", async () => {
    plugins.add("p", speaking("0.3.1"));
    await expect(call({ verb: "CHECK", prevResult: PREV })).resolves.toBeUndefined();
  });

  it.each([
    ["STATUS", 50],
    ["STATUS", 51],
    ["DEL", 4],
    ["ADD", 11],
  ] as const)("passes on the error of %s with code %i, and asks no version", async (verb, code) => {
    plugins.add("p", `echo '{"code":${code},"msg":"not now","details":"why"}'; exit 1`);
    await expect(call({ verb })).rejects.toThrow(expect.objectContaining({ code, message: "not now", details: "why" }));
    expect(spoken()).toEqual([`${verb} 1.1.0`]);
  });

  it("passes on a code 1 of a plugin that does speak the version", async () => {
    plugins.add(
      "p",
      `[ "$CNI_COMMAND" = VERSION ] || { echo '{"code":1,"msg":"IPAM too old"}'; exit 1; }
echo '{"supportedVersions":["1.0.0","1.1.0"]}'`,
    );
    await expect(call()).rejects.toThrow(expect.objectContaining({ code: 1, message: "IPAM too old" }));
    expect(spoken()).toEqual(["ADD 1.1.0", "VERSION 1.1.0"]);
  });

  it("calls a result that is none the delegate's fault (100)", async () => {
    plugins.add("p", `echo '{"ips":[{"address":"nonsense"}]}'`);
    await expect(call()).rejects.toThrow(
      expect.objectContaining({ code: 100, message: expect.stringContaining('result.ips[0].address is "nonsense"') }),
    );
  });

  it("ends a plugin that takes too long, and says what it waited for", async () => {
    plugins.add("p", "sleep 60");
    await expect(call({ timeout: 200 })).rejects.toThrow(/\/p did not end within 0.2 s and was killed/);
  });

  it("ends a plugin whose call is aborted", async () => {
    plugins.add("p", "sleep 60");
    await expect(call({ signal: AbortSignal.timeout(200) })).rejects.toThrow(/aborted due to timeout/);
  });
});
