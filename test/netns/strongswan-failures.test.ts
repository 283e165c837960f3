import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Runtime } from "../../src/cni/runtime.ts";
import type { Node } from "../../src/testbed/node.ts";
import { ENVIRONMENT } from "../../src/testbed/place.ts";
import { StockHub, type StockHubOptions } from "../../src/testbed/stock-hub.ts";
import {
  addedPod,
  Cluster,
  conf,
  DIST,
  HUB_ADDRESS,
  HUB_ADDRESS_6,
  PSK,
  VIRTUAL_SUBNET,
  VIRTUAL_SUBNET_6,
} from "./support/cluster.ts";
import { eventually } from "./support/eventually.ts";
import { failedAdd, failure, hubForgets } from "./support/failed-add.ts";
import { emptied, mountedOver, withoutProgram } from "./support/mounted.ts";

let cluster: Cluster;
/** Added before all failures, and intact after them. */
let witness: Awaited<ReturnType<typeof addedPod>>;

beforeAll(async () => {
  cluster = await Cluster.create(1);
  witness = await addedPod(cluster.node(), "witness");
});
afterAll(async () => {
  await witness?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});

let hubs = 0;

/** A hub beside the cluster's own. */
async function anotherHub(options: Partial<StockHubOptions> = {}): Promise<{ hub: StockHub; address: string }> {
  hubs += 1;
  const address = `10.9.0.${100 + hubs}`;
  const node = await cluster.testbed.node(`hub${hubs}`, { addresses: [`${address}/24`, `fd00:9::${100 + hubs}/64`] });
  return { hub: await StockHub.start(node, { psk: PSK, ...options }), address };
}

/** For `StockHubOptions.edit`: what it looks for must be in the example. */
function replacing(old: string | RegExp, by: string) {
  return (swanctlConf: string) => {
    expect(swanctlConf).toMatch(old);
    return swanctlConf.replace(old, by);
  };
}

/** The hub's `remote` section. */
const REMOTE = /remote \{[^}]*\}/;
/** The hub's own identity is `hub`. */
const OTHER_SUBNET = "10.174.0.0/16";

