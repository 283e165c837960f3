import { describe, expect, test } from "vitest";
import { delegateConfig } from "../../../src/config/delegate.ts";
import { Code } from "../../../src/fault.ts";
import {
  ALICE,
  BOB,
  context,
  faultOf,
  files,
  issuesOf,
  PRIVATE,
  parse,
  peer,
  SHARED,
  withWireguard,
} from "./wireguard-support.ts";

describe("what is accepted", () => {
  test("the least, with a default for all else", async () => {
    expect(await parse({ wireguard: {} })).toEqual({
      attach: "node",
      interface: "podvpn0",
      privateKeyFile: "/var/lib/podvpn/wireguard/podvpn0.key",
      listenPort: 51_820,
      addresses: [],
      fwmark: 0,
      peers: [],
      dataplane: "auto",
      removeWithLastPod: false,
      logLevel: "info",
      meshPrefixes: [],
    });
  });

  test("every key, in canonical form", async () => {
    const raw = withWireguard(
      {
        attach: "node",
        interface: "mesh-1.a_b",
        privateKeyFile: "/etc/podvpn/{node}.key",
        listenPort: 0,
        address: ["10.8.0.1/24", "FD00:8::1/64"],
        mtu: 1280,
        fwmark: "0x2A",
        table: 4_294_967_295,
        peers: [
          peer({
            name: "Zürich 2",
            allowedIPs: ["10.1.2.9/24", "FD00:2::/64", "10.1.2.0/24", "10.1.3.0/24", "10.8.0.2"],
            presharedKeyFile: "/etc/podvpn/shared",
            persistentKeepalive: "25s",
          }),
          { publicKey: BOB, endpoint: "Node3.example:7", allowedIPs: "10.1.2.128/25", persistentKeepalive: 65_535 },
        ],
        dataplane: "kernel",
        removeWithLastPod: true,
      },
      { logFile: "/var/log/podvpn.log", logLevel: "debug" },
    );
    const { peers, ...config } = await parse(raw, { readSecretFile: files({ "/etc/podvpn/shared": `${SHARED}\n` }) });
    expect(config).toEqual({
      attach: "node",
      interface: "mesh-1.a_b",
      privateKeyFile: "/etc/podvpn/node1.key",
      listenPort: 0,
      addresses: [
        { address: "10.8.0.1", prefixLength: 24 },
        { address: "fd00:8::1", prefixLength: 64 },
      ],
      mtu: 1280,
      fwmark: 42,
      table: 4_294_967_295,
      dataplane: "kernel",
      removeWithLastPod: true,
      logFile: "/var/log/podvpn.log",
      logLevel: "debug",
      meshPrefixes: ["10.1.2.0/23", "10.8.0.2/32", "fd00:2::/64"],
    });
    const [first, second] = peers;
    expect(Buffer.from(first?.presharedKey?.reveal() ?? []).toString("base64")).toBe(SHARED);
    expect({ ...first, presharedKey: undefined, place: undefined }).toEqual({
      publicKey: ALICE,
      name: "Zürich 2",
      endpoint: { address: "192.0.2.2", port: 51_820 },
      allowedIPs: ["10.1.2.0/24", "fd00:2::/64", "10.1.3.0/24", "10.8.0.2/32"],
      persistentKeepalive: 25,
    });
    expect(second).toEqual({
      publicKey: BOB,
      endpoint: { host: "Node3.example", port: 7 },
      allowedIPs: ["10.1.2.128/25"],
      persistentKeepalive: 65_535,
      place: {
        publicKey: "wireguard.peers[1].publicKey",
        endpoint: "wireguard.peers[1].endpoint",
        allowedIPs: ["wireguard.peers[1].allowedIPs"],
      },
    });
    expect(first?.place.allowedIPs).toEqual([0, 1, 3, 4].map((index) => `wireguard.peers[0].allowedIPs[${index}]`));
  });

  test.each<[string, Record<string, unknown>]>([
    [
      "null for what is absent, as Go writes it",
      { privateKeyFile: null, address: null, peersFile: null, fwmark: null },
    ],
    ["an empty list of peers", { peers: [] }],
    ["a peer with nothing but its key", { peers: [{ publicKey: ALICE }] }],
    ["a peer with nothing behind it", { peers: [peer({ allowedIPs: [] })] }],
    ["a peer over a forwarder of this node", { peers: [peer({ endpoint: "127.0.0.1:5000" })] }],
    ["a prefix of one peer inside of another's", { peers: [peer(), peer({ publicKey: BOB, allowedIPs: "10.1.2.4" })] }],
    ["the only address of a link", { address: "10.8.0.0/32" }],
    ["one of two addresses of a link", { address: ["10.8.0.0/31", "fd00:8::/127"] }],
    ["auto as MTU", { mtu: "auto" }],
    ["a mark in decimal", { fwmark: 4_294_967_295 }],
  ])("%s", async (_name, keys) => {
    await expect(parse(withWireguard(keys))).resolves.toMatchObject({ attach: "node" });
  });

  test.each([
    ["off", 0],
    [0, 0],
    ["0", 0],
    ["0x10", 16],
    ["0010", 10],
    ["0xffffffff", 4_294_967_295],
  ])("fwmark %j", async (fwmark, number) => {
    expect((await parse(withWireguard({ fwmark }))).fwmark).toBe(number);
  });

  test.each([
    ["off", 0],
    [0, 0],
    [25, 25],
    ["2m", 120],
  ])("persistentKeepalive %j", async (persistentKeepalive, seconds) => {
    const { peers } = await parse(withWireguard({ peers: [peer({ persistentKeepalive })] }));
    expect(peers[0]?.persistentKeepalive).toBe(seconds);
  });

  test("keys at the top that are the bridge's or nobody's", async () => {
    const config = await parse(withWireguard({}, { vlan: 7, args: { cni: {} }, "example.com/x": [1], vpn: 3 }));
    expect(config.meshPrefixes).toEqual(["10.1.2.0/24"]);
  });
});

