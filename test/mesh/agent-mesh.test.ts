import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Program } from "../../src/testbed/program.ts";
import { echo, Sender } from "../../src/testbed/traffic.ts";
import { AgentBed, meshAddress, meshAddress6, PLAIN, within } from "../netns/support/agent-bed.ts";
import { DIST } from "../netns/support/cluster.ts";
import { eventually } from "../netns/support/eventually.ts";

let bed: AgentBed;
beforeEach(async () => {
  bed = await AgentBed.create(3);
});
afterEach(() => bed[Symbol.asyncDispose]());

/** Datagrams a second. */
const RATE = 250;

/** A stream from one node's mesh to another's. */
async function stream(from: number, to: number, target = meshAddress(to)): Promise<Sender & AsyncDisposable> {
  await using undo = new AsyncDisposableStack();
  undo.use(await echo(bed.at(to)));
  const sender = undo.use(await Sender.start(bed.at(from), target, RATE));
  await sender.answers(100, 10_000);
  const owned = undo.move();
  sender[Symbol.asyncDispose] = () => owned.disposeAsync();
  return sender;
}

/** What of a stream got lost, once all that was on the way has come back, and that no full queue has dropped. */
async function lost(sender: Sender): Promise<number> {
  const counts = await sender.answers(RATE + RATE / 2, 20_000);
  expect(counts.refused).toEqual({});
  return Math.max(0, counts.lost - (await bed.dropped()));
}

const line = (program: Program, pattern: RegExp, seconds = 20) => program.line(pattern, within(seconds));

describe("agents of one registry", () => {
  test("find each other, and nothing between them is ever in plain", async () => {
    const capture = await bed.testbed.capture();
    await bed.startAll();
    for (const [from, to] of [
      [1, 2],
      [2, 3],
      [3, 1],
    ] as const)
      expect(await bed.pings(from, to)).toBe(true);
    expect(await capture.count("udp port 51820")).toBeGreaterThan(10);
    expect(await capture.packets(PLAIN)).toEqual([]);
    await capture.stop();

    const status = await bed.status(1);
    expect(status).toMatchObject({ healthy: true, ready: true, problems: [], node: { name: "n1" } });
    expect(status?.drivers).toMatchObject([{ name: "wireguard", state: "working", peers: 2 }]);
    expect(status?.peers).toMatchObject(
      [2, 3].map((index) => ({
        name: `n${index}`,
        state: "up",
        endpoint: expect.stringMatching(/:51820$/),
        roundTripSeconds: expect.any(Number),
        loss: { out: 0, in: 0 },
        receivedBytes: expect.any(Number),
        mtu: 1420,
      })),
    );
  });

  test("take in one that joins, and drop one that leaves, without a packet lost between the others", async () => {
    await bed.startAll();
    await using sender = await stream(1, 2);
    const { index } = await bed.addNode();
    bed.start(index);
    await bed.joined(1, 2, 3, index);
    expect(await bed.pings(index, 1)).toBe(true);

    await bed.stop(3);
    const before = await bed.at(3).snapshot();
    expect(await bed.podvpn(3, "agent", "--leave")).toMatchObject({ code: 0, stderr: "" });
    expect((await bed.at(3).exec(["ip", "link", "show", "podvpn0"], { check: false })).code).not.toBe(0);
    expect(await bed.at(3).snapshot()).not.toEqual(before);
    await bed.until(1, "n3 is gone", ({ peers }) => peers.every(({ name }) => name !== "n3"));
    expect(await lost(sender)).toBe(0);
  });

  test("lose nothing when one is killed, or ended, and started again; it adopts what it made", async () => {
    await bed.startAll();
    await using sender = await stream(1, 2);
    for (const signal of ["SIGKILL", "SIGTERM"] as const) {
      await bed.stop(1, signal);
      const agent = bed.start(1);
      await bed.joined(1, 2, 3);
      expect(agent.lines.join("\n")).not.toContain("was started");
    }
    expect(await lost(sender)).toBe(0);
  });

  test("lose nothing when the executable of one is replaced while it runs, and the new one is started", async () => {
    const executable = "/run/installed/podvpn";
    const install = `mkdir -p /run/installed; cp ${DIST}/podvpn ${executable}.new; mv ${executable}.new ${executable}`;
    await bed.at(1).exec(["sh", "-ec", install]);
    bed.startBy([executable], 1);
    for (const index of [2, 3]) bed.start(index);
    await bed.joined(1, 2, 3);
    await using sender = await stream(1, 2);
    await bed.at(1).exec(["sh", "-ec", install]);
    await bed.stop(1);
    const agent = bed.startBy([executable], 1);
    await bed.joined(1, 2, 3);
    expect(agent.lines.join("\n")).not.toContain("was started");
    expect(await lost(sender)).toBe(0);
  });

  test("say nothing while nothing changes", async () => {
    await bed.startAll();
    const before = bed.agent(1).lines.length;
    await using sender = await stream(1, 2);
    await sender.answers(3 * RATE, 20_000);
    expect(bed.agent(1).lines.slice(before)).toEqual([]);
  });

  test("do not search another way to a peer whose agent alone is gone", async () => {
    await bed.startAll();
    await using sender = await stream(1, 2);
    await bed.stop(2, "SIGKILL");
    await bed.until(1, "n2 without its agent", ({ peers }) => peers.some(({ reason }) => /agent/.test(reason ?? "")));
    expect((await bed.peer(1, 2))?.state).toBe("degraded");
    expect(await lost(sender)).toBe(0);
  });

  test("tell within 3 seconds of a peer that is dead, and when it is back", async () => {
    await bed.startAll();
    await bed.at(2).setUnderlay(false);
    const cut = Date.now();
    const down = await line(bed.agent(1), /msg="peer is down" peer=n2 was=up/);
    const at = Date.parse(/^time=(\S+)/.exec(down)?.[1] ?? "");
    expect(at - cut).toBeLessThan(within(3));
    await bed.at(2).setUnderlay(true);
    await bed.joined(1, 2, 3);
  });

  test("start wireguard-go again within 2 seconds when it is killed, and nothing leaves in plain meanwhile", async () => {
    await bed.startAll();
    const capture = await bed.testbed.capture();
    await using sender = await stream(1, 2);
    const agent = bed.agent(1);
    await bed.at(1).exec(["pkill", "-KILL", "-x", "wireguard-go"]);
    const killed = Date.now();
    const again = await line(agent, /msg="driver was started again" driver=wireguard/);
    expect(Date.parse(/^time=(\S+)/.exec(again)?.[1] ?? "") - killed).toBeLessThan(within(2));
    await sender.answers(RATE, 20_000);
    expect(await capture.packets(PLAIN)).toEqual([]);
    await capture.stop();
    expect((await bed.status(1))?.drivers[0]?.restarts).toBe(1);
  });
});

