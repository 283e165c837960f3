import fc from "fast-check";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { endpointText } from "../../../src/net/endpoint.ts";
import { type Prefix, parsePrefix } from "../../../src/net/prefix.ts";
import type { Secret } from "../../../src/secret.ts";
import type { Node } from "../../../src/testbed/node.ts";
import { fewer, patience } from "../../../src/testbed/patience.ts";
import type { Snapshot } from "../../../src/testbed/snapshot.ts";
import { Testbed } from "../../../src/testbed/testbed.ts";
import { echo } from "../../../src/testbed/traffic.ts";
import type { DataPlane, DeviceSettings, Peer, PeerChange } from "../../../src/wireguard/device.ts";
import { diff, isEmpty } from "../../../src/wireguard/diff.ts";
import { encodeKey, type PublicKey, sameSecret } from "../../../src/wireguard/key.ts";
import { makePrivateKey, publicKeyOf, randomPublicKey } from "../../../src/wireguard/keys.ts";
import { essence, settings } from "../../unit/wireguard/support/model.ts";
import { answers, DeviceNode, NAME } from "./device-node.ts";
import { eventually } from "./eventually.ts";
import { expectUnchanged } from "./unchanged.ts";

/** A device of the suite with its key. */
interface Party {
  readonly device: DeviceNode;
  readonly privateKey: Secret;
  readonly publicKey: PublicKey;
  /** In the mesh. */
  readonly address: string;
  readonly address6: string;
}

const PORT = 51820;

/**
 * What both data planes do alike: `Device` and what opens it, on nodes of a testbed, with wg(8) as the judge, which
 * shares no code with us.
 */
