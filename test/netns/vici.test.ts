import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { connect, readIkeSas, type Section, type Vici, ViciCommandError } from "vici";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BareCharon } from "./support/bare-charon.ts";

/** A peer that is not there, on a link that nobody else is on. */
const SILENT = "192.0.2.9";
const SILENT_LINK = `ip link add veth0 type veth peer name veth1
  ip link set veth1 up
  ip link set veth0 up
  ip addr add 192.0.2.1/24 dev veth0`;

const PROPOSALS = { proposals: ["aes128gcm16-prfsha256-x25519"] };
const CHILD = { esp_proposals: ["aes128gcm16-x25519"] };

function connection(remote: string): Section {
  return {
    version: "2",
    remote_addrs: [remote],
    ...PROPOSALS,
    vips: ["0.0.0.0"],
    mobike: "no",
    encap: "yes",
    keyingtries: "0",
    local: { auth: "psk", id: "pod" },
    remote: { auth: "psk", id: "hub" },
    children: { net: { remote_ts: ["10.173.0.0/16"], ...CHILD } },
  };
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = [];
  for await (const item of items) collected.push(item);
  return collected;
}

describe("a charon of its own", () => {
  let charon: BareCharon;
  let vici: Vici;

  beforeAll(async () => {
    charon = await BareCharon.start(SILENT_LINK);
    vici = await charon.connect();
  });
  afterAll(async () => {
    vici?.close();
    await charon?.[Symbol.asyncDispose]();
  });

  test("says what it is", async () => {
    expect(await vici.version()).toMatchObject({
      daemon: "charon-systemd",
      version: expect.stringMatching(/^[56]\.\d+\.\d+/),
      sysname: "Linux",
    });
    const stats = await vici.stats();
    expect(stats.workers).toMatchObject({
      total: 16,
      idle: expect.any(Number),
      active: { medium: expect.any(Number) },
    });
    expect(stats.ikesas).toEqual({ total: 0, halfOpen: 0 });
    expect(stats.plugins).toContain("vici");
    await vici.reloadSettings();
  });

  test("loads, lists and unloads connections", async () => {
    await vici.loadConn("pod.1", connection(SILENT));
    await vici.loadConn("pod.2", connection(SILENT));
    expect((await vici.getConns()).sort()).toEqual(["pod.1", "pod.2"]);
    const [conn, ...others] = await collect(vici.listConns({ ike: "pod.1" }));
    expect(others).toEqual([]);
    expect(conn).toMatchObject({
      name: "pod.1",
      remoteAddrs: [SILENT],
      version: "IKEv2",
      local: [{ class: "pre-shared key", id: "pod" }],
      remote: [{ class: "pre-shared key", id: "hub" }],
      children: [{ name: "net", mode: "TUNNEL", remoteTs: ["10.173.0.0/16"] }],
    });
    for (const name of await vici.getConns()) await vici.unloadConn(name);
    expect(await collect(vici.listConns())).toEqual([]);
  });

  test("refuses what it does not understand, and says why", async () => {
    const refused = (call: Promise<unknown>) => call.then(String, (error: ViciCommandError) => error.errmsg);
    expect(await refused(vici.loadConn("pod", { ...connection(SILENT), bogus: "1" }))).toContain(
      "unknown option: bogus",
    );
    expect(await refused(vici.loadConn("pod", { ...connection(SILENT), proposals: ["nosuch"] }))).toContain(
      "invalid value for: proposals",
    );
    expect(await refused(vici.unloadConn("absent"))).toContain("'absent' not found");
    expect(await refused(vici.loadShared({ id: "a", type: "bogus", data: "b" }))).toContain("invalid shared key type");
    expect(await refused(vici.loadPool("a", { addrs: "bogus" }))).toContain("invalid addrs value");
    expect(await refused(vici.loadKey({ type: "any", data: "no key" }))).not.toBe("undefined");
    expect(await refused(vici.loadCert({ type: "X509", data: "no certificate" }))).not.toBe("undefined");
    expect(await refused(vici.uninstall({ child: "net", ike: "absent" }))).toContain("'net' not found");
    expect(await refused(vici.rekey({ ike: "absent" }))).not.toContain("matches");
  });

  test("keeps secrets, of any bytes, and tells only their ids", async () => {
    await vici.loadShared({ id: "binary", type: "IKE", data: Uint8Array.of(0, 255, 10, 0), owners: ["pod", "hub"] });
    await vici.loadShared({ id: "text", type: "ike", data: "hübsch" });
    expect((await vici.getShared()).sort()).toEqual(["binary", "text"]);
    await vici.unloadShared("text");
    expect(await vici.getShared()).toEqual(["binary"]);
    await vici.clearCreds();
    expect(await vici.getShared()).toEqual([]);
  });

  test("has pools of both families", async () => {
    await vici.loadPool("v4", { addrs: "10.173.0.0/24", dns: ["10.173.0.53"] });
    await vici.loadPool("v6", { addrs: "fd00:173::/112" });
    const pools = await vici.getPools({ leases: true });
    expect(pools.find(({ name }) => name === "v4")).toMatchObject({ base: "10.173.0.0", online: 0, leases: [] });
    expect(pools.find(({ name }) => name === "v6")).toMatchObject({ base: "fd00:173::", online: 0, leases: [] });
    expect(await vici.getPools({ name: "v4" })).toHaveLength(1);
    await vici.unloadPool("v4");
    await vici.unloadPool("v6");
    expect(await vici.getPools()).toEqual([]);
  });

  test("lists SAs and policies, of which there are none", async () => {
    expect(await collect(vici.listSas())).toEqual([]);
    expect(await collect(vici.listPolicies({ trap: true, pass: true, drop: true }))).toEqual([]);
  });

  test("installs a trap, lists it, and takes it away", async () => {
    const name = "trapped";
    await vici.loadConn(name, { ...connection("192.0.2.8"), vips: [], local_addrs: ["192.0.2.1"] });
    await vici.install({ child: "net", ike: name });
    expect(await collect(vici.listPolicies({ trap: true }))).toMatchObject([
      { ike: name, child: "net", mode: "TUNNEL", remoteTs: ["10.173.0.0/16"] },
    ]);
    await vici.uninstall({ child: "net", ike: name });
    expect(await collect(vici.listPolicies({ trap: true }))).toEqual([]);
    await vici.unloadConn(name);
  });

  test("ends nothing when there is nothing to end", async () => {
    expect(await vici.terminate({ ike: "absent", timeout: 1000 })).toEqual({ matches: 0, terminated: 0 });
    expect(await vici.terminate({ ikeId: 4711, force: true })).toEqual({ matches: 0, terminated: 0 });
  });

  test("does not know every command and event, and goes on after one that it does not know", async () => {
    await expect(vici.request("no-such-command")).rejects.toMatchObject({ code: "UNKNOWN_COMMAND" });
    await expect(vici.subscribe(["ike-updown", "no-such-event"])).rejects.toMatchObject({ code: "UNKNOWN_EVENT" });
    expect((await vici.version()).daemon).toBe("charon-systemd");
  });

  test("answers calls that are made at the same time, each with its own answer", async () => {
    await Promise.all(Array.from({ length: 20 }, (_, index) => vici.loadConn(`c${index}`, connection(SILENT))));
    const listed = await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const [conns, version] = await Promise.all([collect(vici.listConns({ ike: `c${index}` })), vici.version()]);
        return [conns.map(({ name }) => name), version.daemon];
      }),
    );
    expect(listed).toEqual(Array.from({ length: 20 }, (_, index) => [[`c${index}`], "charon-systemd"]));
    await Promise.all(Array.from({ length: 20 }, (_, index) => vici.unloadConn(`c${index}`)));
  });

  test("reports a peer that is silent when the time is over, while the SA still tries; terminate ends that", async () => {
    await using other = await charon.connect();
    await vici.loadConn("pod", connection(SILENT));
    const start = performance.now();
    const initiated = vici.initiate({ ike: "pod", child: "net", timeout: 700 });
    const error = await initiated.catch((reason: unknown) => reason);
    expect(performance.now() - start).toBeGreaterThan(690);
    expect(error).toBeInstanceOf(ViciCommandError);
    expect(error).toMatchObject({ errmsg: "CHILD_SA 'net' not established after 700ms" });
    expect((error as ViciCommandError).log[0]).toMatchObject({
      group: "IKE",
      ikesaName: "pod",
      msg: expect.stringContaining("initiating IKE_SA"),
    });
    const [sa, ...others] = await collect(other.listSas({ ike: "pod" }));
    expect(others).toEqual([]);
    expect(sa).toMatchObject({ name: "pod", state: "CONNECTING", remoteHost: SILENT, initiator: true, childSas: [] });
    expect(sa?.established).toBeUndefined();
    expect(await vici.terminate({ ikeId: sa?.uniqueid, force: true, timeout: 200 })).toEqual({
      matches: 1,
      terminated: 1,
    });
    expect(await collect(other.listSas())).toEqual([]);
    await vici.unloadConn("pod");
  });

  test("is shown by the example of the package", async () => {
    const example = fileURLToPath(new URL("../../src/vici/example.mjs", import.meta.url));
    await vici.loadConn("shown", connection(SILENT));
    const { stdout, stderr } = await promisify(execFile)(
      process.execPath,
      ["--conditions=podvpn-source", example, charon.path],
      { timeout: 20_000 },
    );
    expect(stderr).toBe("");
    expect(stdout).toMatch(/^charon-systemd [56]\..*\nconnection shown to 192\.0\.2\.9: net\nno SAs\n$/);
    await vici.unloadConn("shown");
  });
});

