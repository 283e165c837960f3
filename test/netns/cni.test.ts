import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type DelegateOptions, delegate } from "../../src/cni/delegate.ts";
import type { JsonObject } from "../../src/cni/json.ts";
import { formatResult, parseResult, type Result } from "../../src/cni/result.ts";
import { Runtime } from "../../src/cni/runtime.ts";
import { atLeast, type CniVersion, supportedVersions } from "../../src/cni/version.ts";
import type { Node } from "../../src/testbed/node.ts";
import { ENVIRONMENT } from "../../src/testbed/place.ts";
import type { Pod } from "../../src/testbed/pod.ts";
import { Testbed } from "../../src/testbed/testbed.ts";

/** All that Debian 12's bridge 1.1.1 speaks. */
const BRIDGE_VERSIONS = supportedVersions.filter((version) => version !== "1.1.0");
const PATH = ["/no/such/directory", "/usr/lib/cni"];

const CONFIG = {
  name: "pods",
  type: "bridge",
  bridge: "cni0",
  isGateway: true,
  ipam: {
    type: "host-local",
    ranges: [[{ subnet: "10.1.2.0/24" }], [{ subnet: "fd00:1:2::/64" }]],
    routes: [{ dst: "0.0.0.0/0" }, { dst: "10.5.0.0/16", gw: "10.1.2.1" }, { dst: "::/0" }],
  },
  dns: { nameservers: ["10.1.2.53"], domain: "pods.example" },
};

let testbed: Testbed;
let node: Node;

beforeAll(async () => {
  testbed = await Testbed.create();
  node = await testbed.node("one", { addresses: ["10.9.0.1/24"] });
});
afterAll(() => testbed[Symbol.asyncDispose]());

function runtime(): Runtime {
  return new Runtime({
    path: PATH,
    cacheDir: node.path("/var/lib/cni/cache"),
    env: ENVIRONMENT,
    run: node.run,
    root: node.path(""),
  });
}

function attachment(pod: Pod) {
  return { containerID: pod.containerID, netns: pod.netnsPath, ifname: "eth0" };
}

/** The addresses that host-local has given out on the node. */
async function reservations(): Promise<string[]> {
  const find = [
    "find",
    "/var/lib/cni/networks",
    "-type",
    "f",
    "!",
    "-name",
    "last_reserved_ip*",
    "!",
    "-name",
    "lock",
  ] as const;
  const { stdout } = await node.exec([...find], { check: false });
  return stdout.split("\n").filter((line) => line !== "");
}

describe("the real bridge's results", () => {
  it.each(BRIDGE_VERSIONS)("in %s are printed as it printed them", async (cniVersion) => {
    await using pod = await node.addPod(`format-${cniVersion.replaceAll(".", "-")}`);
    const config = { ...CONFIG, cniVersion };
    await runtime().add(config, attachment(pod));
    const printed = runtime().cachedResult(config, attachment(pod));
    expect(printed).toMatchObject({ cniVersion });
    expect(formatResult(parseResult(printed, "result"), cniVersion)).toEqual(printed);
    await runtime().del(config, attachment(pod));
  });

  it("of one attachment are converted from 1.0.0 as the bridge itself would print them", async () => {
    await using pod = await node.addPod("convert");
    const results = new Map<CniVersion, JsonObject | undefined>();
    for (const cniVersion of BRIDGE_VERSIONS) {
      const config = { ...CONFIG, cniVersion };
      await runtime().add(config, attachment(pod));
      results.set(cniVersion, runtime().cachedResult(config, attachment(pod)));
      await runtime().del(config, attachment(pod));
    }
    const newest = parseResult(results.get("1.0.0"), "result");
    for (const [version, printed] of results) {
      expect(anonymous(formatResult(newest, version)), version).toEqual(anonymous(printed));
    }
  });
});

/** Without what differs from one ADD to the next: addresses, MACs and the name of the host's veth. */
function anonymous(result: JsonObject | undefined): unknown {
  const text = JSON.stringify(result)
    .replaceAll(/([0-9a-f]{2}:){5}[0-9a-f]{2}/g, "MAC")
    .replaceAll(/veth[0-9a-f]{8}/g, "veth")
    .replaceAll(/10\.1\.2\.\d+\/24/g, "IP4")
    .replaceAll(/fd00:1:2::[0-9a-f]+\/64/g, "IP6");
  return JSON.parse(text);
}

