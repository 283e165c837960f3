import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { AgentStatus } from "../../src/agent/status.ts";
import type { Node } from "../../src/testbed/node.ts";
import type { Program } from "../../src/testbed/program.ts";
import { AgentBed, meshAddress, podSubnet, within } from "../netns/support/agent-bed.ts";
import { Eavesdropper, podvpn, podvpnJson } from "../netns/support/cli.ts";
import { eventually } from "../netns/support/eventually.ts";
import { PODVPN } from "../netns/support/hub.ts";
import { strictDot } from "../unit/cli/support/dot.ts";

type StatusJson = { readonly healthy: boolean; readonly agent?: AgentStatus & { readonly state: string } };

interface Captured {
  readonly verdict: string;
  readonly interfaces: readonly string[];
  readonly prefixes: readonly string[];
  readonly encrypted: { readonly packets: number };
  readonly plain: { readonly packets: number };
}

const tooLong = (text: string) => text.split("\n").filter((line) => line.length > 80);

/** A `podvpn status --watch` on a node: without a terminal, or with one. */
class Watch implements AsyncDisposable {
  private constructor(
    private readonly node: Node,
    readonly program: Program,
  ) {}

  static async start(node: Node, isTerminal: boolean): Promise<Watch> {
    const call = `echo $$ >/run/podvpn-test-watch.pid; exec ${PODVPN} status --watch`;
    const argv = isTerminal ? (["script", "-qec", call, "/dev/null"] as const) : (["sh", "-c", call] as const);
    const program = node.spawn([...argv]);
    await program.line(/healthy/i, within(20));
    return new Watch(node, program);
  }

  /** As Ctrl-C does. @returns How it ended. */
  async interrupt(): Promise<string> {
    const pid = (await this.node.readFile("/run/podvpn-test-watch.pid")).trim();
    await this.node.exec(["kill", "-INT", pid]);
    return this.program.ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.program.stop("SIGKILL");
  }
}

