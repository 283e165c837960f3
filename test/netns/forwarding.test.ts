import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { closeForwarding } from "../../src/forwarding/close.ts";
import { forwardingObstacles } from "../../src/forwarding/obstacles.ts";
import { openForwarding } from "../../src/forwarding/open.ts";
import { applySysctls, meshSysctls, restoreSysctls } from "../../src/forwarding/sysctl.ts";
import { type Prefix, parsePrefix } from "../../src/net/prefix.ts";
import { readSysctl } from "../../src/os/sysctl.ts";
import { DEVICE, POD_INTERFACE, POD_SUBNET, Router } from "./support/router.ts";

let router: Router;
beforeAll(async () => {
  router = await Router.create();
});
afterEach(async () => {
  await router.reset();
});
afterAll(async () => {
  await router[Symbol.asyncDispose]();
});

const prefix = (text: string): Prefix => parsePrefix(text) ?? expect.fail(text);
const SUBNETS = [prefix(POD_SUBNET[4]), prefix(POD_SUBNET[6])];
const request = () => ({ device: DEVICE, subnets: SUBNETS, netns: router.netns });

/** Whether the pod reaches the remote one, by IPv4 and by IPv6. */
async function reaches(): Promise<[boolean, boolean]> {
  return [await router.reaches(4), await router.reaches(6)];
}

test("a node without firewalls is asked, and nothing is made by asking", async () => {
  await using fresh = await Router.create();
  const before = await fresh.node.snapshot();
  expect(await openForwarding({ device: DEVICE, subnets: SUBNETS, netns: fresh.netns })).toEqual([]);
  await closeForwarding({ netns: fresh.netns });
  expect(await fresh.sh("cat /proc/net/ip_tables_names /proc/net/ip6_tables_names")).toBe("");
  expect(await fresh.node.snapshot()).toEqual(before);
});

describe.each(["legacy", "nft"] as const)("iptables-%s", (backend) => {
  const [four, six] = [`iptables-${backend}`, `ip6tables-${backend}`];
  const listing = () => router.sh(`${four} -S FORWARD; ${six} -S FORWARD`);

  test.each([
    ["the policy DROP", (program: string) => `${program} -P FORWARD DROP`],
    ["a last rule for everything", (program: string) => `${program} -A FORWARD -j REJECT`],
  ])("with %s is opened, once, and closed again", async (_, close) => {
    await router.sh(`${close(four)}; ${close(six)}`);
    const before = await listing();
    expect(await reaches()).toEqual([false, false]);
    expect(await forwardingObstacles(request())).toHaveLength(2);

    expect(await openForwarding(request())).toEqual([]);
    expect(await reaches()).toEqual([true, true]);
    const opened = await listing();
    expect(opened.match(/--comment podvpn/g)).toHaveLength(4);
    expect(await openForwarding(request())).toEqual([]);
    expect(await listing()).toBe(opened);
    expect(await forwardingObstacles(request())).toEqual([]);

    await closeForwarding({ device: DEVICE, netns: router.netns });
    expect(await listing()).toBe(before);
    expect(await reaches()).toEqual([false, false]);
  });

  test("lets in what the remote pod begins, and nothing that is not the pods'", async () => {
    await router.sh(`${four} -P FORWARD DROP`);
    await openForwarding(request());
    expect(await router.remote.ping("10.1.0.2")).toBe(true);
    await router.sh(`ip address add 10.3.0.1/24 dev ${POD_INTERFACE}`);
    await router.pod.exec(["ip", "address", "add", "10.3.0.2/24", "dev", "eth0"]);
    expect(await router.remote.ping("10.3.0.2")).toBe(false);
    await router.pod.exec(["ip", "address", "del", "10.3.0.2/24", "dev", "eth0"]);
    await router.sh(`ip address del 10.3.0.1/24 dev ${POD_INTERFACE}`);
  });

  test("keeps a family that refuses nothing as it is", async () => {
    await router.sh(`${four} -P FORWARD DROP; ${six} -P FORWARD ACCEPT`);
    await openForwarding(request());
    expect(await router.sh(`${six} -S FORWARD`)).toBe("-P FORWARD ACCEPT\n");
  });

  test("has the rules of others before and after", async () => {
    const others = [
      `${four} -P FORWARD DROP`,
      `${four} -A FORWARD -i eth7 -m comment --comment "not podvpn" -j ACCEPT`,
    ];
    await router.sh(others.join("\n"));
    const before = await listing();
    await openForwarding(request());
    await closeForwarding({ netns: router.netns });
    expect(await listing()).toBe(before);
  });

  test("is closed for one device, or for all", async () => {
    await router.sh(`${four} -P FORWARD DROP`);
    await openForwarding(request());
    await openForwarding({ ...request(), device: "podvpn1" });
    await closeForwarding({ device: "podvpn1", netns: router.netns });
    expect(await router.reaches(4)).toBe(true);
    await openForwarding({ ...request(), device: "podvpn1" });
    await closeForwarding({ netns: router.netns });
    expect(await listing()).not.toContain("podvpn");
  });

  test("is closed also when it does not refuse anything any more", async () => {
    await router.sh(`${four} -P FORWARD DROP`);
    await openForwarding(request());
    await router.sh(`${four} -P FORWARD ACCEPT`);
    await closeForwarding({ device: DEVICE, netns: router.netns });
    expect(await listing()).not.toContain("podvpn");
  });
});