/** Every answer of a hub that is no tunnel, and comes at once. */
const REFUSALS: readonly {
  readonly name: string;
  readonly hub?: Partial<StockHubOptions>;
  /** What is done to the hub's node. */
  readonly prepare?: readonly [string, ...string[]];
  readonly vpn?: Record<string, unknown>;
  /** Milliseconds. */
  readonly within?: number;
  readonly code: number;
  readonly msg: readonly string[];
  readonly details: string;
}[] = [
  {
    name: "a wrong PSK",
    hub: { psk: "another PSK" },
    within: 1000,
    code: 105,
    msg: ['refused identity "n1-failing.eth0@', "see that vpn.PSK or vpn.pskFile is the hub's"],
    details: "received AUTHENTICATION_FAILED notify error",
  },
  {
    name: "an identity that the hub does not take",
    hub: { edit: replacing(REMOTE, "remote {\n auth = psk\n id = *@elsewhere\n }") },
    code: 105,
    msg: ['refused identity "n1-failing.eth0@', "that the hub knows the identity"],
    details: "received AUTHENTICATION_FAILED notify error",
  },
  {
    name: "another vpn.serverID than the hub's",
    vpn: { serverID: "other.example" },
    code: 105,
    msg: ['(asked for hub "other.example")', "that vpn.serverID is its own"],
    details: "received AUTHENTICATION_FAILED notify error",
  },
  {
    name: "a hub without a connection",
    hub: { edit: replacing("connections {", "connections-later {") },
    code: 106,
    msg: ["has no connection for us", "see that the hub's configuration is loaded"],
    details: "received NO_PROPOSAL_CHOSEN notify error",
  },
  {
    name: "other IKE proposals",
    hub: { edit: replacing(/^( *)proposals = .*$/m, "$1proposals = aes256gcm16-prfsha384-x25519") },
    code: 106,
    msg: ["accepts none of our IKE proposals", "set vpn.proposals"],
    details: "received NO_PROPOSAL_CHOSEN notify error",
  },
  {
    name: "other ESP proposals",
    hub: { edit: replacing(/^( *)esp_proposals = .*$/m, "$1esp_proposals = aes256gcm16-x25519") },
    code: 106,
    msg: ["accepts none of our ESP proposals", "set vpn.espProposals"],
    details: "received NO_PROPOSAL_CHOSEN notify, no CHILD_SA built",
  },
  {
    name: "a virtual subnet that the hub does not serve",
    vpn: { virtualSubnet: OTHER_SUBNET },
    code: 107,
    msg: ["does not serve vpn.virtualSubnet", "the hub's local_ts"],
    details: "received TS_UNACCEPTABLE notify, no CHILD_SA built",
  },
  {
    name: "a hub in user space without an address of its own in its virtual subnet",
    prepare: ["ip", "address", "delete", "10.173.255.254/32", "dev", "lo"],
    code: 107,
    msg: ["does not serve vpn.virtualSubnet", "needs an address of its own in it"],
    details: "received TS_UNACCEPTABLE notify, no CHILD_SA built",
  },
  {
    name: "a hub without a pool",
    hub: { edit: replacing(/^ *pools = .*$/m, "") },
    code: 11,
    msg: ["has no free virtual IP for us", "enlarge the hub's pool"],
    details: "received INTERNAL_ADDRESS_FAILURE notify, no CHILD_SA built",
  },
  {
    name: "a hub without a pool for one of two families",
    hub: { edit: replacing("pools = virtual4, virtual6", "pools = virtual4") },
    vpn: { virtualSubnet: [VIRTUAL_SUBNET, VIRTUAL_SUBNET_6] },
    code: 11,
    msg: ["gave no virtual IPv6 address", "add an IPv6 pool to the hub"],
    details: "",
  },
  {
    name: "a pool outside of vpn.virtualSubnet",
    hub: { edit: replacing("addrs = 10.173.0.0/20", "addrs = 10.175.0.0/20") },
    code: 107,
    msg: ["the hub gave 10.175.0.1, which is not in vpn.virtualSubnet (10.173.0.0/16)"],
    details: "",
  },
];

describe("a hub that refuses", () => {
  test.each(REFUSALS)("$name", async ({ hub: options, prepare, vpn, within = 5000, ...expected }) => {
    const { hub, address } = await anotherHub(options);
    if (prepare !== undefined) await hub.node.exec(prepare);
    const error = await failedAdd(cluster.node(), conf({ vpn: { serverIP: address, ...vpn } }), { within });
    expect(error).toMatchObject({ code: expected.code, details: expect.stringContaining(expected.details) });
    for (const part of expected.msg) expect(error.msg).toContain(part);
    await hubForgets(hub);
  });

  test("a pool of one address gives it to one pod, and to the next when that has gone", async () => {
    const { hub, address } = await anotherHub({
      edit: replacing("addrs = 10.173.0.0/20", "addrs = 10.173.9.9/32"),
    });
    const configuration = conf({ vpn: { serverIP: address } });
    {
      await using first = await addedPod(cluster.node(), "first", configuration);
      expect(first.ip).toBe("10.173.9.9");
      const error = await failedAdd(cluster.node(), configuration);
      expect(error.code).toBe(11);
      expect(error.msg).toBe(
        `hub ${address} has no free virtual IP for us; enlarge the hub's pool, or wait until leases are freed`,
      );
    }
    {
      await using second = await addedPod(cluster.node(), "second", configuration);
      expect(second.ip).toBe("10.173.9.9");
    }
    await hubForgets(hub);
  });
});

describe("a hub that accepts", () => {
  test("its own identity as vpn.serverID, and no pod's but those it knows", async () => {
    const { hub, address } = await anotherHub({
      edit: replacing(REMOTE, "remote {\n auth = psk\n id = *@elsewhere\n }"),
    });
    const vpn = { serverIP: address, serverID: "hub", identity: "{containerID}@elsewhere" };
    {
      await using _pod = await addedPod(cluster.node(), "known", conf({ vpn }));
      expect(await hub.swanctl("--list-sas")).toContain("'n1-known@elsewhere'");
    }
    await hubForgets(hub);
  });
});

