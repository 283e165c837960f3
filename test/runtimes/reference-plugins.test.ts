// What a pod's life shows of the plugins that ours delegate to: the same, whichever release of them a node has.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { AttachOptions } from "../../src/testbed/pod.ts";
import { ECHO_PORT, echo, Sender } from "../../src/testbed/traffic.ts";
import { virtualIP } from "../netns/support/cluster.ts";
import { expectUnchanged } from "../netns/support/unchanged.ts";
import { createNetwork, type Network, type NetworkList, TYPES } from "./support/networks.ts";
import { CURRENT, DEBIAN } from "./support/plugin-directories.ts";

describe.each(TYPES)("a pod of %s", (type) => {
  let network: Network;

  beforeAll(async () => {
    network = await createNetwork(type);
    for (const { path } of [DEBIAN, CURRENT]) {
      // What every first pod leaves: the bridge, and the chains of portmap and firewall into which those of pods go.
      await using _first = await attached(1, "first", { path, capabilityArgs: CAPABILITY_ARGS }, chain());
    }
  });
  afterAll(async () => {
    await network?.[Symbol.asyncDispose]();
  });

  async function attached(of: number, name: string, options: AttachOptions, list = network.list(of, "1.1.0")) {
    await using undo = new AsyncDisposableStack();
    const pod = undo.use(await network.node(of).addPod(name));
    const conf = { ...list };
    undo.defer(() => pod.del(conf, options));
    const result = await pod.add(conf, options);
    const cleanUp = undo.move();
    return { pod, conf, result, ip: virtualIP(result), [Symbol.asyncDispose]: () => cleanUp[Symbol.asyncDispose]() };
  }

  /** Ours with three plugins behind it that come with every Kubernetes node. */
  function chain(): NetworkList {
    const list = network.list(1, "1.0.0");
    const behind = [
      { type: "portmap", capabilities: { portMappings: true } },
      { type: "firewall" },
      { type: "tuning", sysctl: { "net.ipv4.conf.IFNAME.arp_filter": "1" } },
    ];
    return { ...list, plugins: [...list.plugins, ...behind] };
  }

  describe.each([DEBIAN, CURRENT])("beside $name", ({ path }) => {
    test("is hidden behind its node by ipMasq, but for what goes through the tunnel", async () => {
      await using a = await attached(1, "a", { path });
      await using b = await attached(2, "b", { path });
      await using capture = await network.testbed.capture("icmp");
      await using inside = await network.node(2).capture("cni0", { filter: "icmp" });
      expect(await a.pod.ping("10.9.0.2", 2)).toBe(true);
      expect(await a.pod.ping(b.ip, 2)).toBe(true);
      await capture.sync();
      const echoes = (await capture.packets()).filter((line) => line.includes("echo request"));
      expect(echoes).toHaveLength(2);
      for (const line of echoes) expect(line).toMatch(/10\.9\.0\.1 > 10\.9\.0\.2:/);
      if (type === "wireguard") {
        await inside.sync();
        expect((await inside.packets()).join("\n")).toContain(`${a.ip} > ${b.ip}: ICMP echo request`);
      }
    });

    test("is removed without a trace by GC unless it is valid, also when the runtime has forgotten it", async () => {
      const node = network.node(1);
      const before = await node.snapshot();
      {
        await using valid = await attached(1, "valid", { path });
        await using gone = await attached(1, "gone", { path });
        await using forgotten = await attached(1, "forgotten", { path });
        await gone.pod.remove();
        await forgotten.pod.remove();
        await node.exec(["sh", "-ec", "rm /var/lib/cni/cache/results/*forgotten*"]);
        await valid.pod.runtime({ path }).gc(valid.conf, [{ containerID: valid.pod.containerID, ifname: "eth0" }]);
        const left = (await node.snapshot()).get("files")?.join("\n");
        expect(left).toContain(valid.pod.containerID);
        expect(left).not.toContain(gone.pod.containerID);
        expect(left).not.toContain(forgotten.pod.containerID);
        await valid.pod.check(valid.conf, { path });
      }
      await expectUnchanged(node, before);
    });

    test("is reached by a port of its node, in a chain with portmap, firewall and tuning, which is removed whole", async () => {
      const node = network.node(1);
      const before = await node.snapshot();
      {
        const options = { path, capabilityArgs: CAPABILITY_ARGS };
        await using a = await attached(1, "mapped", options, chain());
        await using _echo = await echo(a.pod);
        await using sender = await Sender.start(network.node(2), "10.9.0.1", 50);
        await sender.answers(10, 10_000);
        // CHECK of Debian's portmap looks for the rules of an IPv4 address in the tables of IPv6, too.
        if (path === CURRENT.path) await a.pod.check(a.conf, options);
      }
      await expectUnchanged(node, before);
    });
  });

  test("has what only the current bridge plugin can do: its options are passed on", async () => {
    const list = network.list(1, "1.1.0", { portIsolation: true });
    await using _a = await attached(1, "isolated", CURRENT, list);
    const { stdout } = await network.node(1).exec(["ip", "-d", "link", "show", "master", "cni0"]);
    expect(stdout).toContain(" isolated on ");
  });
});

const CAPABILITY_ARGS = { portMappings: [{ hostPort: ECHO_PORT, containerPort: ECHO_PORT, protocol: "udp" }] };
