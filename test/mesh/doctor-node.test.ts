import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Node } from "../../src/testbed/node.ts";
import { Testbed } from "../../src/testbed/testbed.ts";
import { BUILT, DIST, PSK } from "../netns/support/cluster.ts";
import { doctor, findingOf, run } from "../netns/support/doctor.ts";

let testbed: Testbed;
let node: Node;
beforeEach(async () => {
  testbed = await Testbed.create();
  node = await testbed.node("n1", { addresses: ["10.9.0.1/24"] });
});
afterEach(() => testbed[Symbol.asyncDispose]());

const CONF = {
  cniVersion: "1.0.0",
  name: "podnet",
  type: "strongswan",
  vpn: { serverIP: "10.9.0.254", virtualSubnet: "10.173.0.0/16", PSK },
  bridge: "cni0",
  isDefaultGateway: true,
  ipam: { type: "host-local", subnet: "172.17.1.0/24" },
};
/** As these plugins write them. */
const FLANNEL = {
  name: "cbr0",
  cniVersion: "0.3.1",
  plugins: [
    { type: "flannel", delegate: { hairpinMode: true, isDefaultGateway: true } },
    { type: "portmap", capabilities: { portMappings: true } },
  ],
};
const CALICO = {
  name: "k8s-pod-network",
  cniVersion: "0.3.1",
  plugins: [
    { type: "calico", datastore_type: "kubernetes", mtu: 0, ipam: { type: "calico-ipam" } },
    { type: "bandwidth" },
  ],
};
const OWN = "/etc/cni/net.d/20-podvpn.conf";

const sh = (script: string) => node.exec(["sh", "-ec", script]);

async function installed(): Promise<void> {
  await sh(
    `mkdir -p /opt/cni/bin; ln -sf ${DIST}/podvpn ${DIST}/wireguard ${DIST}/strongswan /usr/lib/cni/* /opt/cni/bin`,
  );
  await node.writeFile(OWN, JSON.stringify(CONF));
}