test("both backends of iptables are opened where both refuse", async () => {
  await router.sh("iptables-legacy -P FORWARD DROP; iptables-nft -P FORWARD DROP");
  expect(await openForwarding(request())).toEqual([]);
  expect(await router.reaches(4)).toBe(true);
});

describe("a chain of somebody else", () => {
  const chain = (table: string, name: string, spec: string, rules = "") =>
    `nft 'table ${table} { chain ${name} { type filter hook forward ${spec}; ${rules} }; }'`;

  test.each([
    ["inet", chain("inet filter", "forward", "priority 0; policy drop", "ct state established accept;"), 4],
    ["inet, with a last rule", chain("inet mine", "f", "priority 10", 'iifname "x" accept; counter reject;'), 4],
    ["IPv4", chain("ip other", "through", "priority -5; policy drop"), 2],
    ["IPv6", chain("ip6 other", "through", "priority 0", "drop;"), 2],
    [
      "IPv4, with iptables' name, that iptables cannot read",
      chain("ip filter", "FORWARD", "priority 10; policy drop"),
      2,
    ],
  ])("is told of, and its command mends it: %s", async (_, script, rules) => {
    await router.sh(script);
    const closed = await reaches();
    expect(closed).toContain(false);
    const ruleset = await router.sh("nft list ruleset");
    const left = await openForwarding(request());
    expect(await router.sh("nft list ruleset")).toBe(ruleset); // it is not ours to change
    expect(left).toHaveLength(1);
    const command = left[0]?.command ?? expect.fail("no command");
    expect(left[0]?.remedy).toContain(`\`${command}\``);
    expect(command.match(/insert rule/g)).toHaveLength(rules);
    await router.sh(command);
    expect(await reaches()).toEqual([true, true]);
    expect(await openForwarding(request())).toEqual([]);
  });

  test("lacks only what is not there", async () => {
    await router.sh(chain("ip other", "through", "priority 0; policy drop", `oifname "${DEVICE}" counter accept;`));
    const [obstacle] = await openForwarding(request());
    expect(obstacle?.command).toBe(
      `nft 'insert rule ip other through iifname "${DEVICE}" ip daddr ${POD_SUBNET[4]} accept'`,
    );
  });

  test("is nobody's business when it refuses nothing, sees no forwarded packet, or none of the pods' families", async () => {
    await router.sh(chain("inet one", "f", "priority 0; policy accept", 'iifname "x" drop;'));
    await router.sh("nft 'table inet two { chain i { type filter hook input priority 0; policy drop; }; }'");
    await router.sh("nft 'table inet two { chain plain { drop; }; }'");
    await router.sh(chain("ip6 three", "f", "priority 0; policy drop"));
    expect(await openForwarding({ ...request(), subnets: SUBNETS.slice(0, 1) })).toEqual([]);
  });

  test("of firewalld is told of with firewalld's own commands, until the zone has device and pods", async () => {
    // The chain, and how a zone finds its interfaces and sources, as firewalld 1.3.3 makes them.
    await router.sh(`nft 'table inet firewalld {
      chain filter_FWD_trusted { accept; }
      chain filter_FORWARD_ZONES { }
      chain filter_FORWARD { type filter hook forward priority 10; policy accept;
        ct state { established, related } accept
        jump filter_FORWARD_ZONES
        reject with icmpx admin-prohibited; }; }'`);
    expect(await reaches()).toEqual([false, false]);
    const [obstacle, ...others] = await openForwarding(request());
    expect(others).toEqual([]);
    expect(obstacle?.command).toBe(
      `firewall-cmd --permanent --zone=trusted --add-interface=${DEVICE} && ` +
        `firewall-cmd --permanent --zone=trusted --add-source=${POD_SUBNET[4]} && ` +
        `firewall-cmd --permanent --zone=trusted --add-source=${POD_SUBNET[6]} && firewall-cmd --reload`,
    );
    const zone = (match: string) =>
      router.sh(`nft 'add rule inet firewalld filter_FORWARD_ZONES ${match} goto filter_FWD_trusted'`);
    await zone(`ip saddr ${POD_SUBNET[4]}`);
    await zone(`ip6 saddr ${POD_SUBNET[6]}`);
    expect(await openForwarding(request())).toHaveLength(1);
    await zone(`iifname "${DEVICE}"`);
    expect(await openForwarding(request())).toEqual([]);
    expect(await reaches()).toEqual([true, true]);
  });
});