export function deviceSuite(dataplane: DataPlane): void {
  let testbed: Testbed;
  let before: Map<Node, Snapshot>;
  let parties: Party[];
  const party = (index: number): Party => {
    const found = parties[index];
    if (found === undefined) throw new RangeError(`there is no party ${index}`);
    return found;
  };

  beforeAll(async () => {
    testbed = await Testbed.create();
    parties = [];
    for (const index of [1, 2, 3]) {
      const node = await testbed.node(`n${index}`, { addresses: [`10.9.0.${index}/24`, `fd00:9::${index}/64`] });
      const privateKey = await makePrivateKey();
      const publicKey = await publicKeyOf(privateKey);
      const device = await DeviceNode.create(node, dataplane);
      await echo(node); // ends with the node
      // The lock's directory is the caller's, and stays; so does wireguard-go's own one.
      await node.exec(["mkdir", "-p", "-m", "700", `/run/podvpn/devices/${NAME}`, "/run/wireguard"]);
      parties.push({ device, privateKey, publicKey, address: `10.77.0.${index}`, address6: `fd00:77::${index}` });
    }
  });
  afterAll(async () => {
    for (const { device } of parties) await device[Symbol.asyncDispose]();
    await testbed[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    const snapshots = parties.map(async ({ device: { node } }) => [node, await node.snapshot()] as const);
    before = new Map(await Promise.all(snapshots));
  });
  afterEach(async () => {
    for (const { device } of parties) {
      await device.remove();
      await expectUnchanged(device.node, before.get(device.node) ?? new Map());
    }
  });

  /** A party as the others have it. */
  const peerOf = (one: Party, rest: Partial<Peer> = {}): Peer => ({
    publicKey: one.publicKey,
    endpoint: one.device.endpoint(PORT),
    persistentKeepalive: 0,
    allowedIPs: [prefix(`${one.address}/32`), prefix(`${one.address6}/128`)],
    ...rest,
  });
  const settingsOf = ({ privateKey }: Party, ...peers: Peer[]): DeviceSettings => {
    return { privateKey, listenPort: PORT, fwmark: 0, peers };
  };
  /** Brings parties up, each with the others as its peers, and sees that they reach each other. */
  const mesh = async (...members: Party[]): Promise<void> => {
    for (const one of members) {
      const others = members.filter((other) => other !== one);
      await one.device.ensure();
      await one.device.bring(settingsOf(one, ...others.map((other) => peerOf(other))));
      await one.device.setUp([`${one.address}/24`, `${one.address6}/64`], []);
    }
    const [first, ...others] = members;
    for (const other of others) expect(first && (await answers(first.device.node, other.address, 3))).toBe(3);
  };

  describe("a new device", () => {
    test("is empty and down, and there once", async () => {
      const { device } = party(0);
      expect(await device.open()).toBeNull();
      expect(await device.ensure()).toEqual({ made: true, dataPlane: dataplane });
      expect(await device.read()).toMatchObject({ fwmark: 0, peers: [] });
      expect((await device.read()).privateKey).toBeUndefined();
      expect((await device.node.exec(["ip", "link", "show", "dev", NAME])).stdout).not.toContain("UP");
      expect(await device.ensure()).toEqual({ made: false, dataPlane: dataplane });
      expect(await device.ensure("auto")).toEqual({ made: false, dataPlane: dataplane });
      expect(await device.open()).toBe(dataplane);
    });

    test("is made by one of several processes that want it at once, and is the same for all", async () => {
      const { device } = party(0);
      await using second = await DeviceNode.create(device.node, dataplane);
      await using third = await DeviceNode.create(device.node, dataplane);
      const made = await Promise.all([device, second, third, device, second].map((one) => one.ensure()));
      expect(made.filter((one) => one.made)).toHaveLength(1);
      await device.bring(settingsOf(party(0)));
      expect(sameSecret((await third.read()).privateKey, party(0).privateKey)).toBe(true);
    });

    test("is not made over an interface of somebody else, which stays", async () => {
      const { device } = party(0);
      await device.node.exec(["ip", "link", "add", NAME, "type", "bridge"]);
      try {
        const refusal = {
          code: 102,
          message: expect.stringContaining(`an interface ${NAME} (bridge) that podvpn did not`),
        };
        await expect(device.ensure()).rejects.toMatchObject(refusal);
        expect(await device.open()).toBeNull();
        await device.remove();
        expect((await device.node.exec(["ip", "-d", "link", "show", "dev", NAME])).stdout).toContain("bridge");
      } finally {
        await device.node.exec(["ip", "link", "del", NAME]);
      }
    });
  });

  describe("what was written", () => {
    test("is read again by us and by wg(8), each field of it", async () => {
      const { device, privateKey } = party(0);
      await device.ensure();
      const presharedKey = await makePrivateKey();
      const one: Peer = {
        publicKey: party(1).publicKey,
        presharedKey,
        endpoint: party(1).device.endpoint(PORT, 6),
        persistentKeepalive: 25,
        allowedIPs: ["10.1.0.0/16", "10.2.3.4/32", "fd00:1::/64", "::/0", "0.0.0.0/0"].map(prefix),
      };
      const two: Peer = { publicKey: party(2).publicKey, persistentKeepalive: 0, allowedIPs: [] };
      await device.bring({ privateKey, listenPort: 51999, fwmark: 0xca6c, peers: [one, two] });
      const [first, ...peers] = await device.dump();
      expect(first).toEqual([encodeKey(privateKey.reveal()), party(0).publicKey, "51999", "0xca6c"]);
      expect(
        peers.map(([key, psk, endpoint, allowed, , , , keepalive]) => [key, psk, endpoint, sorted(allowed), keepalive]),
      ).toEqual(
        expect.arrayContaining([
          [one.publicKey, encodeKey(presharedKey.reveal()), "[fd00:9::2]:51820", [...one.allowedIPs].sort(), "25"],
          [two.publicKey, "(none)", "(none)", ["(none)"], "off"],
        ]),
      );
      const state = await device.read();
      expect(state).toMatchObject({ listenPort: 51999, fwmark: 0xca6c });
      expect(state.peers.map(essence).sort()).toEqual([one, two].map(essence).sort());
      const read = state.peers.find(({ publicKey }) => publicKey === one.publicKey);
      expect(read?.endpoint && endpointText(read.endpoint)).toBe("[fd00:9::2]:51820");
      expect(read?.receivedBytes).toBe(0);
      expect(read?.latestHandshake).toBeUndefined();
    });

    test("is read again when wg(8) has written it", async () => {
      const { device, privateKey, publicKey } = party(0);
      await device.ensure();
      const psk = await makePrivateKey();
      await device.node.writeFile("/run/key", encodeKey(privateKey.reveal()), 0o600);
      await device.node.writeFile("/run/psk", encodeKey(psk.reveal()), 0o600);
      const peer = [
        "peer",
        party(1).publicKey,
        "preshared-key",
        "/run/psk",
        "endpoint",
        "192.0.2.1:7",
        "allowed-ips",
        "10.8.0.0/16",
      ] as const;
      await device.node.exec([
        "wg",
        "set",
        NAME,
        "private-key",
        "/run/key",
        "listen-port",
        "51998",
        "fwmark",
        "9",
        ...peer,
      ]);
      await device.node.exec(["rm", "/run/key", "/run/psk"]);
      const state = await device.read();
      expect(state).toMatchObject({
        listenPort: 51998,
        fwmark: 9,
        peers: [{ persistentKeepalive: 0, allowedIPs: ["10.8.0.0/16"] }],
      });
      expect(sameSecret(state.privateKey, privateKey)).toBe(true);
      expect(sameSecret(state.peers[0]?.presharedKey, psk)).toBe(true);
      expect(await publicKeyOf(state.privateKey ?? psk)).toBe(publicKey);
      const { stdout } = await device.node.exec(["wg", "show", NAME, "public-key"]);
      expect(stdout.trim()).toBe(publicKey);
    });

    test("becomes what is wanted from whatever it was, and then there is no difference", async () => {
      const { device } = party(0);
      await device.ensure();
      await device.setUp([], []); // the kernel's has no port before, which for 0, "any", is a difference
      await fc.assert(
        fc.asyncProperty(settings, async (wanted) => {
          await device.bring(wanted);
          const state = await device.read();
          expect(state.peers.map(essence).sort()).toEqual(wanted.peers.map(essence).sort());
          expect(sameSecret(state.privateKey, wanted.privateKey)).toBe(true);
          if (wanted.listenPort !== 0) expect(state.listenPort).toBe(wanted.listenPort);
          expect(state.fwmark).toBe(wanted.fwmark);
          expect(isEmpty(diff(wanted, state, { now: Date.now(), dummy: randomPublicKey }))).toBe(true);
        }),
        { numRuns: fewer(60) },
      );
    });

    test("does not bring back a peer that has gone when that should only have been altered", async () => {
      const { device } = party(0);
      await device.ensure();
      await device.bring(settingsOf(party(0)));
      const alteration = { publicKey: party(1).publicKey, isNew: false, addAllowedIPs: [prefix("10.1.0.0/16")] };
      await device.apply({ peers: [{ ...alteration, persistentKeepalive: 25, presharedKey: await makePrivateKey() }] });
      expect((await device.read()).peers).toEqual([]);
      await device.apply({ peers: [{ publicKey: party(1).publicKey, remove: true }] });
      expect((await device.read()).peers).toEqual([]);
    });

    test("takes more allowed IPs of one peer than a message has", async () => {
      const { device } = party(0);
      await device.ensure();
      const allowedIPs = Array.from({ length: 3000 }, (_, index) => prefix(`10.${index >> 8}.${index & 255}.0/24`));
      const wanted = settingsOf(party(0), { ...peerOf(party(1)), allowedIPs });
      await device.bring(wanted);
      expect((await device.read()).peers.map(essence)).toEqual(wanted.peers.map(essence));
      await device.bring(settingsOf(party(0), { ...peerOf(party(1)), allowedIPs: allowedIPs.slice(0, 1000) }));
      expect((await device.read()).peers.map(({ allowedIPs: { length } }) => length)).toEqual([1000]);
    });
  });

  describe("a listen port that is in use", () => {
    test("is named, and the device keeps the one that it has", async () => {
      const { device } = party(0);
      await device.ensure();
      await device.bring({ ...settingsOf(party(0)), listenPort: 51821 });
      await device.setUp([], []);
      await using _other = await taken(device.node, 51822);
      const attempt = device.bring({ ...settingsOf(party(0), peerOf(party(1))), listenPort: 51822 });
      await expect(attempt).rejects.toMatchObject({
        code: 102,
        message: expect.stringContaining("listen port 51822 is in use"),
      });
      expect(await device.read()).toMatchObject({ listenPort: 51821, peers: [] });
      expect((await device.node.exec(["ss", "-lun"])).stdout).toContain(":51821 ");
    });
  });

  describe("packets of peers that are right", () => {
    const PACKETS = fewer(1500);

    test("are all delivered, in the same session, while other peers come, change and go", async () => {
      const [one, two] = [party(0), party(1)];
      await mesh(one, two);
      const handshake = async () =>
        (await one.device.read()).peers.find((peer) => peer.publicKey === two.publicKey)?.latestHandshake;
      const began = await handshake();
      expect(began).toBeGreaterThan(Date.now() - patience(60_000));
      const sending = answers(one.device.node, two.address6, PACKETS);
      const others: PublicKey[] = Array.from({ length: 8 }, () => randomPublicKey());
      let changes = 0;
      for (const until = finished(sending); !until.done; changes += 1) {
        const peers = others
          .filter((_, index) => (changes >> (index % 4)) & 1)
          .map((publicKey, index) => ({
            publicKey,
            persistentKeepalive: changes % 3,
            allowedIPs: [prefix(`10.78.${(index + changes) % 8}.0/24`)],
          }));
        await one.device.bring(settingsOf(one, peerOf(two), ...peers));
      }
      expect(changes).toBeGreaterThan(fewer(10));
      expect(await sending).toBe(PACKETS);
      expect(await handshake()).toBe(began);
    });

    test("are all delivered while one of a thousand others changes", async () => {
      const [one, two] = [party(0), party(1)];
      await mesh(one, two);
      const many = Array.from({ length: 1000 }, (_, index): Peer => {
        const allowedIPs = [prefix(`10.${80 + (index >> 8)}.${index & 255}.0/24`)];
        return { publicKey: randomPublicKey(), endpoint: two.device.endpoint(9), persistentKeepalive: 0, allowedIPs };
      });
      const applying = answers(one.device.node, two.address, PACKETS);
      await one.device.bring(settingsOf(one, peerOf(two), ...many));
      expect(await applying).toBe(PACKETS);
      expect((await one.device.dump()).length).toBe(1002);
      const changing = answers(one.device.node, two.address, PACKETS);
      const [first, ...rest] = many;
      const change = await one.device.bring(settingsOf(one, peerOf(two), ...rest, peerWith(first, "10.90.0.0/24")));
      expect(new Set(change.peers.map(({ publicKey }) => publicKey)).size).toBe(2); // it, and the dummy with its old one
      expect(await changing).toBe(PACKETS);
      expect((await one.device.read()).peers.map(essence)).toContain(essence(peerWith(first, "10.90.0.0/24")));
    });

    test("are all delivered to one or the other while an allowed IP moves between the two", async () => {
      const [one, two, three] = [party(0), party(1), party(2)];
      await mesh(one, two, three);
      const shared = "10.79.0.1";
      const has = (owner: Party) => (other: Party) => {
        return peerOf(other, {
          allowedIPs: [...peerOf(other).allowedIPs, ...(other === owner ? [prefix(`${shared}/32`)] : [])],
        });
      };
      await one.device.node.exec(["ip", "route", "add", shared, "dev", NAME]);
      for (const { device } of [two, three]) await count(device.node, shared);
      await one.device.bring(settingsOf(one, ...[two, three].map(has(two))));
      const argv = [
        "ping",
        "-n",
        "-q",
        "-i",
        String(patience(2) / 1000),
        "-c",
        String(PACKETS),
        "-W",
        "1",
        shared,
      ] as const;
      const sending = one.device.node.exec([...argv], { check: false, timeout: 60_000 });
      let moves = 0;
      for (const until = finished(sending); !until.done; moves += 1) {
        await one.device.bring(settingsOf(one, ...[two, three].map(has(moves % 2 === 0 ? three : two))));
      }
      expect(moves).toBeGreaterThan(fewer(10));
      const arrived = async () => {
        const counts = await Promise.all([two, three].map(({ device }) => counted(device.node)));
        expect(Math.min(...counts)).toBeGreaterThan(0);
        return counts.reduce((sum, each) => sum + each, 0);
      };
      await eventually("all have arrived", 5000, async () => (await arrived()) === PACKETS).catch(() => undefined);
      expect(await arrived()).toBe(PACKETS);
      for (const { device } of [two, three]) await uncount(device.node, shared);
    });
  });

  describe("a peer that roamed", () => {
    test("stays where it is, for the device and for the difference", async () => {
      const [one, two] = [party(0), party(1)];
      await mesh(one, two);
      await two.device.bring({ ...settingsOf(two, peerOf(one)), listenPort: 51830 });
      expect(await answers(two.device.node, one.address, 3)).toBe(3);
      const where = async () =>
        (await one.device.read()).peers.map(({ endpoint }) => endpoint && endpointText(endpoint));
      expect(await where()).toEqual(["10.9.0.2:51830"]);
      const change = await one.device.bring(settingsOf(one, peerOf(two, { persistentKeepalive: 25 })));
      expect(change.peers).toEqual([
        { publicKey: two.publicKey, isNew: false, persistentKeepalive: 25, addAllowedIPs: [] },
      ]);
      expect(await where()).toEqual(["10.9.0.2:51830"]);
      expect(await answers(one.device.node, two.address, 3)).toBe(3);
    });
  });

  describe("an own key that changes", () => {
    test("is used at once, with all peers kept", async () => {
      const [one, two] = [party(0), party(1)];
      await mesh(one, two);
      const privateKey = await makePrivateKey();
      const change = await one.device.bring({ ...settingsOf(one, peerOf(two)), privateKey });
      expect(change.peers).toEqual([]);
      const publicKey = await publicKeyOf(privateKey);
      const renewed: Peer = { ...peerOf(one), publicKey };
      const changes = await two.device.bring(settingsOf(two, renewed));
      expect(changes.peers.map(shape)).toEqual([`make ${publicKey}`, `remove ${one.publicKey}`]);
      expect(await answers(two.device.node, one.address, 3)).toBe(3);
    });
  });

  describe("a device that was moved into a pod", () => {
    test("carries the pod's traffic over the node's underlay, and is found, changed and removed there", async () => {
      const [one, two] = [party(0), party(1)];
      await mesh(one, two);
      await one.device.remove();
      await one.device.ensure();
      await one.device.bring(settingsOf(one, peerOf(two)));
      await using pod = await one.device.node.addPod("moved");
      await one.device.node.exec(["ip", "link", "set", NAME, "netns", "moved", "name", "wg7"]);
      const lines = ["link set wg7 up", `address add ${one.address}/24 dev wg7`];
      await pod.exec(["ip", "-batch", "-"], { input: lines.join("\n") });
      expect(await answers(pod, two.address, 3)).toBe(3);
      expect((await one.device.node.exec(["ss", "-lun"])).stdout).toContain(`:${PORT} `);
      expect((await pod.exec(["ss", "-lun"])).stdout).not.toContain(`:${PORT} `);

      const where = { name: NAME, moved: { netns: pod.netnsPath, name: "wg7" } };
      expect(await one.device.open(where)).toBe(dataplane);
      expect(await one.device.ensure("auto", where)).toMatchObject({ made: false });
      await one.device.bring({ ...settingsOf(one, peerOf(two)), listenPort: 51840 }, where);
      expect(await answers(pod, two.address, 3)).toBe(3);
      expect((await one.device.node.exec(["ss", "-lun"])).stdout).toContain(":51840 ");
      await one.device.remove(where);
      expect((await pod.exec(["ip", "link"])).stdout).not.toContain("wg7");
    });
  });

  describe("removal", () => {
    test("of what is not there is fine, twice as well", async () => {
      const { device } = party(0);
      await device.remove();
      await device.ensure();
      await device.remove();
      await device.remove();
      expect(await device.open()).toBeNull();
    });
  });
}

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new TypeError(text);
  return parsed;
}

