import { describe, expect, it } from "vitest";
import type { StrongswanAttachment, WireguardAttachment } from "../../../src/attachment/record.ts";
import { parseAddress } from "../../../src/net/address.ts";
import { parsePrefix } from "../../../src/net/prefix.ts";
import { Secret } from "../../../src/secret.ts";
import { type AttachmentView, addressesOf } from "../../../src/status/attachments.ts";
import { agoText, deviceObject, deviceText } from "../../../src/status/device-report.ts";
import type { DeviceView, PeerView } from "../../../src/status/devices.ts";
import { silence } from "../../../src/status/health.ts";
import { attachmentName, podName } from "../../../src/status/names.ts";
import { statusJson, statusText } from "../../../src/status/report.ts";
import { isHealthy, problemsFor } from "../../../src/status/status.ts";
import { publicKeyFrom } from "../../../src/wireguard/key.ts";

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);
const prefixes = (...texts: string[]) => texts.map(parsePrefix).filter((prefix) => prefix !== undefined);

function address(text: string) {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new TypeError(text);
  return parsed;
}

const RECORD: WireguardAttachment = {
  version: 1,
  type: "wireguard",
  phase: "ready",
  addedAt: NOW - 3_725_000,
  containerID: "0123456789abcdef0123456789abcdef",
  ifname: "eth0",
  network: "mesh",
  netns: "/run/netns/one",
  masquerade: false,
  interface: "podvpn0",
  meshPrefixes: prefixes("10.1.2.0/24"),
  podRoutes: [],
  removeWithLastPod: false,
};

function attachment(overrides: Partial<AttachmentView> = {}): AttachmentView {
  return { record: RECORD, state: "up", addresses: [address("10.1.1.5")], problems: [], ...overrides };
}

function peer(index: number, overrides: Partial<PeerView> = {}): PeerView {
  return {
    publicKey: publicKeyFrom(new Uint8Array(32).fill(index)),
    persistentKeepalive: 0,
    allowedIPs: prefixes(`10.1.${index}.0/24`),
    receivedBytes: 0,
    sentBytes: 0,
    hasPresharedKey: false,
    ...overrides,
  };
}

function device(overrides: Partial<DeviceView> = {}): DeviceView {
  const record = {
    version: 1,
    interface: "podvpn0",
    network: "mesh",
    dataPlane: "userspace",
    guarded: [],
    complete: true,
    addresses: [],
    fwmark: 0,
    podSubnets: [],
    sysctls: [],
    removeWithLastPod: false,
    peerNames: {},
  } as const;
  return {
    ref: { of: "node", record },
    interface: "podvpn0",
    network: "mesh",
    dataPlane: "userspace",
    mtu: 1420,
    up: true,
    listenPort: 51820,
    fwmark: 0,
    peers: [],
    problems: [],
    ...overrides,
  };
}

const ENDPOINT = { address: address("192.0.2.1"), port: 51820 };

describe("the name of an attachment", () => {
  it("is the pod's, in Kubernetes, else the beginning of the container's ID", () => {
    const args = "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;K8S_POD_INFRA_CONTAINER_ID=abc";
    expect(attachmentName({ ...RECORD, args })).toBe("shop/web-0 eth0");
    expect(attachmentName(RECORD)).toBe("0123456789ab eth0");
  });

  it("takes CNI_ARGS that cannot be read, or say only half, for none", () => {
    expect(podName("K8S_POD_NAME=web-0")).toBeUndefined();
    expect(podName("nonsense")).toBeUndefined();
    expect(podName("")).toBeUndefined();
  });
});

describe("the addresses of an attachment", () => {
  it("are those by which other pods know it", () => {
    const linkResult = { interfaces: [], ips: [{ address: "10.1.1.5/24" }], routes: [] };
    expect(addressesOf({ ...RECORD, linkResult })).toEqual(["10.1.1.5"]);
    const own = {
      madeAs: "pv1",
      dataPlane: "userspace",
      excluded: [],
      addresses: [{ address: address("10.7.0.1"), prefixLength: 24 }],
      sources: [],
      rulePriority: 220,
      mtu: 1420,
    } as const;
    expect(addressesOf({ ...RECORD, linkResult, own })).toEqual(["10.7.0.1"]);
    const virtualIPs = [address("10.173.0.5")];
    expect(
      addressesOf({ ...RECORD, type: "strongswan", virtualIPs, linkResult } as unknown as StrongswanAttachment),
    ).toEqual(virtualIPs);
  });
});