describe("the kernel's settings", () => {
  const read = (key: string) => readSysctl(key, router.netns);

  test("let the node forward between pods and device, and are put back", async () => {
    await router.sh(`cd /proc/sys/net; echo 0 >ipv4/ip_forward; echo 0 >ipv6/conf/all/forwarding
      echo 1 >ipv6/conf/eth0/accept_ra; echo 1 >ipv4/conf/${DEVICE}/rp_filter`);
    expect(await reaches()).toEqual([false, false]);
    const interfaces = ["lo", "eth0", DEVICE, POD_INTERFACE];
    const wanted = { device: DEVICE, podInterface: POD_INTERFACE, families: [4, 6] as const, interfaces, read };
    const changes = meshSysctls(wanted);
    applySysctls(changes, router.netns);
    expect(await reaches()).toEqual([true, true]);
    expect(meshSysctls(wanted)).toEqual([]);
    expect(read("net/ipv4/ip_forward")).toBe("0");
    expect(read("net/ipv6/conf/eth0/accept_ra")).toBe("2");

    restoreSysctls(changes, router.netns);
    expect(changes.map(({ key }) => read(key))).toEqual(changes.map(({ before }) => before));
    expect(await reaches()).toEqual([false, false]);
    await router.sh("cd /proc/sys/net; echo 1 >ipv4/ip_forward; echo 1 >ipv6/conf/all/forwarding");
  });

  test("that somebody has changed since, or whose interface is gone, are left alone", async () => {
    await router.sh("ip link add br.42 type bridge; echo 0 >/proc/sys/net/ipv4/conf/br.42/forwarding");
    const changes = meshSysctls({ device: "br.42", families: [4], interfaces: [], read });
    applySysctls(changes, router.netns);
    expect(read("net/ipv4/conf/br.42/rp_filter")).toBe("2");
    await router.sh("echo 1 >/proc/sys/net/ipv4/conf/br.42/rp_filter");
    restoreSysctls(changes, router.netns);
    expect(read("net/ipv4/conf/br.42/rp_filter")).toBe("1");
    expect(read("net/ipv4/conf/br.42/forwarding")).toBe("0");
    await router.sh("ip link del br.42");
    restoreSysctls(changes, router.netns);
  });

  test("that the kernel does not have are named", () => {
    const change = { key: "net/ipv4/conf/gone0/forwarding", before: "0", after: "1" };
    expect(() => applySysctls([change], router.netns)).toThrow(
      "the setting net/ipv4/conf/gone0/forwarding cannot be set to 1 (ENOENT); see that the interface still exists",
    );
  });
});