describe("a mesh of agents with WireGuard", () => {
  let bed: AgentBed;
  beforeAll(async () => {
    bed = await AgentBed.create(3);
    await bed.startAll();
  });
  afterAll(() => bed[Symbol.asyncDispose]());

  test("podvpn status tells of the agent and its peers, for people and for programs", async () => {
    await bed.until(1, "latency of all", ({ peers }) => peers.every((peer) => peer.roundTripSeconds !== undefined));
    const { code, stdout, stderr } = await podvpn(bed.at(1), "status");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/^node n1: podvpn \S+, agent for \S+ \(pid \d+\)\n/);
    expect(stdout).toMatch(/^ {2}wireguard {2}working, (kernel|user space), 2 peers$/m);
    expect(stdout).toMatch(/^n2 +(10\.9\.0\.2|\[fd00:9::2\]):51820 +up +[\d.]+ ms +0 % .* 1420$/m);
    expect(stdout).toMatch(/^podvpn0 +node/m);
    expect(stdout).toMatch(/\nhealthy\n$/);
    const json = await podvpnJson<StatusJson>(bed.at(1), 0, "status");
    expect(json).toMatchObject({ healthy: true, agent: { state: "running", node: { name: "n1" }, healthy: true } });
    expect(json.agent?.peers.map(({ name }) => name)).toEqual(["n2", "n3"]);
  });

  test("podvpn status fits a terminal, and has colours only there", async () => {
    const argv = ["script", "-qec", `${PODVPN} status`, "/dev/null"] as const;
    const { stdout } = await bed.at(1).exec([...argv], { check: false });
    expect(stdout).toContain("\u001b[32mup\u001b[0m");
    expect(tooLong(stripVTControlCharacters(stdout).replaceAll("\r", ""))).toEqual([]);
    expect((await podvpn(bed.at(1), "status")).stdout).not.toContain("\u001b");
  });

  test("podvpn status --watch shows what changes, and ends with Ctrl-C", async () => {
    for (const isTerminal of [false, true]) {
      await using watch = await Watch.start(bed.at(1), isTerminal);
      const looks = () => watch.program.lines.filter((line) => /healthy/i.test(line)).length;
      await eventually("three looks", within(20), () => looks() >= 3);
      expect(await watch.interrupt()).toBe("exit status 0");
      const text = watch.program.lines.join("\n");
      if (!isTerminal) expect(text).not.toContain("\u001b");
      else expect(text.split("\u001b[?1049l")).toHaveLength(2);
    }
  });

  test("podvpn graph has this node's links measured, and others unknown; as text, DOT and picture", async () => {
    const { code, stdout, stderr } = await podvpn(bed.at(1), "graph");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/^n1 +n2 +wireguard +up +[\d.]+ ms +0 %$/m);
    expect(stdout).toMatch(/^n2 +n3 +wireguard +unknown/m);
    expect(tooLong(stdout)).toEqual([]);
    const { edges } = strictDot((await podvpn(bed.at(1), "graph", "--dot")).stdout);
    expect(edges).toHaveLength(3);
    expect((await podvpn(bed.at(1), "graph", "--svg", "/run/mesh.svg")).code).toBe(0);
    expect(await bed.at(1).readFile("/run/mesh.svg")).toMatch(/^<svg [\s\S]* ms[\s\S]*<\/svg>\n$/);
  });

  test("podvpn capture looks for the prefixes of all other nodes, without a pod", async () => {
    await using run = await Eavesdropper.start(bed.at(1), "--json");
    expect(await bed.pings(1, 2)).toBe(true);
    const { how, result } = await run.result<Captured>();
    expect(how).toBe("exit status 0");
    expect(result).toMatchObject({ verdict: "encrypted", interfaces: ["eth0"], plain: { packets: 0 } });
    for (const index of [2, 3]) expect(result.prefixes.join(" ")).toContain(podSubnet(index).slice(0, 7));
  });

  test("podvpn capture sees a packet of another node's pods in plain", async () => {
    await using run = await Eavesdropper.start(bed.at(1), "--json");
    // Beside the tunnel and its guard: as a node without podvpn would send it.
    await bed.at(3).exec(["ip", "addr", "add", `${meshAddress(2)}/32`, "dev", "eth0"]);
    await bed.at(3).exec(["ping", "-c", "1", "-W", "1", "-I", meshAddress(2), "10.9.0.1"], { check: false });
    await bed.at(3).exec(["ip", "addr", "del", `${meshAddress(2)}/32`, "dev", "eth0"]);
    const { how, result } = await run.result<Captured>();
    expect({ how, verdict: result.verdict }).toEqual({ how: "exit status 1", verdict: "plain" });
  });

  test("podvpn status tells of a record that is refused, with file, reason and remedy", async () => {
    writeFileSync(join(bed.directory, "nodes/n9.yaml"), "name: n9\npodPrefixes: nonsense\n");
    await bed.until(1, "n9 is refused", ({ registry }) => registry.refusals.length > 0);
    const { code, stdout } = await podvpn(bed.at(1), "status");
    expect(code).toBe(1);
    expect(stdout).toMatch(/^ {2}! .*nodes\/n9\.yaml/m);
    expect(stdout).toMatch(/\nNOT HEALTHY: \d+ refused record/);
    await bed.at(1).exec(["rm", join(bed.directory, "nodes/n9.yaml")]);
    await bed.until(1, "nothing is refused", ({ registry }) => registry.refusals.length === 0);
  });

  test("podvpn status tells of a peer that is dead, with the reason, and of an agent that does not run", async () => {
    await bed.at(3).setUnderlay(false);
    await bed.until(1, "n3 is down", ({ peers }) => peers.some(({ state }) => state === "down"));
    const dead = await podvpn(bed.at(1), "status");
    expect(dead.code).toBe(1);
    expect(dead.stdout).toMatch(/^n3 .* down .*\n(?: {2}\S+\n)? {2}down for \S+/m);
    expect(dead.stdout).toContain("NOT HEALTHY: 1 of 2 peers");
    await bed.at(3).setUnderlay(true);
    await bed.joined(1, 2, 3);

    await bed.stop(1);
    const stopped = await podvpn(bed.at(1), "status");
    expect(stopped.code).toBe(1);
    expect(stopped.stdout).toMatch(/^agent stopped: no agent runs on this node, but its device podvpn0 is there/);
    expect(await podvpnJson<StatusJson>(bed.at(1), 1, "status")).toMatchObject({ agent: { state: "stopped" } });
    const { stdout } = await podvpn(bed.at(1), "graph");
    expect(stdout).toMatch(/^n1 +n2 +wireguard$/m);

    // In place of an agent that hangs.
    const socket = "/run/podvpn/agent/socket";
    await bed.at(1).exec(["rm", "-f", socket]);
    const deaf = bed.at(1).spawn(["socat", `UNIX-LISTEN:${socket}`, "EXEC:sleep 100"]);
    await eventually("somebody listens", within(10), async () => {
      return (await bed.at(1).exec(["test", "-S", socket], { check: false })).code === 0;
    });
    const silent = await podvpn(bed.at(1), "status");
    await deaf.stop("SIGKILL");
    expect(silent.code).toBe(1);
    expect(silent.stdout).toMatch(/^agent silent: podvpn's agent does not answer within 5 s\n/);
  });
});

