import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Attachment } from "../../src/attachment/record.ts";
import type { Node } from "../../src/testbed/node.ts";
import { podvpn, podvpnJson } from "./support/cli.ts";
import { addedPod, BUILT, Cluster, conf, PSK } from "./support/cluster.ts";
import { DUAL_STACK } from "./support/dual-stack.ts";
import { eventually } from "./support/eventually.ts";
import { Gate, HELD } from "./support/gate.ts";
import { keyPair } from "./support/mesh.ts";
import { mountedOver } from "./support/mounted.ts";
import { killed, wireguardGo } from "./support/wg.ts";

interface Shown {
  readonly containerID: string;
  readonly type: string;
  readonly addresses: readonly string[];
  readonly state: string;
  readonly problems: readonly string[];
}

interface StatusJson {
  readonly healthy: boolean;
  readonly attachments: readonly Shown[];
  readonly devices: readonly { readonly interface: string; readonly problems: readonly string[] }[];
  readonly damage: readonly string[];
}

const KUBERNETES = { ...BUILT, args: { IgnoreUnknown: "1", K8S_POD_NAMESPACE: "shop", K8S_POD_NAME: "web-0" } };

let cluster: Cluster;
let node: Node;
beforeAll(async () => {
  cluster = await Cluster.create(2);
  node = cluster.node(1);
});
afterAll(() => cluster[Symbol.asyncDispose]());

const PEER = keyPair().publicKey;

/** A mesh whose only peer is a node that has nothing to say. */
const MESH = {
  cniVersion: "1.0.0",
  name: "mesh",
  type: "wireguard",
  wireguard: {
    peers: [{ publicKey: PEER, endpoint: "10.9.0.2:51820", allowedIPs: ["10.1.2.0/24"] }],
    removeWithLastPod: true,
  },
  bridge: "cni1",
  isDefaultGateway: true,
  ipMasq: true,
  ipam: { type: "host-local", subnet: "10.1.1.0/24" },
};

const meshPod = (name: string) => addedPod(node, name, MESH as unknown as ReturnType<typeof conf>);

function json(code: number): Promise<StatusJson> {
  return podvpnJson<StatusJson>(node, code, "status");
}

async function charonOf(containerID: string): Promise<string> {
  return (await node.readFile(`/run/podvpn/pods/${containerID}+eth0/charon.pid`)).trim();
}

/** Takes a node's cable out, until it is disposed. */
async function unplugged(of: Node): Promise<AsyncDisposable> {
  await of.setUnderlay(false);
  return { [Symbol.asyncDispose]: () => of.setUnderlay(true) };
}

/** States and problems by container. */
function stateOf({ attachments }: StatusJson) {
  return Object.fromEntries(attachments.map(({ containerID, state, problems }) => [containerID, [state, ...problems]]));
}

describe("a node where all is well", () => {
  test("lists pods of both types, and the node's device, for people and for programs", async () => {
    await using one = await addedPod(node, "one", DUAL_STACK, KUBERNETES);
    await using two = await meshPod("two");
    const text = await podvpn(node, "status");
    expect(text).toMatchObject({ code: 0, stderr: "" });
    const [v4, v6] = one.result.ips.map(({ address }) => address.replace(/\/.*/, ""));
    expect(
      text.stdout.replaceAll(/ +\d+s$/gm, " AGE").replaceAll(/ {2,}/g, "  "),
    ).toBe(`POD  NETWORK  TYPE  ADDRESS  STATE  AGE
shop/web-0 eth0  podnet  strongswan  ${v4}  up AGE
  ${v6}
${two.pod.containerID} eth0  mesh  wireguard  ${two.ip}  up AGE

DEVICE  OF  NETWORK  PLANE  PORT  PEERS  STATE
podvpn0  node  mesh  user space  51820  0/1  up

healthy
`);
    expect(await json(0)).toMatchObject({
      healthy: true,
      attachments: [
        {
          type: "strongswan",
          network: "podnet",
          containerID: one.pod.containerID,
          ifname: "eth0",
          pod: { namespace: "shop", name: "web-0" },
          addresses: [v4, v6],
          state: "up",
          since: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
          server: "10.9.0.254",
          problems: [],
        },
        { type: "wireguard", network: "mesh", addresses: [two.ip], interface: "podvpn0", state: "up" },
      ],
      devices: [{ interface: "podvpn0", attach: "node", peers: { total: 1, alive: 0 }, problems: [] }],
      damage: [],
    });
    expect(text.stdout).not.toContain(PSK);
  });

  test("is also one with nothing attached", async () => {
    expect(await podvpn(node, "status")).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("no pod of podvpn"),
    });
    expect(await json(0)).toMatchObject({ healthy: true, attachments: [], devices: [] });
  });

  test("counts a pod that is being added at this moment as neither up nor down", async () => {
    const gate = await Gate.install(node, HELD.bridge);
    const pod = await node.addPod("coming");
    const adding = pod.add(conf(), gate.before(BUILT));
    await gate.held();
    expect(stateOf(await json(0))).toEqual({ [pod.containerID]: ["adding"] });
    await gate.open();
    await adding;
    expect(stateOf(await json(0))).toEqual({ [pod.containerID]: ["up"] });
    await pod.del(conf(), BUILT);
    await pod.remove();
  });

  test("does not count a device that is being made at this moment", async () => {
    const gate = await Gate.install(node, HELD.wireguardGo);
    const pod = await node.addPod("coming");
    await using _shell = await mountedOver(node, "/bin/sh", "--bind", gate.path);
    const adding = pod.add(MESH, BUILT);
    await gate.held();
    const status = await json(0);
    expect(stateOf(status)).toEqual({ [pod.containerID]: ["adding"] });
    expect(status.devices).toEqual([]);
    await gate.open();
    await adding;
    expect((await json(0)).devices).toMatchObject([{ interface: "podvpn0" }]);
    await pod.del(MESH, BUILT);
    await pod.remove();
  });
});