test("a charon that is killed fails all that waits for it, and the next connect is refused", async () => {
  await using charon = await BareCharon.start(SILENT_LINK);
  await using vici = await charon.connect();
  await vici.loadConn("pod", connection(SILENT));
  const subscription = await vici.subscribe(["ike-updown"]);
  let isWaiting = () => {};
  const waiting = new Promise<void>((resolve) => {
    isWaiting = resolve;
  });
  const calls: Promise<string>[] = [
    vici.initiate({ ike: "pod", child: "net", timeout: 60_000, onLog: isWaiting }),
    vici.version(),
    collect(vici.listSas()),
    collect(subscription),
  ].map((call) => call.then(String, (error) => error.code));
  await waiting;
  charon.kill();
  expect(await Promise.all(calls)).toEqual(Array(4).fill("CLOSED"));
  await charon.ended();
  await expect(connect({ path: charon.path })).rejects.toMatchObject({ code: "ECONNREFUSED" });
});

test("a tunnel comes up, is listed on both sides, is rekeyed, tells its events, and goes", async () => {
  await using hub = await BareCharon.start("ip addr add 10.173.255.254/32 dev lo"); // libipsec needs one in local_ts
  await using pod = await BareCharon.start();
  await hub.run(`ip link add name veth0 type veth peer name veth0 netns ${pod.pid}`);
  await hub.run("ip addr add 10.9.0.1/24 dev veth0; ip link set veth0 up");
  await pod.run("ip addr add 10.9.0.2/24 dev veth0; ip link set veth0 up");
  await using hubVici = await hub.connect();
  await using podVici = await pod.connect();
  for (const vici of [hubVici, podVici]) await vici.loadShared({ id: "psk", type: "IKE", data: "a secret of two" });
  await hubVici.loadPool("pods", { addrs: "10.173.0.0/24" });
  await hubVici.loadConn("pods", {
    version: "2",
    local_addrs: ["10.9.0.1"],
    ...PROPOSALS,
    pools: ["pods"],
    local: { auth: "psk", id: "hub" },
    remote: { auth: "psk" },
    children: { net: { local_ts: ["10.173.0.0/16"], ...CHILD } },
  });
  await podVici.loadConn("pod", connection("10.9.0.1"));
  await using events = await podVici.subscribe(["ike-updown", "child-updown"]);

  const log = await podVici.initiate({ ike: "pod", child: "net", timeout: 10_000 });
  expect(log.map(({ msg }) => msg)).toContainEqual(expect.stringMatching(/^CHILD_SA net\{1\} established/));
  const [sa] = await collect(podVici.listSas({ ike: "pod" }));
  expect(sa).toMatchObject({
    state: "ESTABLISHED",
    localId: "pod",
    remoteId: "hub",
    remoteHost: "10.9.0.1",
    established: expect.any(Number),
    localVips: [expect.stringMatching(/^10\.173\.0\./)],
    childSas: [{ name: "net", state: "INSTALLED", mode: "TUNNEL", protocol: "ESP", encap: true, packetsOut: 0n }],
  });
  const [client] = await collect(hubVici.listSas());
  expect(client).toMatchObject({ name: "pods", initiator: false, remoteId: "pod", remoteVips: sa?.localVips });
  expect((await hubVici.getPools({ leases: true }))[0]?.leases).toEqual([
    { address: sa?.localVips[0], identity: "pod", status: "online" },
  ]);
  await expect(hubVici.unloadPool("pods")).rejects.toThrow("has online leases");
  await expect(podVici.initiate({ ike: "pod", child: "net", timeout: 5000 })).rejects.toMatchObject({
    log: expect.arrayContaining([expect.objectContaining({ msg: expect.stringContaining("existing duplicate") })]),
  });
  expect(await podVici.rekey({ child: "net" })).toEqual({ matches: 1 });
  expect(await podVici.terminate({ ike: "pod", timeout: 5000 })).toEqual({ matches: 1, terminated: 1 });
  expect(await collect(podVici.listSas())).toEqual([]);

  const seen: string[] = [];
  for await (const { name, message } of events) {
    for (const { name: ike } of readIkeSas(message)) seen.push(`${name} ${ike} ${message.text("up") ?? "down"}`);
    if (seen.includes("ike-updown pod down") && seen.includes("child-updown pod down")) break;
  }
  expect(seen.slice(0, 2)).toEqual(["ike-updown pod yes", "child-updown pod yes"]);
});