describe("delegate, to the real bridge", () => {
  function call(pod: Pod, options: Partial<DelegateOptions> & { verb: DelegateOptions["verb"] }) {
    const env = {
      ...ENVIRONMENT,
      CNI_COMMAND: "ADD",
      CNI_CONTAINERID: pod.containerID,
      CNI_NETNS: pod.netnsPath,
      CNI_IFNAME: "eth0",
      CNI_PATH: PATH.join(":"),
    };
    return delegate({
      type: "bridge",
      path: PATH,
      env,
      config: CONFIG,
      cniVersion: "1.0.0",
      run: node.run,
      ...options,
    });
  }

  /** Fails the test when the delegate gave no result. */
  async function add(pod: Pod, cniVersion: CniVersion): Promise<Result> {
    return parseResult(await call(pod, { verb: "ADD", cniVersion }), "result");
  }

  it.each(["0.1.0", "1.0.0", "1.1.0"] as const)("for a caller of %s: ADD, CHECK, DEL, DEL", async (cniVersion) => {
    await using pod = await node.addPod(`delegate-${cniVersion.replaceAll(".", "-")}`);
    const prevResult = await add(pod, cniVersion);
    const own = prevResult.ips.map(({ address }) => address);
    const { stdout } = await pod.exec(["ip", "-o", "addr", "show", "dev", "eth0", "scope", "global"]);
    expect(own).toHaveLength(2);
    for (const address of own) expect(stdout).toContain(address);

    await call(pod, { verb: "CHECK", cniVersion, prevResult });
    await pod.exec(["ip", "addr", "flush", "dev", "eth0"]);
    await expect(call(pod, { verb: "CHECK", cniVersion, prevResult })).rejects.toMatchObject({ name: "Fault" });

    await call(pod, { verb: "DEL", cniVersion, prevResult });
    await call(pod, { verb: "DEL", cniVersion });
    expect((await pod.exec(["ip", "link", "show", "eth0"], { check: false })).code).toBe(1);
    expect(await reservations()).toEqual([]);
  });

  it("leaves out GC and STATUS, which this bridge does not know", async () => {
    await using pod = await node.addPod("old");
    for (const verb of ["GC", "STATUS"] as const) {
      await expect(call(pod, { verb, cniVersion: "1.1.0" })).resolves.toBeUndefined();
    }
  });

  it("passes on the bridge's own error", async () => {
    await using pod = await node.addPod("taken");
    await pod.exec(["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "other"]);
    await expect(add(pod, "1.0.0")).rejects.toMatchObject({
      name: "Fault",
      type: "bridge",
      code: 999,
      message: expect.stringContaining("(eth0) already exists"),
    });
    expect(await reservations()).toEqual([]);
  });
});

describe("Runtime, with the real bridge", () => {
  it.each(BRIDGE_VERSIONS)("in %s: ADD, CHECK where there is one, DEL twice", async (cniVersion) => {
    await using pod = await node.addPod(`runtime-${cniVersion.replaceAll(".", "-")}`);
    const config = { ...CONFIG, cniVersion };
    const { ips } = await runtime().add(config, attachment(pod));
    expect(ips.map(({ address }) => address)).toEqual([
      expect.stringMatching(/^10\.1\.2\./),
      expect.stringMatching(/^fd00:/),
    ]);
    expect(await reservations()).toHaveLength(2);
    if (atLeast(cniVersion, "0.4.0")) await runtime().check(config, attachment(pod));
    await runtime().del(config, attachment(pod));
    await runtime().del(config, attachment(pod));
    expect(await reservations()).toEqual([]);
    expect(runtime().cachedResult(config, attachment(pod))).toBeUndefined();
  });

  it("chains plugins: tuning gets the bridge's result and changes the link that it made", async () => {
    await using pod = await node.addPod("chain");
    const mac = "02:11:22:33:44:55";
    const list = {
      cniVersion: "1.0.0",
      name: "chained",
      plugins: [
        { ...CONFIG, name: undefined },
        { type: "tuning", mtu: 1380, capabilities: { mac: true } },
      ],
    };
    const one = { ...attachment(pod), capabilityArgs: { mac } };
    const result = await runtime().add(list, one);
    const { stdout } = await pod.exec(["ip", "-o", "link", "show", "eth0"]);
    expect(stdout).toContain("mtu 1380");
    expect(stdout).toContain(mac);
    expect(result.interfaces.find(({ name }) => name === "eth0")).toMatchObject({ mac, sandbox: pod.netnsPath });
    await runtime().check(list, one);
    await runtime().del(list, one);
    expect(await reservations()).toEqual([]);
  });

  it("GC removes what a vanished pod left behind, and nothing of the others", async () => {
    await using gone = await node.addPod("gone");
    await using stays = await node.addPod("stays");
    const config = { ...CONFIG, cniVersion: "1.0.0" };
    for (const pod of [gone, stays]) await runtime().add(config, attachment(pod));
    await gone.remove();
    await runtime().gc(config, [{ containerID: stays.containerID, ifname: "eth0" }]);
    expect(await reservations()).toHaveLength(2);
    await runtime().check(config, attachment(stays));
    await runtime().gc(config, []);
    expect(await reservations()).toEqual([]);
  });

  it("asks the bridge for its versions", async () => {
    expect(await runtime().version("bridge")).toMatchObject({ supportedVersions: BRIDGE_VERSIONS });
  });
});