/** `vpn.timeout` where a hub is silent, in milliseconds; and what an ADD may take beside it. */
const TIMEOUT = 1500;
const A_LITTLE = 2500;

/** An address of the underlay that nobody has. */
const NOBODY = "10.9.0.250";

/** Drops what comes in to a UDP port. */
function closedPort(port: number): readonly [string, ...string[]] {
  return ["iptables", "-A", "INPUT", "-p", "udp", "--dport", String(port), "-j", "DROP"];
}

describe("a hub that is silent", () => {
  test.each([
    {
      name: "because its UDP port 500 is closed",
      prepare: closedPort(500),
      msg: "no answer from hub ADDRESS within 1.5 s",
    },
    {
      name: "because its UDP port 4500 is closed",
      prepare: closedPort(4500),
      msg: "hub ADDRESS answers on UDP port 500 but not on 4500; let UDP port 4500 pass",
    },
    {
      name: "because no charon runs there",
      prepare: undefined,
      msg: "no answer from hub ADDRESS within 1.5 s; see that the hub runs, that the pod reaches it, and that UDP ports 500 and 4500 pass",
    },
  ])("$name", async ({ prepare, msg }) => {
    const { hub, address } = await anotherHub();
    if (prepare === undefined) await hub.down();
    else await hub.node.exec(prepare);
    const error = await failedAdd(cluster.node(), conf({ vpn: { serverIP: address, timeout: `${TIMEOUT}ms` } }), {
      within: TIMEOUT + A_LITTLE,
    });
    expect(error.code).toBe(104);
    expect(error.msg).toContain(msg.replace("ADDRESS", address));
    expect(error.details).toMatch(/retransmit \d of request with message ID [01]/);
    expect(error.took).toBeGreaterThan(TIMEOUT);
  });

  test("because nobody has the address", async () => {
    const error = await failedAdd(cluster.node(), conf({ vpn: { serverIP: NOBODY, timeout: `${TIMEOUT}ms` } }), {
      within: TIMEOUT + A_LITTLE,
    });
    expect(error.code).toBe(104);
    expect(error.msg).toContain(`no answer from hub ${NOBODY} within 1.5 s`);
  });

  test("because the pod has no route to it", async () => {
    const configuration = conf({ isDefaultGateway: false, vpn: { timeout: `${TIMEOUT}ms` } });
    const error = await failedAdd(cluster.node(), configuration, { within: TIMEOUT + A_LITTLE });
    expect(error.code).toBe(104);
    expect(error.msg).toBe(
      `the pod has no route to hub ${HUB_ADDRESS}; give the pod a default route (isDefaultGateway, or routes in ipam)`,
    );
  });

  test("and another one answers: the next is asked", async () => {
    const configuration = conf({ vpn: { serverIP: [NOBODY, HUB_ADDRESS], timeout: "3s" } });
    await using pod = await addedPod(cluster.node(), "second-choice", configuration);
    expect(await pod.pod.ping(witness.ip, 2)).toBe(true);
  });

  test("and the other one refuses: both are named", async () => {
    const { address } = await anotherHub({ psk: "another PSK" });
    const configuration = conf({ vpn: { serverIP: [NOBODY, address], timeout: "3s" } });
    const error = await failedAdd(cluster.node(), configuration, { within: 3000 + A_LITTLE });
    expect(error.msg).toContain(`no answer from hub ${NOBODY}`);
    expect(error.msg).toContain(`hub ${address} refused identity`);
  });

  test("and so are all others: all are named", async () => {
    const { hub, address } = await anotherHub();
    await hub.down();
    const configuration = conf({ vpn: { serverIP: [NOBODY, address], timeout: "2s" } });
    const error = await failedAdd(cluster.node(), configuration, { within: 2000 + A_LITTLE });
    expect(error.code).toBe(104);
    expect(error.msg).toContain(`no answer from hub ${NOBODY} within 1 s`);
    expect(error.msg).toContain(`no answer from hub ${address} within 1 s`);
  });

  test("while its charon is killed: that is told at once", async () => {
    const directory = "/run/podvpn/pods/n1-failing+eth0";
    const error = await failedAdd(cluster.node(), conf({ vpn: { serverIP: NOBODY, timeout: "60s" } }), {
      meanwhile: async ({ node }) => {
        await eventually("charon asks the hub", 10_000, async () =>
          (await readFile(node.path(`${directory}/charon.log`), "utf8").catch(() => "")).includes("sending packet"),
        );
        const pid = await node.readFile(`${directory}/charon.pid`);
        await node.exec(["kill", "-KILL", pid.trim()]);
      },
    });
    expect(error.code).toBe(103);
    expect(error.msg).toMatch(/charon/);
    expect(error.details).toContain("sending packet");
  });
});