describe("a registry", () => {
  test("with a file that is damaged refuses that alone: its node goes on, and so do all others", async () => {
    await bed.startAll();
    await using sender = await stream(1, 2);
    const good = readFileSync(bed.file(2), "utf8");
    // n2's agent would mend it at once: it is stopped, and its tunnel goes on.
    await bed.stop(2);
    for (const damage of [good.slice(0, 60), "name: n2\npodPrefixes: 10.101.3.0/24\n", "\0\0\0", ""]) {
      writeFileSync(bed.file(2), damage);
      await bed.until(1, "a refusal", ({ registry }) =>
        registry.refusals.some(({ name, kept }) => name === "n2" && kept),
      );
    }
    await bed.until(3, "a refusal", ({ problems }) => problems.some((problem) => problem.startsWith("nodes/n2.yaml")));
    expect(await bed.peer(1, 2)).toBeDefined();
    const { index } = await bed.addNode();
    bed.start(index);
    await bed.joined(1, 3, index);
    writeFileSync(bed.file(2), good);
    await bed.until(1, "no refusal", ({ registry }) => registry.refusals.length === 0);
    expect(await lost(sender)).toBe(0);
  });

  test("from which a node's own file is taken away gets it back", async () => {
    await bed.startAll();
    rmSync(bed.file(1));
    await eventually("n1 published again", 10_000, () => {
      try {
        return readFileSync(bed.file(1), "utf8").includes("name: n1");
      } catch {
        return false;
      }
    });
    await bed.joined(1, 2, 3);
  });
});