describe("what is not well is named, and nothing else", () => {
  test("a charon that was killed, and one that hangs", async () => {
    await using one = await addedPod(node, "one");
    await using two = await addedPod(node, "two");
    await using three = await addedPod(node, "three");
    await killed(node, await charonOf(one.pod.containerID));
    const hanging = await charonOf(two.pod.containerID);
    await node.exec(["kill", "-STOP", hanging]);
    const status = await json(1);
    expect(stateOf(status)).toEqual({
      [one.pod.containerID]: ["down", "its charon does not run"],
      [two.pod.containerID]: ["down", "its charon does not answer within 3 s"],
      [three.pod.containerID]: ["up"],
    });
    const text = await podvpn(node, "status");
    expect(text).toMatchObject({ code: 1, stdout: expect.stringContaining("NOT HEALTHY: 2 of 3 pods") });
    await node.exec(["kill", "-CONT", hanging]);
  });

  test("a tunnel that the hub has ended, until it is back", async () => {
    await using one = await addedPod(node, "one");
    await using _cable = await unplugged(cluster.hubNode);
    const uri = `unix:///run/podvpn/pods/${one.pod.containerID}+eth0/vici`;
    await node.exec(["swanctl", "--terminate", "--ike", "pod", "--force", "--timeout", "1", "--uri", uri], {
      check: false,
    });
    const [view] = (await json(1)).attachments;
    expect(view).toMatchObject({ state: "down", problems: ["charon has no established tunnel to the hub"] });
  });

  test("a guard, an address, a route that somebody has taken away", async () => {
    await using one = await addedPod(node, "one");
    await using two = await meshPod("two");
    await one.pod.exec(["nft", "flush", "ruleset"]);
    await one.pod.exec(["ip", "address", "del", `${one.ip}/32`, "dev", "eth0"]);
    await two.pod.exec(["ip", "route", "del", "10.1.2.0/24"]);
    await node.exec(["nft", "flush", "table", "inet", "podvpn-mesh-podvpn0"]);
    const status = await json(1);
    expect(stateOf(status)).toEqual({
      [one.pod.containerID]: [
        "down",
        `missing in the pod: ${one.ip} on eth0`,
        "missing in the pod: nft table inet podvpn-eth0",
      ],
      [two.pod.containerID]: [
        "down",
        "its device podvpn0 does not work",
        "missing in the pod: route to 10.1.2.0/24 via 10.1.1.1",
      ],
    });
    expect(status.devices[0]?.problems).toContain(
      "missing: rules of the chain out of the nft table inet podvpn-mesh-podvpn0",
    );
  });

  test("a wireguard-go that was killed, with the pods that need it", async () => {
    await using one = await addedPod(node, "one");
    await using two = await meshPod("two");
    await killed(node, await wireguardGo(node));
    const status = await json(1);
    expect(stateOf(status)).toEqual({
      [one.pod.containerID]: ["up"],
      [two.pod.containerID]: ["down", "its device podvpn0 does not work"],
    });
    expect(status.devices).toMatchObject([
      { interface: "podvpn0", problems: ["wireguard-go of podvpn0 does not run"] },
    ]);
  });

  test("a pod with a device of its own, when its guard is taken away, or its wireguard-go killed", async () => {
    const own = { ...MESH, wireguard: { ...MESH.wireguard, attach: "pod", address: "10.1.200.2/32" } };
    await using one = await addedPod(node, "one", own as unknown as ReturnType<typeof conf>);
    const [pod] = (await json(0)).attachments;
    expect(pod).toMatchObject({ state: "up", addresses: ["10.1.200.2"], type: "wireguard" });
    await one.pod.exec(["nft", "flush", "ruleset"]);
    const table = "missing in the pod: nft table inet podvpn-eth0";
    expect(stateOf(await json(1))).toEqual({ [one.pod.containerID]: ["down", table] });
    const pid = await node.readFile(`/run/podvpn/pods/${one.pod.containerID}+eth0/wireguard-go.pid`);
    await killed(node, pid.trim());
    const status = await json(1);
    expect(stateOf(status)).toEqual({ [one.pod.containerID]: ["down", "its device podvpn0 does not work", table] });
    expect(status.devices[0]?.problems).toEqual(["wireguard-go of podvpn0 does not run"]);
  });

  test("peers that should be kept alive, and are all silent", async () => {
    const [peer] = MESH.wireguard.peers;
    const kept = { ...MESH, wireguard: { ...MESH.wireguard, peers: [{ ...peer, persistentKeepalive: 25 }] } };
    await using _one = await addedPod(node, "one", kept as unknown as ReturnType<typeof conf>);
    const { devices } = await json(1);
    expect(devices[0]?.problems).toEqual(["its peer has not answered for 3 minutes"]);
  });

  test("a namespace that is gone, an ADD that was broken off, and a record that is damaged", async () => {
    await using one = await addedPod(node, "one");
    const directory = `/run/podvpn/pods/${one.pod.containerID}+eth0`;
    const record = await node.readFile(`${directory}/attachment.json`);
    const clone = async (containerID: string, changes: Partial<Attachment>) => {
      const changed = JSON.stringify({ ...JSON.parse(record), containerID, ...changes });
      await node.writeFile(`/run/podvpn/pods/${containerID}+eth0/attachment.json`, changed);
    };
    await clone("gone", { netns: "/run/netns/nowhere" });
    await clone("broken", { phase: "adding" });
    await node.writeFile("/run/podvpn/pods/damaged+eth0/attachment.json", "{");
    const status = await json(1);
    expect(stateOf(status)).toEqual({
      [one.pod.containerID]: ["up"],
      gone: ["down", "its network namespace is gone: a DEL clears up"],
      broken: ["down", "its ADD was broken off: a DEL, or another ADD, clears it away"],
    });
    expect(status.damage).toEqual(["/run/podvpn/pods/damaged+eth0/attachment.json is not a record of this podvpn"]);
    for (const name of ["gone", "broken", "damaged"]) await node.exec(["rm", "-r", `/run/podvpn/pods/${name}+eth0`]);
    expect((await json(0)).healthy).toBe(true);
  });
});