describe("health", () => {
  const alive = { latestHandshake: NOW - 100_000 };
  const kept = { persistentKeepalive: 25, endpoint: ENDPOINT };

  it("does not ask for a handshake of peers that may have nothing to say, or that have no endpoint", () => {
    expect(silence({ peers: [peer(1), peer(2, { persistentKeepalive: 25 })] }, NOW)).toEqual([]);
    expect(silence({ peers: [] }, NOW)).toEqual([]);
  });

  it("asks for one peer of those that are kept alive", () => {
    expect(silence({ peers: [peer(1, kept)] }, NOW)).toEqual(["its peer has not answered for 3 minutes"]);
    expect(silence({ peers: [peer(1, kept), peer(2, { ...kept, latestHandshake: NOW - 181_000 })] }, NOW)).toEqual([
      "none of its 2 peers with keep-alive has answered for 3 minutes",
    ]);
    expect(silence({ peers: [peer(1, kept), peer(2, { ...kept, ...alive })] }, NOW)).toEqual([]);
  });

  it("is lost by a pod that is down, a device with a problem, a damaged record, but not by a pod that comes", () => {
    const well = { attachments: [attachment()], devices: [device()], damage: [] };
    expect(isHealthy(well)).toBe(true);
    expect(isHealthy({ ...well, attachments: [attachment({ state: "adding" })] })).toBe(true);
    expect(isHealthy({ ...well, attachments: [attachment({ state: "down", problems: ["x"] })] })).toBe(false);
    expect(isHealthy({ ...well, devices: [device({ problems: ["x"] })] })).toBe(false);
    expect(isHealthy({ ...well, damage: ["x"] })).toBe(false);
  });

  it("of a pod is that of its device: the node's, or its own", () => {
    const own = { ...RECORD, containerID: "other", own: {} as NonNullable<WireguardAttachment["own"]> };
    const ref = { of: "pod", record: own, own: own.own } as const;
    const devices = [device(), device({ ref, problems: ["x"] })];
    expect(problemsFor(RECORD, devices)).toEqual([]);
    expect(problemsFor(own, devices)).toEqual(["its device podvpn0 does not work"]);
    expect(problemsFor(own, [device()])).toEqual(["there is no device podvpn0"]);
    expect(problemsFor({ ...RECORD, interface: "podvpn1" }, devices)).toEqual(["there is no device podvpn1"]);
  });
});

describe("the status for a terminal", () => {
  it("shows pods, problems and devices", () => {
    const pods = [
      attachment({ addresses: [address("10.1.1.5"), address("fd00:1:1::5")] }),
      attachment({ state: "down", problems: ["its network namespace is gone: a DEL clears up"], addresses: [] }),
    ];
    const devices = [device({ peers: [peer(1, { latestHandshake: NOW }), peer(2)] })];
    expect(statusText({ attachments: pods, devices, damage: ["a record is damaged"] }, NOW, 80)).toBe(
      `POD                NETWORK  TYPE       ADDRESS      STATE    AGE
0123456789ab eth0  mesh     wireguard  10.1.1.5     up     1h02m
                                       fd00:1:1::5
0123456789ab eth0  mesh     wireguard  -            down   1h02m
  its network namespace is gone: a DEL clears up

DEVICE   OF    NETWORK  PLANE        PORT  PEERS  STATE
podvpn0  node  mesh     user space  51820    1/2  up

a record is damaged

NOT HEALTHY: 1 of 2 pods, 1 damaged record
`,
    );
  });

  it("tells of the charon that pods share, and how many need it", () => {
    const well = { attachments: [attachment()], devices: [], damage: [] };
    expect(statusText({ ...well, charon: { pods: 2, sas: [], problems: [] } }, NOW, 80)).toContain(
      "\ncharon of the node, for 2 pods: up\n\nhealthy\n",
    );
    const down = { ...well, charon: { pods: 1, problems: ["the node's charon does not run"] } };
    expect(statusText(down, NOW, 80)).toContain(
      "\ncharon of the node, for 1 pod: the node's charon does not run\n\nNOT HEALTHY: the node's charon\n",
    );
    expect(isHealthy(down)).toBe(false);
    expect(JSON.parse(statusJson(down, NOW))).toMatchObject({
      healthy: false,
      charon: { state: "down", pods: 1, problems: ["the node's charon does not run"] },
    });
  });

  it("fits 80 columns on a terminal, and shortens nothing elsewhere", () => {
    const name = "a-namespace-with-a-long-name/a-deployment-with-a-long-name-6d4cf56db6-x7k2p";
    const args = `K8S_POD_NAMESPACE=${name.replace("/", ";K8S_POD_NAME=")}`;
    const record = { ...RECORD, args, network: "a-network-with-a-long-name" };
    const status = {
      attachments: [
        attachment({ record, addresses: [address("fd00:173:1:2::ffff:1234")] }),
        attachment({ record, state: "down", problems: [`missing: ${"rule ".repeat(40)}`] }),
      ],
      devices: [device({ ref: { of: "pod", record, own: {} as NonNullable<WireguardAttachment["own"]> } })],
      damage: [],
    };
    const lines = statusText(status, NOW, 80).split("\n");
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
    expect(lines.join()).toContain("…");
    expect(statusText(status, NOW, undefined)).toContain(`${name} eth0`);
  });
});