describe("the agent of a node", () => {
  test("is alone, and a second one says so", async () => {
    await bed.startAll();
    const second = await bed.podvpn(1, "agent");
    expect(second).toMatchObject({ code: 1, stderr: expect.stringContaining("an agent runs on this node already") });
    expect(await bed.pings(1, 2)).toBe(true);
  });

  test("takes a changed configuration over, and refuses a wrong one with all its errors, without a packet lost", async () => {
    await bed.startAll();
    await using sender = await stream(1, 2);
    const agent = bed.agent(1);
    await bed.configure(1, { mtu: 7, nonsense: true });
    const refused = await line(agent, /level=error msg="configuration refused/);
    expect(refused).toMatch(/2 errors.*mtu is 7.*nonsense is not known|2 errors.*nonsense is not known.*mtu is 7/);
    expect((await bed.status(1))?.ready).toBe(true);
    await bed.configure(1, { labels: { rack: "7" } });
    await line(agent, /msg="configuration changed/);
    await eventually("the label is published", 10_000, () => readFileSync(bed.file(1), "utf8").includes('rack: "7"'));
    await bed.joined(1, 2, 3);
    const told = agent.lines.slice(agent.lines.findIndex((one) => one.includes("configuration changed")));
    expect(
      told.map((one) => /msg="?([\w ]+)/.exec(one)?.[1]),
      "nothing of what has not changed",
    ).toEqual(["configuration changed", "agent started", "own record published"]);
    await bed.reload(1);
    await eventually(
      "a third start",
      10_000,
      () => agent.lines.filter((one) => one.includes("agent started")).length === 3,
    );
    await bed.joined(1, 2, 3);
    expect(await lost(sender)).toBe(0);
  });

  test("is seen by whoever asks over HTTP, and is not ready when it should not be", async () => {
    await bed.startAll();
    const get = (path: string) =>
      bed.at(1).exec(["curl", "-s", "-o", "-", "-w", " %{http_code}", `http://127.0.0.1:9174${path}`]);
    expect((await get("/healthz")).stdout).toBe("ok\n 200");
    expect((await get("/readyz")).stdout).toBe("ok\n 200");
    expect((await get("/v1/status")).stdout).toContain(" 404");
    const { stdout } = await get("/metrics");
    expect(stdout).toContain('podvpn_peers{state="up"} 2');
    expect(stdout).toMatch(/podvpn_peer_round_trip_seconds\{peer="n2",driver="wireguard"\} \d/);
  });

  test("follows its address when that changes", async () => {
    await bed.startAll();
    await bed.at(2).exec(["ip", "address", "del", "10.9.0.2/24", "dev", "eth0"]);
    await bed.at(2).exec(["ip", "address", "add", "10.9.0.77/24", "dev", "eth0"]);
    await bed.at(2).exec(["ip", "route", "replace", "default", "via", "169.254.1.1", "dev", "eth0", "onlink"]);
    await eventually("the new address is published", 10_000, () =>
      readFileSync(bed.file(2), "utf8").includes("10.9.0.77"),
    );
    await eventually("n1 has heard of it", 10_000, () => bed.pings(1, 2));
    await bed.joined(1, 2, 3);
    expect((await bed.peer(1, 2))?.endpoint).toContain("10.9.0.77");
  });

  test("says what it would do, and writes nothing", async () => {
    bed.start(2);
    await bed.until(2, "published", ({ node }) => node.podPrefixes.length > 0);
    const { code, stdout } = await bed.podvpn(1, "agent", "--check");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^n2 +wireguard +10\.9\.0\.2 fd00:9::2 +10\.101\.2\.0\/24 fd00:101:2::\/64$/m);
    expect(stdout).toContain("they would be made");
    expect((await bed.at(1).exec(["ls", "/var/lib/podvpn", "/run"])).stdout).not.toContain("podvpn\n");
    await bed.configure(1, { mtu: 7, drivers: "nothing" });
    expect(await bed.podvpn(1, "agent", "--check")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("2 errors"),
    });
  });

  test("has its keys for itself, and shows them to nobody", async () => {
    await bed.startAll();
    const { stdout } = await bed
      .at(1)
      .exec([
        "stat",
        "-c",
        "%a %n",
        "/var/lib/podvpn/mesh",
        "/var/lib/podvpn/mesh/wireguard.key",
        "/run/podvpn/agent/socket",
      ]);
    expect(stdout).toBe(
      "700 /var/lib/podvpn/mesh\n600 /var/lib/podvpn/mesh/wireguard.key\n600 /run/podvpn/agent/socket\n",
    );
    const key = (await bed.at(1).readFile("/var/lib/podvpn/mesh/wireguard.key")).trim();
    expect(bed.agent(1).lines.join("\n")).not.toContain(key);
    expect(readFileSync(bed.file(1), "utf8")).not.toContain(key);
    expect(JSON.stringify(await bed.status(1))).not.toContain(key);
  });

  test("refuses a key that is damaged, and makes no new one", async () => {
    await bed.at(1).writeFile("/var/lib/podvpn/mesh/wireguard.key", "damaged\n", 0o600);
    const agent = bed.start(1);
    expect(await agent.ended).toBe("exit status 1");
    expect(agent.lines.join("\n")).toContain("wireguard.privateKeyFile");
    expect(await bed.at(1).readFile("/var/lib/podvpn/mesh/wireguard.key")).toBe("damaged\n");
  });
});

test("agents over IPv6 alone, and pods of the second family, are a mesh as well", async () => {
  for (const { index } of bed.nodes) {
    await bed.configure(index, { underlay: { private: `fd00:9::${index}` } });
  }
  await bed.startAll();
  expect((await bed.peer(1, 2))?.endpoint).toBe("[fd00:9::2]:51820");
  await using sender = await stream(1, 2, meshAddress6(2));
  expect(await lost(sender)).toBe(0);
});
