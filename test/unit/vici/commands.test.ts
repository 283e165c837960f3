import { type LogLine, readIkeSas, ViciCommandError } from "vici";
import { describe, expect, test } from "vitest";
import { replay } from "./support/peer.ts";
import { recorded } from "./support/recorded.ts";

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = [];
  for await (const item of items) collected.push(item);
  return collected;
}

/** The request that was recorded, as a section. */
function request(exchange: string): Record<string, never> {
  const command = recorded(exchange).find(({ decoded }) => decoded.type === "CMD_REQUEST");
  return command?.decoded.message as Record<string, never>;
}

/** The one section of a recorded request, and its name. */
function onlySection(exchange: string): [name: string, section: never] {
  const [entry] = Object.entries(request(exchange));
  if (entry === undefined) throw new Error(`${exchange} has an empty request`);
  return entry;
}

// Each of these says exactly the bytes that were recorded, and is given charon's recorded answer.
describe("a typed command, as it was recorded with strongSwan 5.9.8", () => {
  test("version", async () => {
    const { vici, done } = await replay("version");
    expect(await vici.version()).toEqual({
      daemon: "charon-systemd",
      version: "5.9.8",
      sysname: "Linux",
      release: expect.stringMatching(/^6\./),
      machine: "x86_64",
    });
    await done;
  });

  test("stats", async () => {
    const { vici, done } = await replay("stats");
    const stats = await vici.stats();
    await done;
    expect(stats).toMatchObject({
      running: "0 seconds",
      workers: { total: 16, idle: 7, active: { critical: 4, high: 0, medium: 5, low: 0 } },
      queues: { critical: 0, high: 0, medium: 0, low: 0 },
      scheduled: 1,
      ikesas: { total: 0, halfOpen: 0 },
    });
    expect(stats.plugins).toContain("kernel-libipsec");
  });

  test("load-conn", async () => {
    const { vici, done } = await replay("load-conn");
    await vici.loadConn(...onlySection("load-conn"));
    await done;
  });

  test.each([
    ["load-conn-error", "config discarded"],
    ["load-conn-error-proposal", "invalid value for: proposals, config discarded"],
  ])("%s", async (exchange, errmsg) => {
    const { vici, done } = await replay(exchange);
    const error = await vici.loadConn(...onlySection(exchange)).catch((reason: unknown) => reason);
    await done;
    expect(error).toBeInstanceOf(ViciCommandError);
    expect(error).toMatchObject({ code: "COMMAND_FAILED", command: "load-conn", log: [] });
    expect((error as ViciCommandError).errmsg).toContain(errmsg);
  });

  test("load-shared", async () => {
    const { vici, done } = await replay("load-shared");
    await vici.loadShared({ id: "psk", type: "IKE", data: Buffer.from("h1-test-psk-0123456789"), owners: ["hub"] });
    await done;
  });

  test("load-shared-error", async () => {
    const { vici, done } = await replay("load-shared-error");
    const error = await vici.loadShared(request("load-shared-error") as never).catch((reason: unknown) => reason);
    await done;
    expect(error).toMatchObject({ command: "load-shared", errmsg: expect.stringContaining("invalid shared key type") });
  });

  test("load-pool and its error", async () => {
    const { vici, done } = await replay("load-pool");
    await vici.loadPool("v6", { addrs: "fd00:173::/112" });
    await done;
    const refused = await replay("load-pool-error");
    const [name, pool] = onlySection("load-pool-error");
    await expect(refused.vici.loadPool(name, pool)).rejects.toMatchObject({ command: "load-pool" });
    await refused.done;
  });

  test("get-pools", async () => {
    const { vici, done } = await replay("get-pools-leases");
    const leases = [{ address: "10.173.0.1", identity: "pod1", status: "online" }];
    expect(await vici.getPools({ leases: true })).toEqual([
      { name: "vips", base: "10.173.0.0", size: 4094, online: 1, offline: 0, leases },
      { name: "v6", base: "fd00:173::", size: 65534, online: 0, offline: 0, leases: [] },
    ]);
    await done;
  });

  test("get-conns and get-shared", async () => {
    const conns = await replay("get-conns");
    expect(await conns.vici.getConns()).toEqual(["hub"]);
    await conns.done;
    const shared = await replay("get-shared");
    expect(await shared.vici.getShared()).toEqual(["psk"]);
    await shared.done;
  });

  test.each(["unload-conn", "unload-pool-error", "unload-shared", "unload-conn-error", "uninstall-error"])(
    "%s",
    async (exchange) => {
      const { vici, done } = await replay(exchange);
      const { name, id, child, ike } = request(exchange);
      const command = {
        "unload-conn": () => vici.unloadConn(name as never),
        "unload-conn-error": () => vici.unloadConn(name as never),
        "unload-pool-error": () => vici.unloadPool(name as never),
        "unload-shared": () => vici.unloadShared(id as never),
        "uninstall-error": () => vici.uninstall({ child: child as never, ike: ike as never }),
      }[exchange];
      const outcome = await command?.().catch((error: unknown) => error);
      await done;
      if (exchange.endsWith("-error")) expect(outcome).toBeInstanceOf(ViciCommandError);
      else expect(outcome).toBeUndefined();
    },
  );

  test("clear-creds", async () => {
    const { vici, done } = await replay("clear-creds");
    await vici.clearCreds();
    await done;
  });

  test("rekey", async () => {
    const { vici, done } = await replay("rekey");
    expect(await vici.rekey({ child: "net" })).toEqual({ matches: 1 });
    await done;
  });

  test("list-conns", async () => {
    const { vici, done } = await replay("list-conns");
    const round = { class: "pre-shared key", groups: [], certs: [], cacerts: [] };
    expect(await collect(vici.listConns())).toEqual([
      {
        name: "hub",
        localAddrs: ["%any"],
        remoteAddrs: ["10.9.0.2"],
        version: "IKEv2",
        reauthTime: 0,
        rekeyTime: 14400,
        unique: "UNIQUE_REPLACE",
        dpdDelay: 30,
        local: [{ ...round, id: "pod1" }],
        remote: [{ ...round, id: "hub" }],
        children: [
          {
            name: "net",
            mode: "TUNNEL",
            rekeyTime: 3600,
            dpdAction: "start",
            closeAction: "start",
            localTs: ["dynamic"],
            remoteTs: ["10.173.0.0/16"],
          },
        ],
      },
    ]);
    await done;
  });

  test("list-policies", async () => {
    const { vici, done } = await replay("list-policies");
    expect(await collect(vici.listPolicies({ pass: true, trap: true, drop: true }))).toEqual([
      { child: "svc", ike: "bypass", mode: "PASS", localTs: ["0.0.0.0/0"], remoteTs: ["10.96.0.0/12"] },
    ]);
    await done;
  });
});