test("while keys change, podvpn status tells of it, and podvpn capture knows both devices", async () => {
  await using bed = await AgentBed.create(3);
  await bed.startAll();
  await bed.stop(2, "SIGKILL"); // so that n1 waits for it
  expect((await podvpn(bed.at(1), "rotate", "--no-wait")).code).toBe(0);
  const second = () => bed.at(1).exec(["ip", "link", "show", "podvpn1"], { check: false });
  await eventually("n1 has a second device", within(20), async () => (await second()).code === 0);
  expect((await podvpn(bed.at(1), "status")).stdout).toMatch(/^ {2}rotation {3}for \S+, waits for /m);
  await using run = await Eavesdropper.start(bed.at(1), "--json");
  expect(await bed.pings(1, 3)).toBe(true);
  const { how, result } = await run.result<Captured>();
  expect(how).toBe("exit status 0");
  expect(result).toMatchObject({ verdict: "encrypted", interfaces: ["eth0"], plain: { packets: 0 } });
  expect(result.encrypted.packets).toBeGreaterThanOrEqual(4);
});

describe("a mesh of agents with IPsec", () => {
  let bed: AgentBed;
  beforeAll(async () => {
    bed = await AgentBed.create(2, { drivers: ["ipsec"] });
    await bed.startAll();
  });
  afterAll(() => bed[Symbol.asyncDispose]());

  test("is counted by podvpn capture: ESP, and nothing in plain, on the link by which the peers are reached", async () => {
    await using run = await Eavesdropper.start(bed.at(1), "--json");
    expect(await bed.pings(1, 2)).toBe(true);
    const { how, result } = await run.result<Captured & { readonly encrypted: Record<string, { packets: number }> }>();
    expect(how).toBe("exit status 0");
    expect(result).toMatchObject({ verdict: "encrypted", interfaces: ["eth0"], plain: { packets: 0 } });
    expect(result.prefixes).toContain(podSubnet(2));
    const { esp, espInUdp } = result.encrypted;
    expect((esp?.packets ?? 0) + (espInUdp?.packets ?? 0)).toBeGreaterThanOrEqual(4);
  });

  test("is shown by podvpn status and graph", async () => {
    const { code, stdout } = await podvpn(bed.at(1), "status");
    expect({ code, stdout }).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^ {2}ipsec {6}working, .*1 peer$/m),
    });
    expect(stdout).toMatch(/^n2 +\S+ +up/m);
    expect((await podvpn(bed.at(1), "graph")).stdout).toMatch(/^n1 +n2 +ipsec +up/m);
  });

  test("is still looked for when its charon has died", async () => {
    await bed.stop(1);
    await bed.at(1).exec(["pkill", "-KILL", "-x", "charon-systemd"]);
    await using run = await Eavesdropper.start(bed.at(1), "--json");
    expect(await bed.pings(1, 2)).toBe(false);
    const { result } = await run.result<Captured>();
    expect(result).toMatchObject({ interfaces: ["eth0"], plain: { packets: 0 } });
    expect(result.prefixes).toContain(podSubnet(2));
  });
});