describe("a device of the pod's own", () => {
  test("has any port, and a key that goes with it", async () => {
    const config = await parse(withWireguard({ attach: "pod" }));
    expect(config).toMatchObject({ attach: "pod", interface: "podvpn0", listenPort: 0 });
    expect(config).not.toHaveProperty("privateKeyFile");
  });

  test("may have key and addresses by what the runtime tells of it", async () => {
    const config = await parse(
      withWireguard({
        attach: "pod",
        privateKeyFile: "/keys/{node}/{args.K8S_POD_NAME}-{containerID}.{ifname}",
        address: ["{args.IP}/24", "fd00:8::7/64"],
      }),
    );
    expect(config.privateKeyFile).toBe("/keys/node1/web-0-4f0c2a.eth0");
    expect(config.addresses).toEqual([
      { address: "10.8.0.7", prefixLength: 24 },
      { address: "fd00:8::7", prefixLength: 64 },
    ]);
  });

  test("may be the only one of its network, with a fixed key and port", async () => {
    const raw = withWireguard({ attach: "pod", privateKeyFile: "/etc/podvpn/shop.key", listenPort: 51_821 });
    expect(await parse(raw)).toMatchObject({ privateKeyFile: "/etc/podvpn/shop.key", listenPort: 51_821 });
  });

  test("may send everything into the tunnel", async () => {
    const peers = [peer({ allowedIPs: ["0.0.0.0/0", "::/0"] })];
    expect((await parse(withWireguard({ attach: "pod", peers }))).meshPrefixes).toEqual(["0.0.0.0/0", "::/0"]);
    const halves = [peer({ allowedIPs: ["0.0.0.0/1", "128.0.0.0/1"] })];
    expect((await parse(withWireguard({ attach: "pod", peers: halves }))).meshPrefixes).toEqual(["0.0.0.0/0"]);
  });

  test("is not asked for what only CNI_ARGS tell when there are none: STATUS", async () => {
    const { args: _, ...withoutArgs } = context;
    const raw = withWireguard({ attach: "pod", address: ["{args.IP}/24", "fd00:8::7/64"] });
    const { parseWireguardConfig } = await import("../../../src/config/wireguard.ts");
    const config = await parseWireguardConfig(raw, withoutArgs);
    expect(config.addresses).toEqual([{ address: "fd00:8::7", prefixLength: 64 }]);
  });
});