/** Whether a process of the node has `word` in its command line. */
async function hasProcess(node: Node, word: string): Promise<boolean> {
  return ((await node.snapshot()).get("processes") ?? []).some((line) => line.includes(word));
}

describe("a node that lacks something", () => {
  test("charon-systemd", async () => {
    const node = cluster.node();
    await using _missing = await withoutProgram(node, "/usr/sbin/charon-systemd");
    const error = await failedAdd(node, conf());
    expect(error.code).toBe(101);
    expect(error.msg).toMatch(
      /^charon-systemd is in none of \/usr\/sbin, .*; install strongSwan \(Debian: charon-systemd/,
    );
  });

  test("/dev/net/tun", async () => {
    const node = cluster.node();
    await using _missing = await emptied(node, "/dev/net");
    const error = await failedAdd(node, conf({ vpn: { dataplane: "userspace" } }));
    expect(error.code).toBe(101);
    expect(error.msg).toBe("/dev/net/tun cannot be opened (ENOENT); load the kernel module tun (`modprobe tun`)");
  });

  test("a /dev/net/tun that makes TUN devices", async () => {
    const node = cluster.node();
    await using _wrong = await mountedOver(node, "/dev/net/tun", "--bind", "/dev/zero");
    const error = await failedAdd(node, conf({ vpn: { dataplane: "userspace" } }), {
      // charon's own crash handler starts them, and they outlive it for a moment.
      afterwards: () => eventually("addr2line ends", 5000, async () => !(await hasProcess(node, "addr2line"))),
    });
    expect(error.code).toBe(101);
    expect(error.msg).toContain("charon could not install the SA on this node; see that /dev/net/tun works");
    expect(await cluster.onlineLeases()).toHaveLength(1);
  });

  test("a charon that runs: its end is told at once", async () => {
    const node = cluster.node();
    await using _broken = await mountedOver(node, "/usr/sbin/charon-systemd", "--bind", "/bin/false");
    const error = await failedAdd(node, conf(), { within: 5000 });
    expect(error.code).toBe(103);
    expect(error.msg).toBe("charon ended (exit status 1); see /run/podvpn/pods/n1-failing+eth0/charon.log");
  });

  test("the bridge plugin", async () => {
    const error = await failedAdd(cluster.node(), conf(), { path: [DIST] });
    expect(error.code).toBe(100);
    expect(error.msg).toContain(
      `no CNI plugin "bridge" in ${DIST}; install it there (Debian: containernetworking-plugins`,
    );
  });

  test("the IPAM plugin that the configuration names", async () => {
    const error = await failedAdd(cluster.node(), conf({ ipam: { type: "no-such-ipam" } }));
    expect(error.msg).toContain("no-such-ipam");
  });

  test("free addresses on the bridge", async () => {
    const ipam = {
      type: "host-local",
      ranges: [[{ subnet: "172.17.1.0/24", rangeStart: "172.17.1.77", rangeEnd: "172.17.1.77" }]],
    };
    const configuration = conf({ name: "tiny", ipam });
    await using _only = await addedPod(cluster.node(), "only", configuration);
    const error = await failedAdd(cluster.node(), configuration);
    expect(error.msg).toContain("no IP addresses available");
  });

  test("algorithms that vpn.proposals names", async () => {
    const error = await failedAdd(cluster.node(), conf({ vpn: { proposals: "aes128gcm16-prfsha256-curve9" } }));
    expect(error.code).toBe(7);
    expect(error.msg).toContain("correct vpn.proposals or vpn.espProposals");
  });
});

describe("IPv6", () => {
  /** A pod that reaches a hub by IPv6. */
  const dual = {
    name: "dual",
    ipam: { type: "host-local", ranges: [[{ subnet: "172.17.2.0/24" }], [{ subnet: "fd00:172:17:2::/64" }]] },
    bridge: "cni2",
  };

  test("a serverIP of that family gives virtual IPs of both", async () => {
    const vpn = { serverIP: HUB_ADDRESS_6, virtualSubnet: [VIRTUAL_SUBNET, VIRTUAL_SUBNET_6] };
    await using pod = await addedPod(cluster.node(), "six", conf({ ...dual, vpn }));
    expect(await pod.pod.ping(witness.ip, 2)).toBe(true);
    expect(await pod.pod.ping("fd00:173::ffff", 2)).toBe(true);
    expect(await cluster.hub.swanctl("--list-sas")).toContain(`local  'hub' @ ${HUB_ADDRESS_6}[4500]`);
  });

  test("a serverIP that nobody has is told as such", async () => {
    const vpn = { serverIP: "fd00:9::fa", timeout: `${TIMEOUT}ms` };
    const error = await failedAdd(cluster.node(), conf({ ...dual, vpn }), { within: TIMEOUT + A_LITTLE });
    expect(error.code).toBe(104);
    expect(error.msg).toContain("no answer from hub fd00:9::fa within 1.5 s");
  });
});

describe("the PSK", () => {
  /** What a node shows of its processes and files. The runtime's own cache is not ours: it holds the configuration. */
  const EVERYTHING = `
    cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ
    grep -r --exclude-dir=cache . /run /var/lib/cni /var/lib/podvpn /etc/cni
    true`;

  test.each([
    { name: "right", psk: PSK, code: undefined },
    { name: "wrong", psk: "the wrong PSK: nowhere but in this test", code: 105 },
  ])("that is $name is in no error, log, file, command line or environment", async ({ psk, code }) => {
    const node = cluster.node();
    await using pod = await node.addPod("secretive");
    const seen: string[] = [];
    const runtime = new Runtime({
      path: [DIST, "/usr/lib/cni"],
      root: node.path(""),
      cacheDir: node.path("/var/lib/cni/cache"),
      env: { ...ENVIRONMENT, PODVPN_TRACE: "1" },
      run: async (...call) => {
        const result = await node.run(...call);
        seen.push(result.stdout.toString(), result.stderr.toString());
        return result;
      },
    });
    const look = async () => seen.push((await node.exec(["sh", "-c", EVERYTHING], { check: false })).stdout);
    const attachment = { containerID: pod.containerID, netns: pod.netnsPath, ifname: "eth0" };
    const configuration = conf({ logFile: "/run/secretive.log", logLevel: "debug", vpn: { PSK: psk } });

    let over = false;
    const added = runtime.add(configuration, attachment).finally(() => {
      over = true;
    });
    const ended = code === undefined ? added : failure(added);
    while (!over) await look();
    if (code === undefined) await runtime.del(configuration, attachment);
    else expect(await ended).toMatchObject({ code });
    await look();

    const everything = seen.join("\n");
    expect(everything).toContain("STRONGSWAN_CONF=/run/podvpn/pods/n1-secretive+eth0/strongswan.conf");
    expect(everything).toContain("/run/secretive.log:");
    const bytes = Buffer.from(psk);
    for (const form of [psk, bytes.toString("hex"), bytes.toString("base64")]) expect(everything).not.toContain(form);
  });
});

test("a pod that was there before is none the worse", async () => {
  await using peer = await addedPod(cluster.node(), "peer");
  expect(await witness.pod.ping(peer.ip, 2)).toBe(true);
});