describe("podvpn doctor on a node without a mesh", () => {
  test("has nothing bad to say of an empty one", async () => {
    const { code, bad, findings } = await doctor(node);
    expect(bad).toEqual([]);
    expect(code).toBe(0);
    expect(findings.filter(({ outcome }) => outcome === "not applicable").map(({ check }) => check)).toEqual(
      expect.arrayContaining(["configuration", "agent", "overlap", "routes", "underlay", "tunnel", "pods"]),
    );
  });

  test("tells what it does in at most 80 columns on a terminal, as a command that can be copied", async () => {
    const { stdout } = await node.exec(["script", "-qec", `${DIST}/podvpn doctor`, "/dev/null"], { check: false });
    const lines = stdout.split(/\r?\n/);
    expect(lines).toContain("kernel");
    expect(lines.filter((line) => line.length > 80 && !line.includes(DIST))).toEqual([]);
  });

  test("finds plugins that the runtime does not find, and the commands put them there", async () => {
    await node.writeFile(OWN, JSON.stringify(CONF));
    await sh("mkdir -p /opt/cni/bin");
    const before = await doctor(node);
    const bridge = findingOf(
      before,
      "programs",
      /^the plugin bridge is in \/usr\/lib\/cni\/bridge, not in \/opt\/cni\/bin/,
    );
    expect(bridge.command).toBe("ln -s /usr/lib/cni/bridge /opt/cni/bin/bridge");
    await run(node, bridge);
    await run(node, findingOf(before, "programs", /^the plugin host-local is in /));
    const own = findingOf(before, "programs", /^podvpn, strongswan, wireguard are not in \/opt\/cni\/bin/);
    expect(own.command).toBe(`${DIST}/podvpn install --bin-dir /opt/cni/bin`);
    await run(node, own);
    expect((await doctor(node)).bad).toEqual([]);
    await using pod = await node.addPod("p");
    // The hub is not there: but all plugins were found.
    await expect(pod.add(CONF, { path: ["/opt/cni/bin"] })).rejects.toThrow(/hub|10\.9\.0\.254/);
  });

  test("finds /dev/net/tun gone, and the command makes it", async () => {
    await installed();
    await sh("mount -t tmpfs tmpfs /dev/net");
    const finding = findingOf(await doctor(node), "kernel", /^\/dev\/net\/tun cannot be opened \(ENOENT\)/);
    await run(node, finding);
    expect((await doctor(node)).bad).toEqual([]);
  });

  test.each([
    {
      name: "is before podvpn's",
      file: "05-flannel.conflist",
      text: JSON.stringify(FLANNEL),
      what: /the runtime takes the first file, .*05-flannel/,
    },
    {
      name: "is before podvpn's, and Calico's",
      file: "10-calico.conflist",
      text: JSON.stringify(CALICO),
      what: /the runtime takes the first file, .*10-calico/,
    },
    {
      name: "is not JSON",
      file: "10-broken.conf",
      text: '{"type": ',
      what: /10-broken\.conf cannot be read: it is not JSON/,
    },
    {
      name: "has no name",
      file: "10-broken.conf",
      text: '{"type": "bridge"}',
      what: /10-broken\.conf cannot be read: name is missing/,
    },
  ])("finds a network configuration that $name, and the command puts it aside", async ({ file, text, what }) => {
    await installed();
    expect((await doctor(node)).bad).toEqual([]);
    await node.writeFile(`/etc/cni/net.d/${file}`, text);
    const finding = findingOf(await doctor(node), "configuration", what);
    expect(finding.command).toBe(`mv /etc/cni/net.d/${file} /etc/cni/net.d/${file}.disabled`);
    await run(node, finding);
    expect((await doctor(node)).bad).toEqual([]);
  });

  test("tells what podvpn's plugin would refuse of its configuration, and no secret", async () => {
    await installed();
    await node.writeFile(OWN, JSON.stringify({ ...CONF, vpn: { ...CONF.vpn, virtualSubnet: "10.173/16" } }));
    const diagnosis = await doctor(node);
    findingOf(diagnosis, "configuration", /20-podvpn\.conf: .*vpn\.virtualSubnet is "10\.173\/16"/);
    expect(JSON.stringify(diagnosis)).not.toContain(PSK);
  });

  test("finds what other network plugins left, and the commands take it away", async () => {
    await installed();
    const leave = [
      "ip link add flannel.1 type vxlan id 1 dev eth0 dstport 8472 nolearning",
      "ip address add 10.244.1.0/32 dev flannel.1; ip link set flannel.1 up",
      "ip route add 10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink",
      "ip link add vxlan.calico type vxlan id 4096 dev eth0 dstport 4789",
      "ip link add cilium_host type veth peer name cilium_net",
      "ip link add cali0123456789a type veth peer name other",
    ];
    await sh(`${leave.join("; ")}; echo '${JSON.stringify(FLANNEL)}' >/etc/cni/net.d/99-flannel.conflist`);
    await sh(`echo '${JSON.stringify(CALICO)}' >/etc/cni/net.d/98-calico.conflist`);
    for (const what of [
      /the link flannel\.1 is flannel's/,
      /the link vxlan\.calico is Calico's/,
      /cilium_host is Cilium's/,
      /cali0123456789a is Calico's/,
      /99-flannel\.conflist is flannel's/,
      /98-calico\.conflist is Calico's/,
    ]) {
      await run(node, findingOf(await doctor(node), "leftovers", what, "warning"));
    }
    const { findings } = await doctor(node);
    expect(findings.filter(({ outcome }) => outcome === "warning" || outcome === "bad")).toEqual([]);
    expect((await sh("ip -o link; ip route")).stdout).not.toMatch(/flannel|10\.244|cali|cilium/);
  });

  test("finds a bridge with another network's address, and the command takes it away", async () => {
    await installed();
    const wireguard = { peers: [] };
    await node.writeFile(OWN, JSON.stringify({ ...CONF, type: "wireguard", vpn: undefined, wireguard }));
    await sh("ip link add cni0 type bridge; ip address add 10.244.3.1/24 dev cni0; ip link set cni0 up");
    const conf: Record<string, unknown> = JSON.parse(await node.readFile(OWN));
    await using pod = await node.addPod("p");
    await expect(pod.add(conf, BUILT)).rejects.toThrow(/already has an IP address different from/);
    await run(node, findingOf(await doctor(node), "leftovers", /^the bridge cni0 has the address 10\.244\.3\.1/));
    await pod.add(conf, BUILT);
    expect((await doctor(node)).bad).toEqual([]);
    await pod.del(conf, BUILT);
  });

  test("finds a clock that is behind what others noted", async () => {
    await installed();
    await sh(`touch -d '+2 days' ${OWN}`);
    const finding = findingOf(await doctor(node), "clock", /20-podvpn\.conf was written at .*, 172\d\d\d s later/);
    expect(finding.command).toBe("timedatectl set-ntp true"); // not to be run: the clock is the machine's
  });
});