describe("what is refused, by path, value and what is expected", () => {
  test.each<[Record<string, unknown>, string]>([
    [{ attach: "host" }, 'wireguard.attach is "host": give node or pod'],
    [{ interface: "" }, 'wireguard.interface is "": give a name of 1 to 15'],
    [{ interface: "sixteen-letters-" }, 'wireguard.interface is "sixteen-letters-": give a name'],
    [{ interface: "a/b" }, 'wireguard.interface is "a/b": give a name'],
    [{ interface: "-x" }, 'wireguard.interface is "-x": give a name'],
    [{ interface: ".." }, 'wireguard.interface is "..": give a name'],
    [{ interface: "wg+" }, 'wireguard.interface is "wg+": give a name'],
    [{ interface: "wg*" }, 'wireguard.interface is "wg*": give a name'],
    [{ interface: "lo" }, 'wireguard.interface is "lo": give a name'],
    [{ interface: "all" }, 'wireguard.interface is "all": give a name'],
    [{ interface: "default" }, 'wireguard.interface is "default": give a name'],
    [{ interface: "cni0" }, 'wireguard.interface is "cni0", and so is bridge: give the WireGuard device'],
    [{ attach: "pod", table: 99 }, 'wireguard.table is 99, and wireguard.attach is "pod": take the table out'],
    [{ attach: "pod", interface: "eth0" }, 'wireguard.interface is "eth0", and so is the link of the pod'],
    [{ privateKeyFile: "keys/a" }, "wireguard.privateKeyFile is [secret]: give the absolute path of a file"],
    [{ privateKeyFile: "/keys/" }, "wireguard.privateKeyFile is [secret]: give the absolute path of a file"],
    [{ privateKeyFile: "/{containerID}.key" }, 'wireguard.privateKeyFile has the placeholder "{containerID}", and'],
    [
      { privateKeyFile: "/{args.A}.key" },
      'wireguard.privateKeyFile has the placeholder "{args.A}", and wireguard.attach',
    ],
    [{ privateKeyFile: "/{pod}.key" }, 'wireguard.privateKeyFile has the placeholder "{pod}": use {containerID}'],
    [
      { attach: "pod", privateKeyFile: "/k/{args.NONE}" },
      'wireguard.privateKeyFile has the placeholder "{args.NONE}", and CNI_ARGS',
    ],
    [
      { attach: "pod", privateKeyFile: "/k/{args.EVIL}" },
      'wireguard.privateKeyFile becomes "/k/../../etc/shadow": use only',
    ],
    [
      { attach: "pod", privateKeyFile: "/{containerID}", listenPort: 5 },
      "wireguard.listenPort is 5, and wireguard.privateKeyFile gives",
    ],
    [{ attach: "pod", privateKeyFile: "/k/{args.DEEP}" }, 'wireguard.privateKeyFile becomes "/k/a/b": use only'],
    [{ privateKeyFile: `/${PRIVATE.slice(1)}` }, "wireguard.privateKeyFile is [secret]: give the absolute path"],
    [{ listenPort: 65_536 }, "wireguard.listenPort is 65536: give a UDP port"],
    [{ listenPort: "51820" }, 'wireguard.listenPort is "51820": give a UDP port'],
    [{ listenPort: -1 }, "wireguard.listenPort is -1: give a UDP port"],
    [{ address: "10.8.0.1" }, 'wireguard.address is "10.8.0.1": give an address with its prefix length'],
    [{ address: "10.8.0.0/24" }, 'wireguard.address is "10.8.0.0/24": give an address'],
    [{ address: "fd00:8::/64" }, 'wireguard.address is "fd00:8::/64": give an address'],
    [{ address: "127.0.0.5/8" }, 'wireguard.address is "127.0.0.5/8": give an address'],
    [{ address: "fe80::1/64" }, 'wireguard.address is "fe80::1/64": give an address'],
    [{ address: ["10.8.0.1/24", "224.0.0.1/24"] }, 'wireguard.address[1] is "224.0.0.1/24": give an address'],
    [{ address: ["10.8.0.1/24", 8] }, "wireguard.address[1] is 8: give an address"],
    [{ address: "{args.IP}/24" }, 'wireguard.address is "{args.IP}/24": give an address'],
    [{ attach: "pod", address: "{args.NONE}/24" }, 'wireguard.address has the placeholder "{args.NONE}", and CNI_ARGS'],
    [
      { attach: "pod", address: "{node}/24" },
      'wireguard.address is "{node}/24", which becomes "node1/24": give an address',
    ],
    [{ mtu: 575 }, "wireguard.mtu is 575: give auto, or bytes"],
    [{ mtu: 65_536 }, "wireguard.mtu is 65536: give auto, or bytes"],
    [{ mtu: "1420" }, 'wireguard.mtu is "1420": give auto, or bytes'],
    [{ fwmark: "0x" }, 'wireguard.fwmark is "0x": give off, or a number'],
    [{ fwmark: "0x100000000" }, 'wireguard.fwmark is "0x100000000": give off'],
    [{ fwmark: -1 }, "wireguard.fwmark is -1: give off"],
    [{ fwmark: 1.5 }, "wireguard.fwmark is 1.5: give off"],
    [{ fwmark: true }, "wireguard.fwmark is true: give off"],
    [{ table: 0 }, "wireguard.table is 0: give a number from 1"],
    [{ table: 254 }, "wireguard.table is 254: give a number from 1"],
    [{ table: 220 }, "wireguard.table is 220: give a number from 1"],
    [{ table: 4_294_967_296 }, "wireguard.table is 4294967296: give a number from 1"],
    [{ table: "main" }, 'wireguard.table is "main": give a number from 1'],
    [{ dataplane: "ebpf" }, 'wireguard.dataplane is "ebpf": give auto, kernel or userspace'],
    [{ removeWithLastPod: "yes" }, 'wireguard.removeWithLastPod is "yes": give true or false'],
    [{ peers: {} }, "wireguard.peers is an object: give a list of objects"],
    [{ peers: [ALICE] }, "wireguard.peers[0] is a string: give an object with publicKey"],
    [{ peers: [null] }, "wireguard.peers[0] is nothing: give an object with publicKey"],
    [{ peers: [{}] }, "wireguard.peers[0].publicKey is missing: give a public key"],
    [{ peers: [peer({ publicKey: "AAAA" })] }, "wireguard.peers[0].publicKey is [secret]: give a public key"],
    [
      { peers: [peer({ publicKey: ALICE.replace("=", "") })] },
      "wireguard.peers[0].publicKey is [secret]: give a public",
    ],
    [{ peers: [peer({ name: "" })] }, 'wireguard.peers[0].name is "": give 1 to 64 printable'],
    [{ peers: [peer({ name: "a\u001b[2J" })] }, 'wireguard.peers[0].name is "a\\u001b[2J": give 1 to 64 printable'],
    [{ peers: [peer({ name: "a\u202eb" })] }, "wireguard.peers[0].name is"],
    [{ peers: [peer({ endpoint: "192.0.2.2" })] }, 'wireguard.peers[0].endpoint is "192.0.2.2": give address and port'],
    [{ peers: [peer({ endpoint: "0.0.0.0:1" })] }, 'wireguard.peers[0].endpoint is "0.0.0.0:1": give address and port'],
    [{ peers: [peer({ endpoint: "[fe80::1]:1" })] }, 'wireguard.peers[0].endpoint is "[fe80::1]:1": give address'],
    [{ peers: [peer({ endpoint: "[ff02::1]:1" })] }, 'wireguard.peers[0].endpoint is "[ff02::1]:1": give address'],
    [{ peers: [peer({ allowedIPs: "10.1.2.0/33" })] }, 'wireguard.peers[0].allowedIPs is "10.1.2.0/33": give a prefix'],
    [{ peers: [peer({ allowedIPs: ["10.1.2.0/24", "x"] })] }, 'wireguard.peers[0].allowedIPs[1] is "x": give a prefix'],
    [
      { peers: [peer({ presharedKeyFile: "shared" })] },
      "wireguard.peers[0].presharedKeyFile is [secret]: give the abs",
    ],
    [{ peers: [peer({ persistentKeepalive: 65_536 })] }, "wireguard.peers[0].persistentKeepalive is 65536: give off"],
    [{ peers: [peer({ persistentKeepalive: "1500ms" })] }, 'wireguard.peers[0].persistentKeepalive is "1500ms": give'],
    [
      { peers: [peer({ presharedKey: SHARED })] },
      "wireguard.peers[0].presharedKey is not known: write wireguard.peers[0].presharedKeyFile",
    ],
    [
      { peers: [peer({ AllowedIPs: [] })] },
      "wireguard.peers[0].AllowedIPs is not known: write wireguard.peers[0].allowedIPs",
    ],
    [
      { peersFile: "/p", configFile: "/c", peers: undefined },
      "wireguard.peersFile and wireguard.configFile are both given",
    ],
    [{ configFile: "/c" }, "wireguard.peers and wireguard.configFile are both given: take one of them out"],
    [{ peersFile: "peers.yaml", peers: undefined }, 'wireguard.peersFile is "peers.yaml": give the absolute path'],
    [{ listenport: 5 }, "wireguard.listenport is not known: write wireguard.listenPort"],
    [{ colour: "red" }, "wireguard.colour is not known: use one of attach, agent, interface"],
  ])("%j", async (keys, begin) => {
    const issues = await issuesOf(withWireguard(keys));
    expect(issues[0]).toSatisfy((line: string) => line.startsWith(begin), `begins with ${begin}`);
    expect(issues).toHaveLength(1);
  });

  test.each<[unknown, string]>([
    [undefined, "wireguard is missing: give an object with peers, peersFile or configFile, or with agent"],
    [null, "wireguard is missing"],
    [[], "wireguard is a list: give an object"],
    [SHARED, "wireguard is a string: give an object"],
  ])("in place of wireguard, %j", async (wireguard, begin) => {
    const [issue] = await issuesOf(withWireguard({}, { wireguard }));
    expect(issue).toSatisfy((line: string) => line.startsWith(begin), `begins with ${begin}`);
  });

  test("all errors at once, one a line of the details, under code 7", async () => {
    const raw = withWireguard(
      {
        interface: "a b",
        listenPort: "x",
        address: ["10.8.0.0/24", "10.1.1.9/24"],
        mtu: 1000,
        peers: [peer({ endpoint: "x", allowedIPs: [] }), 5, peer({ allowedIPs: ["10.1.0.0/16", "fd00::/64"] }), peer()],
        secret: 1,
      },
      { logLevel: 4 },
    );
    const fault = await faultOf(raw);
    expect(fault.code).toBe(Code.invalidConfig);
    expect(fault.details?.split("\n").map((line) => line.slice(0, line.indexOf(": ")))).toEqual([
      "wireguard.secret is not known",
      'wireguard.interface is "a b"',
      'wireguard.listenPort is "x"',
      'wireguard.peers[0].endpoint is "x"',
      "wireguard.peers[1] is a number",
      'wireguard.address[0] is "10.8.0.0/24"',
      "logLevel is 4",
      `wireguard.peers[3].publicKey is "${ALICE}", and so is wireguard.peers[2].publicKey`,
      'wireguard.peers[2].allowedIPs[0] is "10.1.0.0/16", which overlaps "10.1.1.0/24" (ipam.subnet)',
      'wireguard.address[1] is "10.1.1.9", which is in "10.1.1.0/24" (ipam.subnet)',
      "wireguard.mtu is 1000, and wireguard.peers[2].allowedIPs[1] is IPv6",
    ]);
    expect(fault.message).toMatch(/^the network configuration has 11 errors: /);
  });

  test("a wrong wireguard hides no error beside it", async () => {
    expect(await issuesOf({ wireguard: 1, logLevel: 4 })).toHaveLength(2);
  });

  test("a value that JSON gives another prototype", async () => {
    const raw = JSON.parse(
      `{"wireguard":{"__proto__":{"peers":1},"constructor":1,"peers":[{"__proto__":{"publicKey":1}}]}}`,
    );
    expect((await issuesOf(raw)).map((line) => line.slice(0, line.indexOf(": ")))).toEqual([
      "wireguard.__proto__ is not known",
      "wireguard.constructor is not known",
      "wireguard.peers[0].__proto__ is not known",
      "wireguard.peers[0].publicKey is missing",
    ]);
  });
});

test("the bridge never sees what is ours", () => {
  expect(delegateConfig(withWireguard({}, { logFile: "/log" }))).toEqual({
    name: "mesh",
    type: "bridge",
    bridge: "cni0",
    isDefaultGateway: true,
    ipam: { type: "host-local", subnet: "10.1.1.0/24" },
  });
});
