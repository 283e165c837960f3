import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { type AgentConfig, parseAgentConfig } from "../../../src/config/agent.ts";
import { Fault } from "../../../src/fault.ts";
import { Secret } from "../../../src/secret.ts";

const SEEN = "key-that-nobody-may-see";
const KEY = Buffer.alloc(32, 7).toString("base64");

/** Files by path: `mode` 0600 unless it is told after a colon. */
const context = {
  hostname: "Node1",
  euid: 0,
  readSecretFile(path: string) {
    const [, mode] = path.split(":");
    if (path.startsWith("/absent")) return undefined;
    return { uid: 0, mode: 0o100000 | Number.parseInt(mode ?? "600", 8), bytes: Buffer.from(`${SEEN}\n`) };
  },
};

function config(yaml: string, hostname = context.hostname): AgentConfig {
  return parseAgentConfig(parse(yaml), "agent.yaml", { ...context, hostname });
}

function fault(yaml: string, hostname?: string): Fault {
  try {
    config(yaml, hostname);
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
  throw new Error("the configuration was taken");
}

const DEFAULTS = {
  name: "node1",
  registry: { directory: "/etc/podvpn/mesh" },
  pods: { from: "cni" },
  drivers: ["wireguard"],
  topology: "full",
  gateway: false,
  underlay: { public: [] },
  wireguard: {
    interface: "podvpn0",
    port: 51_820,
    privateKeyFile: "/var/lib/podvpn/mesh/wireguard.key",
    dataplane: "auto",
  },
  ipsec: {
    identity: "node1",
    authentication: { by: "key", privateKeyFile: "/var/lib/podvpn/mesh/ipsec.key" },
    dataplane: "auto",
  },
  keepalive: 0,
  labels: {},
  rotateEvery: 0,
  probe: { interval: 1000, port: 7174, downAfter: 2500, degradedLoss: 0.05 },
  metrics: { address: "127.0.0.1", port: 9174 },
  logLevel: "info",
};

describe("an agent's configuration", () => {
  test.each(["", "{}", "# nothing but remarks\n", "registry:\nwireguard: {}\n"])("may be empty: %j", (yaml) => {
    expect(config(yaml)).toEqual(DEFAULTS);
  });

  test("takes every key", () => {
    const yaml = `
      name: n1.example
      registry: { directory: /srv/mesh }
      network: [10.101.0.0/16, "fd00:101::/48"]
      ipsPerNode: [256, /64]
      drivers: [ipsec, wireguard]
      topology: site
      site: Paris_1
      gateway: true
      underlay: { private: [10.9.0.1, "fd00:9::1"], public: [192.0.2.1, N1.example.org] }
      wireguard: { interface: wg7, port: 51900, privateKeyFile: /keys/wg, dataplane: userspace }
      ipsec: { identity: n1@example.org, authentication: psk, pskFile: /psk, dataplane: kernel }
      keepalive: 25s
      mtu: 1400
      labels: { rack: "012", example.org/zone: eu west }
      rotateEvery: 30d
      probe: { interval: 500ms, port: 7000, downAfter: 1.5s, degradedLoss: 10 }
      metrics: { listen: "[::1]:9000" }
      logLevel: debug
      logFile: /var/log/podvpn.log
    `;
    const { ipsec, ...rest } = config(yaml);
    expect(rest).toEqual({
      name: "n1.example",
      registry: { directory: "/srv/mesh" },
      pods: {
        from: "network",
        cuts: [
          { network: "10.101.0.0/16", length: 24 },
          { network: "fd00:101::/48", length: 64 },
        ],
      },
      drivers: ["ipsec", "wireguard"],
      topology: "site",
      site: "Paris_1",
      gateway: true,
      underlay: { private: ["10.9.0.1", "fd00:9::1"], public: ["192.0.2.1", "n1.example.org"] },
      wireguard: { interface: "wg7", port: 51_900, privateKeyFile: "/keys/wg", dataplane: "userspace" },
      keepalive: 25,
      mtu: 1400,
      labels: { rack: "012", "example.org/zone": "eu west" },
      rotateEvery: 30 * 24 * 3600 * 1000,
      probe: { interval: 500, port: 7000, downAfter: 1500, degradedLoss: 0.1 },
      metrics: { address: "::1", port: 9000 },
      logLevel: "debug",
      logFile: "/var/log/podvpn.log",
    });
    expect(ipsec).toMatchObject({ identity: "n1@example.org", dataplane: "kernel" });
    if (ipsec.authentication.by !== "psk") throw new Error("another way to authenticate");
    expect(ipsec.authentication.pskFile).toBe("/psk");
    expect(Buffer.from(ipsec.authentication.psk.reveal()).toString()).toBe(SEEN);
    expect(ipsec.authentication.psk).toBeInstanceOf(Secret);
  });

  test("tells all that is wrong at once, with path, value and what is expected", () => {
    const { code, what, details } = fault(`
      nam: n1
      name: Node_1
      registry: /etc/podvpn/mesh
      network: [10.101.0.0/33, 127.0.0.0/8]
      ipsPerNode: 300
      drivers: [wireguard, openvpn]
      site: "-"
      gateway: perhaps
      underlay: { privat: [10.9.0.1], public: [fe80::1, under_score] }
      wireguard: { port: 65535, interface: lo }
      keepalive: -1
      mtu: big
      labels: { rack: 12, "two words": x }
      rotateEvery: 30s
      probe: { interval: 10ms, degradedLoss: 0 }
      metrics: { listen: localhost:9174 }
      logLevel: loud
    `);
    expect(code).toBe(7);
    expect(what).toBe("agent.yaml has 23 errors");
    for (const line of [
      "nam is not known: write name",
      'name is "Node_1": give a name of 1 to 253 lower-case letters',
      "registry is a string: give an object with directory",
      'network[0] is "10.101.0.0/33": give a prefix',
      'network[1] is "127.0.0.0/8": give a prefix',
      "ipsPerNode is 300: give a power of two from 4 to 2^64",
      'drivers[1] is "openvpn": give wireguard or ipsec',
      'site is "-": give a name',
      'gateway is "perhaps": give true or false',
      "underlay.privat is not known: write underlay.private",
      'underlay.public[0] is "fe80::1": give',
      'underlay.public[1] is "under_score": give',
      "wireguard.port is 65535: give a UDP port from 1 to 65534",
      'wireguard.interface is "lo": give a name',
      "keepalive is -1: give whole seconds",
      'mtu is "big": give auto, or bytes',
      'labels.rack is 12: give text: in quotes what YAML would take for something else (rack: "12")',
      'labels["two words"] is not a name: give names',
      'rotateEvery is "30s": give a duration',
      'probe.interval is "10ms": give a duration',
      "probe.degradedLoss is 0: give a percentage",
      'metrics.listen is "localhost:9174": give an address and TCP port',
      'logLevel is "loud": give error, info or debug',
    ]) {
      expect(details).toContain(line);
    }
  });

  test("is refused when it is no object", () => {
    expect(fault("- name").message).toMatch(/^agent\.yaml: it holds a list; write keys/);
    expect(fault("name").message).toMatch(/it holds a string/);
  });

  test.each(["metrics: off", "metrics: false"])("turns metrics off: %s", (yaml) => {
    expect(config(yaml)).not.toHaveProperty("metrics");
  });

  test("needs a name when the host's is none", () => {
    expect(fault("", "bad_host").message).toMatch(/name is missing, and the host's name "bad_host" cannot stand/);
    expect(config("name: n1", "bad_host").name).toBe("n1");
  });

  test("never shows a key that stands at a wrong place", () => {
    const yaml = `
      name: ${KEY}
      logFile: ${KEY}
      labels: { a: [x], ${KEY}: y }
      wireguard: { privateKeyFile: /${KEY.slice(1)}, interface: ${KEY} }
      ipsec: { authentication: psk, pskFile: ${KEY} }
      drivers: [wireguard, ipsec, ${KEY}]
    `;
    const { message, details } = fault(yaml);
    expect(`${message}${details}`).not.toContain(KEY.slice(1, 40));
  });
});

describe("where the pods are", () => {
  test.each([
    ["network: 10.101.0.0/16", [{ network: "10.101.0.0/16", length: 24 }]],
    ["network: fd00:101::/48", [{ network: "fd00:101::/48", length: 64 }]],
    ["network: 10.101.0.0/16\nipsPerNode: 1024", [{ network: "10.101.0.0/16", length: 22 }]],
    ["network: 10.101.0.0/16\nipsPerNode: /26", [{ network: "10.101.0.0/16", length: 26 }]],
    ["network: fd00:101::/48\nipsPerNode: 18446744073709551616", [{ network: "fd00:101::/48", length: 64 }]],
    ["network: fd00:101::/48\nipsPerNode: 256", [{ network: "fd00:101::/48", length: 120 }]],
    [
      "network: [10.101.0.0/16, 'fd00:101::/48']\nipsPerNode: 512",
      [
        { network: "10.101.0.0/16", length: 23 },
        { network: "fd00:101::/48", length: 119 },
      ],
    ],
  ])("%s", (yaml, cuts) => {
    expect(config(yaml).pods).toEqual({ from: "network", cuts });
  });

  test("may be given by hand", () => {
    expect(config("podPrefixes: [10.1.0.0/24, 'fd00:1::/64']").pods).toEqual({
      from: "given",
      prefixes: ["10.1.0.0/24", "fd00:1::/64"],
    });
  });

  test.each([
    ["network: 10.101.0.0/16\npodPrefixes: 10.1.0.0/24", /network and podPrefixes are both given; take one/],
    ["ipsPerNode: 256", /network is missing, and ipsPerNode says how it is cut; give network/],
    ["network: [10.1.0.0/16, 10.2.0.0/16]", /network\[1\] is "10\.2\.0\.0\/16", and "10\.1\.0\.0\/16" is of the same/],
    [
      "network: 10.1.0.0/26",
      /ipsPerNode is missing, which is no share of "10\.1\.0\.0\/26"; give a share.*"\/26" to "\/30"/,
    ],
    ["network: 10.1.0.0/16\nipsPerNode: /31", /ipsPerNode is "\/31", which is no share of/],
    ["network: 10.1.0.0/16\nipsPerNode: 131072", /ipsPerNode is 131072, which is no share of/],
    ["network: 10.1.0.0/16\nipsPerNode: /64", /ipsPerNode is "\/64", which is no share of/],
    ["network: fd00::/72", /ipsPerNode is missing, which is no share of "fd00::\/72"/],
    ["network: 10.1.0.0/16\nipsPerNode: [256, 256]", /ipsPerNode has 2 values, and network 1; give one value/],
    [
      "network: [10.1.0.0/16, 'fd00::/48']\nipsPerNode: [256, /40]",
      /ipsPerNode\[1\] is "\/40", which is no share of "fd00::\/48"/,
    ],
    [
      "podPrefixes: [10.1.0.0/16, 10.1.3.0/24]",
      /podPrefixes\[1\] is "10\.1\.3\.0\/24", which overlaps "10\.1\.0\.0\/16"/,
    ],
    ["podPrefixes: []", /podPrefixes is an empty list; give a prefix/],
    [
      "network: 10.0.0.0/8\nunderlay: { public: [n1.example, 10.9.0.1] }",
      /underlay\.public\[1\] is "10\.9\.0\.1", which is in "10\.0\.0\.0\/8" of network/,
    ],
    ["underlay: { private: [10.9.0.1, 10.9.0.1] }", /underlay\.private\[1\] is "10\.9\.0\.1", as an earlier one is/],
    ["probe: { interval: 3s }", /probe\.downAfter is 2500 ms, and probe\.interval 3000 ms; give a longer/],
    ["ipsec: { identity: n1 }", /ipsec is given, and drivers has wireguard alone; write drivers: \[wireguard, ipsec\]/],
    ["drivers: ipsec\nwireguard: { port: 1 }", /wireguard is given, and drivers has ipsec alone/],
    ["drivers: [ipsec, ipsec]", /drivers is a list; give wireguard or ipsec/],
  ])("%s is refused", (yaml, message) => {
    expect(fault(yaml).message).toMatch(message);
  });

  test("every power of two from 4 to 2^64 is a size of a share, and no other number", () => {
    const network = "network: fd00::/48\nipsPerNode: ";
    for (let bits = 2; bits <= 64; bits += 1) {
      expect(config(`${network}${2n ** BigInt(bits)}`).pods).toMatchObject({ cuts: [{ length: 128 - bits }] });
    }
    fc.assert(
      fc.property(fc.integer({ min: -10, max: 1_000_000 }), (number) => {
        fc.pre(number < 4 || (number & (number - 1)) !== 0);
        expect(fault(`${network}${number}`).message).toContain(`ipsPerNode is ${number}`);
      }),
      { numRuns: 50 },
    );
  });
});

describe("how a node authenticates with IPsec", () => {
  const x509 = "authentication: x509, privateKeyFile: /key, certificateFile: /crt:644, caFiles: [/ca:644, /ca2:644]";

  test("by certificates", () => {
    expect(config(`drivers: ipsec\nipsec: { ${x509} }`).ipsec.authentication).toEqual({
      by: "x509",
      privateKeyFile: "/key",
      certificateFile: "/crt:644",
      caFiles: ["/ca:644", "/ca2:644"],
    });
  });

  test("by a key whose file need not be there yet", () => {
    expect(config("drivers: ipsec\nipsec: { privateKeyFile: /absent/key }").ipsec.authentication).toEqual({
      by: "key",
      privateKeyFile: "/absent/key",
    });
  });

  test.each([
    ["authentication: psk", /ipsec\.pskFile is missing; give the absolute path/],
    ["authentication: psk, pskFile: /absent", /ipsec\.pskFile is "\/absent", which does not exist/],
    ["authentication: psk, pskFile: '/psk:640'", /ipsec\.pskFile is .*mode 0640\); close it, with chmod 600/],
    ["authentication: key, pskFile: /psk", /ipsec\.pskFile is given, and ipsec\.authentication is "key"; take it out/],
    ["pskFile: /psk", /ipsec\.pskFile is given, and ipsec\.authentication is "key"/],
    ["authentication: psk, pskFile: /psk, caFiles: /ca", /ipsec\.caFiles is given, and ipsec\.authentication is "psk"/],
    ["authentication: x509, privateKeyFile: /k, caFiles: '/c:644'", /ipsec\.certificateFile is missing/],
    [x509.replace("/key", "'/key:644'"), /ipsec\.privateKeyFile is .*mode 0644\); close it, with chmod 600/],
    [x509.replace("/ca2:644", "/ca2:666"), /ipsec\.caFiles is "\/ca2:666", which others than its owner may change/],
    ["authentication: password", /ipsec\.authentication is "password"; give key, psk or x509/],
  ])("%s is refused", (keys, message) => {
    const { message: found, details } = fault(`drivers: ipsec\nipsec: { ${keys} }`);
    expect(found).toMatch(message);
    expect(`${found}${details}`).not.toContain(SEEN);
  });
});