function sorted(list = ""): string[] {
  return list.split(",").sort();
}

/** The peer with that allowed IP and no other. */
function peerWith(peer: Peer | undefined, allowedIP: string): Peer {
  if (peer === undefined) throw new TypeError("no peer");
  return { ...peer, allowedIPs: [prefix(allowedIP)] };
}

function shape(change: PeerChange): string {
  if ("remove" in change) return `remove ${change.publicKey}`;
  return `${change.isNew ? "make" : "alter"} ${change.publicKey}`;
}

/** Whether a promise has settled, to be asked in a loop. */
function finished(promise: Promise<unknown>): { readonly done: boolean } {
  const state = { done: false };
  const end = () => {
    state.done = true;
  };
  promise.then(end, end);
  return state;
}

/** A program that listens on that port of the node. */
async function taken(node: Node, port: number) {
  const script = `require("node:dgram").createSocket("udp6").bind(${port}, "::", () => console.log("ready")); process.stdin.resume().on("end", () => process.exit())`;
  const program = node.spawn([process.execPath, "-e", script]);
  await program.line(/^ready$/, patience(10_000));
  return program;
}

/** Gives the node an address, and counts the echo requests that arrive there. */
async function count(node: Node, address: string): Promise<void> {
  await node.exec(["ip", "address", "add", address, "dev", "lo"]);
  const rules = `table ip arrived { chain input { type filter hook input priority 0; ip daddr ${address} icmp type echo-request counter; }; }`;
  await node.exec(["nft", "-f", "-"], { input: rules });
}

async function counted(node: Node): Promise<number> {
  const { stdout } = await node.exec(["nft", "list", "table", "ip", "arrived"]);
  return Number(/packets (\d+)/.exec(stdout)?.[1]);
}

async function uncount(node: Node, address: string): Promise<void> {
  await node.exec(["nft", "delete", "table", "ip", "arrived"]);
  await node.exec(["ip", "address", "del", address, "dev", "lo"]);
}