describe("list-sas", () => {
  test("of a client has the virtual IPs that it got", async () => {
    const { vici, done } = await replay("list-sas-established");
    expect(await collect(vici.listSas({ noblock: true }))).toEqual([
      {
        name: "hub",
        uniqueid: 1,
        version: 2,
        state: "ESTABLISHED",
        localHost: "172.17.1.2",
        localPort: 4500,
        localId: "pod1",
        remoteHost: "10.9.0.2",
        remotePort: 4500,
        remoteId: "hub",
        initiator: true,
        initiatorSpi: "5cf39242ced95d8f",
        responderSpi: "99e1822e4c64b992",
        natLocal: true,
        natRemote: true,
        natAny: true,
        encrAlg: "AES_GCM_16",
        encrKeysize: 128,
        prfAlg: "PRF_HMAC_SHA2_256",
        dhGroup: "CURVE_25519",
        established: 0,
        rekeyTime: 13405,
        localVips: ["10.173.0.1"],
        remoteVips: [],
        childSas: [
          {
            name: "net",
            uniqueid: 1,
            reqid: 1,
            state: "INSTALLED",
            mode: "TUNNEL",
            protocol: "ESP",
            encap: true,
            spiIn: "8c815436",
            spiOut: "21df9306",
            encrAlg: "AES_GCM_16",
            encrKeysize: 128,
            bytesIn: 0n,
            bytesOut: 0n,
            packetsIn: 0n,
            packetsOut: 0n,
            rekeyTime: 3508,
            lifeTime: 3960,
            installTime: 0,
            localTs: ["10.173.0.1/32"],
            remoteTs: ["10.173.0.0/16"],
          },
        ],
      },
    ]);
    await done;
  });

  test("of a hub has the virtual IPs that it gave", async () => {
    const { vici, done } = await replay("list-sas-hub");
    const [sa] = await collect(vici.listSas());
    await done;
    expect(sa).toMatchObject({ name: "pods", initiator: false, remoteVips: ["10.173.0.1"], localVips: [] });
  });

  test("without any is empty", async () => {
    const { vici, done } = await replay("list-sas-empty");
    expect(await collect(vici.listSas())).toEqual([]);
    await done;
  });
});

