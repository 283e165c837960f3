import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Runtime } from "../../src/cni/runtime.ts";
import type { Node } from "../../src/testbed/node.ts";
import { ENVIRONMENT } from "../../src/testbed/place.ts";
import { diffSnapshots } from "../../src/testbed/snapshot.ts";
import { StockHub } from "../../src/testbed/stock-hub.ts";
import { addedPod, BUILT, Cluster, conf, DIST, PSK } from "./support/cluster.ts";
import { eventually } from "./support/eventually.ts";
import { type CniFailure, failure } from "./support/failed-add.ts";
import { emptied, withoutProgram } from "./support/mounted.ts";
import { cacheOf, editResult, strongswanCheckSuite } from "./support/strongswan-check-suite.ts";

let cluster: Cluster;
let node: Node;

beforeAll(async () => {
  cluster = await Cluster.create(1);
  node = cluster.node();
});
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
});

const PATH = [DIST, "/usr/lib/cni"];
const checked = conf({ cniVersion: "1.0.0" });

describe("CHECK", () => {
  strongswanCheckSuite("userspace", () => node);

  test("tells when the hub has given another virtual IP after a restart", async () => {
    const address = "10.9.0.201";
    const hub = await StockHub.start(await cluster.testbed.node("reborn", { addresses: [`${address}/24`] }), {
      psk: PSK,
    });
    const configuration = conf({ cniVersion: "1.0.0", vpn: { serverIP: address, dpd: "1s" } });
    const first = await addedPod(node, "holder", configuration);
    await using second = await addedPod(node, "moved", configuration);
    await first[Symbol.asyncDispose]();
    await hub.down();
    await hub.up();
    let error: CniFailure | undefined;
    await eventually("the pod is back", 20_000, async () => {
      error = await failure(second.pod.check(configuration, BUILT));
      return error.msg.startsWith("the hub has given");
    });
    expect(error?.msg).toContain(`the hub has given ${first.ip} instead of ${second.ip}`);
    expect(error?.code).toBe(108);
  });

  test("is content with what later plugins have added to the result", async () => {
    await using added = await addedPod(node, "extended", checked);
    await editResult(added.pod, (result) => ({
      ...result,
      interfaces: [...result.interfaces, { name: "net9", sandbox: added.pod.netnsPath }],
      ips: [{ address: "192.0.2.9/24" }, ...result.ips],
      routes: [{ dst: "198.51.100.0/24" }],
      dns: { nameservers: ["192.0.2.53"] },
    }));
    await added.pod.check(checked, BUILT);
  });

  test("without prevResult is an error", async () => {
    await using added = await addedPod(node, "forgotten", checked);
    await node.exec(["rm", cacheOf(added.pod)]);
    const error = await failure(added.pod.check(checked, BUILT));
    expect(error.code).toBe(7);
    expect(error.msg).toContain("prevResult");
  });
});

describe("STATUS", () => {
  const configuration = conf({ cniVersion: "1.1.0", vpn: { dataplane: "userspace" } });
  const status = (path = PATH, env: Record<string, string> = {}) => runtime({ path, env }).status(configuration);

  test("succeeds on a node that has everything, also while the hub is down", async () => {
    await cluster.hub.down();
    await status();
    await cluster.hub.up();
  });

  test("is 50 without charon", async () => {
    await using _missing = await withoutProgram(node, "/usr/sbin/charon-systemd");
    expect(await failure(status())).toMatchObject({ code: 50, msg: expect.stringContaining("install strongSwan") });
  });

  test("is 50 without /dev/net/tun", async () => {
    await using _missing = await emptied(node, "/dev/net");
    expect(await failure(status())).toMatchObject({ code: 50, msg: expect.stringContaining("modprobe tun") });
  });

  test("is 50 without the bridge plugin", async () => {
    expect(await failure(status([DIST]))).toMatchObject({
      code: 50,
      msg: expect.stringContaining('no CNI plugin "bridge"'),
    });
  });

  test("tells what is wrong with the configuration", async () => {
    const error = await failure(runtime().status(conf({ cniVersion: "1.1.0", vpn: { PSK: undefined } })));
    expect(error).toMatchObject({ code: 7, msg: expect.stringContaining("vpn.PSK is missing") });
  });
});

/** A runtime that remembers nothing: its GC does not call DEL by itself. */
function runtime({ path = PATH, env = {} }: { path?: readonly string[]; env?: Record<string, string> } = {}): Runtime {
  return new Runtime({
    path,
    root: node.path(""),
    cacheDir: node.path("/var/lib/cni/empty-cache"),
    env: { ...ENVIRONMENT, ...env },
    run: node.run,
  });
}

describe("GC", () => {
  const listed = conf({ cniVersion: "1.1.0" });
  const other = conf({
    cniVersion: "1.1.0",
    name: "othernet",
    bridge: "cni3",
    ipam: { type: "host-local", subnet: "172.17.3.0/24" },
  });
  const attachments = async () => (await node.exec(["ls", "/run/podvpn/pods"])).stdout.trim().split("\n").sort();

  test("removes exactly this network's attachments that are not listed, as their DEL would", async () => {
    await using valid = await addedPod(node, "valid", listed);
    await using foreign = await addedPod(node, "foreign", other);
    const before = await node.snapshot();
    await using stale = await addedPod(node, "stale", listed);
    await using ended = await addedPod(node, "ended", listed);
    await ended.pod.remove(); // its namespace went without a DEL
    expect(await attachments()).toHaveLength(4);

    await runtime().gc(listed, [{ containerID: valid.pod.containerID, ifname: "eth0" }]);

    expect(await attachments()).toEqual(["n1-foreign+eth0", "n1-valid+eth0"]);
    expect((await cluster.onlineLeases()).join("\n")).not.toMatch(/n1-(?:stale|ended)\./);
    await stale.pod.remove();
    for (const { pod } of [stale, ended]) await node.exec(["rm", cacheOf(pod)]);
    let left: string[] = [];
    await eventually("the namespaces are taken down", 5000, async () => {
      left = diffSnapshots(before, await node.snapshot());
      return !left.some((line) => line.startsWith("+ links:"));
    });
    expect(left).toEqual([]);
    expect(await valid.pod.ping(foreign.ip, 2)).toBe(true);
    await valid.pod.check(listed, BUILT);
  });

  test("with an empty list removes all of this network, without a list nothing", async () => {
    await using one = await addedPod(node, "one", listed);
    await using foreign = await addedPod(node, "foreign", other);
    const env = { CNI_COMMAND: "GC", CNI_PATH: PATH.join(":") };
    await node.exec([`${DIST}/strongswan`], { input: JSON.stringify(listed), env });
    expect(await one.pod.ping(foreign.ip, 2)).toBe(true);
    await runtime().gc(listed, []);
    expect(await attachments()).toEqual(["n1-foreign+eth0"]);
    expect(await foreign.pod.ping("10.173.255.254", 2)).toBe(true);
  });
});