test("a hundred charons that hang take hardly longer than one", async () => {
  await using one = await addedPod(node, "one");
  const directory = `/run/podvpn/pods/${one.pod.containerID}+eth0`;
  const record: object = JSON.parse(await node.readFile(`${directory}/attachment.json`));
  const measured = async (count: number) => {
    for (let index = 0; index < count; index += 1) {
      const path = `/run/podvpn/pods/hanging${index}+eth0`;
      await node.writeFile(`${path}/attachment.json`, JSON.stringify({ ...record, containerID: `hanging${index}` }));
    }
    await using hanging = node.spawn(["bash", "-c", HANGING]);
    await eventually("they listen", 20_000, async () => {
      const { stdout } = await node.exec(["sh", "-c", "ls -d /run/podvpn/pods/hanging*/vici 2>/dev/null | wc -l"]);
      return Number(stdout) === count;
    });
    const start = performance.now();
    const status = await json(1);
    const took = performance.now() - start;
    const silent = status.attachments.filter(
      ({ problems }) => problems.join() === "its charon does not answer within 3 s",
    );
    expect(silent).toHaveLength(count);
    await hanging.stop();
    await node.exec(["sh", "-c", "rm -r /run/podvpn/pods/hanging*"]);
    return took;
  };
  expect(await measured(100)).toBeLessThan(3 * (await measured(1)));
});

/** For each directory something that is taken for its charon, listens, and never answers. */
const HANGING = `for directory in /run/podvpn/pods/hanging*; do
  STRONGSWAN_CONF=$directory/strongswan.conf socat -u "UNIX-LISTEN:$directory/vici,fork" OPEN:/dev/null &
  echo $! >"$directory/charon.pid"
done
wait`;