describe("initiate", () => {
  const POD = { ike: "hub", child: "net", timeout: 10_000, loglevel: 1 };

  test("resolves with charon's log, and tells it line by line", async () => {
    const { vici, done } = await replay("initiate-ok");
    const lines: LogLine[] = [];
    const log = await vici.initiate({ ...POD, onLog: (line) => lines.push(line) });
    await done;
    expect(lines).toEqual(log);
    expect(log[0]).toEqual({
      group: "IKE",
      level: 0,
      ikesaName: "hub",
      ikesaUniqueid: 1,
      msg: "initiating IKE_SA hub[1] to 10.9.0.2",
    });
    expect(log.at(-1)?.msg).toMatch(/^CHILD_SA net\{1\} established/);
  });

  test("fails with the log that holds the reason, which errmsg does not", async () => {
    const { vici, done } = await replay("initiate-fail-psk");
    const error = await vici.initiate(POD).catch((reason: unknown) => reason);
    await done;
    expect(error).toMatchObject({ command: "initiate", errmsg: "establishing CHILD_SA 'net' failed" });
    expect((error as ViciCommandError).log.map(({ msg }) => msg)).toContain(
      "received AUTHENTICATION_FAILED notify error",
    );
  });

  test("of a child that is not loaded fails without a log", async () => {
    const { vici, done } = await replay("initiate-not-found");
    const events = collect(vici.stream("initiate", "control-log", { child: "nope", timeout: "1000" }));
    await expect(events).rejects.toMatchObject({ errmsg: "CHILD_SA config 'nope' not found", log: [] });
    await done;
  });
});

describe("terminate", () => {
  test("says how many were meant and ended", async () => {
    const { vici, done } = await replay("terminate");
    expect(await vici.terminate({ ike: "hub", timeout: 5000, loglevel: 1 })).toEqual({ matches: 1, terminated: 1 });
    await done;
  });

  test("of nothing is no failure", async () => {
    const { vici, done } = await replay("terminate-none");
    expect(await vici.terminate({ ike: "hub", timeout: 5000 })).toEqual({ matches: 0, terminated: 0 });
    await done;
  });
});

test("an event's SAs are read like those of list-sas", async () => {
  const { vici } = await replay("events-updown");
  const subscription = await vici.subscribe(["ike-updown", "child-updown"]);
  const seen: unknown[] = [];
  for await (const { name, message } of subscription) {
    const up = message.text("up") === "yes";
    for (const sa of readIkeSas(message)) {
      seen.push([name, up, sa.name, sa.state, sa.childSas.map((child) => child.state)]);
    }
    if (seen.length === 4) break;
  }
  expect(seen).toEqual([
    ["ike-updown", true, "hub", "ESTABLISHED", []],
    ["child-updown", true, "hub", "ESTABLISHED", ["INSTALLED"]],
    ["ike-updown", false, "hub", "DELETING", []],
    ["child-updown", false, "hub", "DELETING", ["INSTALLED"]],
  ]);
});