describe("the status for programs", () => {
  it("has the same, with times and counts of peers", () => {
    const status = {
      attachments: [attachment()],
      devices: [device({ peers: [peer(1, { latestHandshake: NOW })] })],
      damage: [],
    };
    expect(JSON.parse(statusJson(status, NOW))).toMatchObject({
      healthy: true,
      attachments: [{ containerID: RECORD.containerID, since: "2026-01-02T02:02:00.000Z", interface: "podvpn0" }],
      devices: [{ interface: "podvpn0", attach: "node", mtu: 1420, publicKey: null, peers: { total: 1, alive: 1 } }],
    });
  });
});

describe("a device with its peers", () => {
  it("is shown within 80 columns, the peer first that was heard of last", () => {
    const many = Array.from({ length: 30 }, (_, index) => `10.${index}.0.0/16`);
    const peers = [
      peer(1, { allowedIPs: prefixes(...many) }),
      peer(2, { name: "berlin", latestHandshake: NOW - 12_000, endpoint: ENDPOINT }),
      peer(3, { latestHandshake: NOW - 3_725_000, allowedIPs: [] }),
    ];
    const text = deviceText(device({ peers, fwmark: 0x51, problems: ["podvpn0 is down"] }), NOW);
    expect(text.split("\n").filter((line) => line.length > 80)).toEqual([]);
    expect(text).toContain("fwmark: 0x51\n");
    expect(text).toContain("problem: podvpn0 is down\n");
    expect(text.indexOf("berlin")).toBeLessThan(text.indexOf("1h02m ago"));
    expect(text.indexOf("1h02m ago")).toBeLessThan(text.indexOf("latest handshake: never"));
    expect(text).toContain("latest handshake: 12 s ago\n");
    expect(text).toContain("allowed ips: (none)\n");
    for (const prefix of many) expect(text).toContain(prefix);
  });

  it("never shows a key that is secret, also when it is handed one", () => {
    const secret = new Secret(new Uint8Array(32).fill(7));
    const careless = { ...peer(1), presharedKey: secret, hasPresharedKey: true };
    const view = { ...device({ peers: [careless] }), privateKey: secret };
    const shown =
      deviceText(view, NOW) +
      JSON.stringify(deviceObject(view)) +
      statusJson({ attachments: [], devices: [view], damage: [] }, NOW);
    expect(shown).not.toContain(Buffer.alloc(32, 7).toString("base64"));
    expect(shown).not.toContain("[secret]");
    expect(shown).toContain("preshared key: (hidden)");
  });

  it("tells how long ago something was", () => {
    expect(agoText(undefined, NOW)).toBe("never");
    expect(agoText(NOW + 5000, NOW)).toBe("0 s ago"); // two clocks
    expect(agoText(NOW - 59_900, NOW)).toBe("59 s ago");
    expect(agoText(NOW - 60_000, NOW)).toBe("1m00s ago");
  });
});
