import type { AgentStatus } from "../../agent/status.ts";
import { agentsJoined, agentTells } from "../../testbed/agents.ts";
import type { Node } from "../../testbed/node.ts";
import type { Testbed } from "../../testbed/testbed.ts";
import { pingSight } from "../kept.ts";
import { type DemoPod, PODVPN } from "../lab.ts";
import { type NodeSnapshots, snapshotNodes } from "../left.ts";
import type { Sight } from "../mode.ts";
import { type Say, tellPods } from "../story.ts";
import { operate, tellSaid } from "./command.ts";
import type { MeshKind } from "./kind.ts";
import { leaveMesh } from "./leave.ts";
import {
  addMember,
  addMemberPod,
  type Member,
  publicKeyOf,
  type RunningAgent,
  sharesOf,
  startAgent,
} from "./member.ts";
import type { Steps } from "./steps.ts";
import { RATE } from "./stream.ts";
import type { PingStreams } from "./streams.ts";
import { range, seconds, tollText } from "./words.ts";

/** Nodes at the start; one more joins. */
const FIRST = 4;
/** Seconds within which a node that is cut off is to be reported by all others. */
const REPORTED = 5;

/** The steps of the story, in the order of its methods. Each throws NotInTime when what it waits for does not come. */
export class MeshStory {
  readonly #agents: RunningAgent[] = [];
  readonly #pods: DemoPod[] = [];

  private constructor(
    private readonly say: Say,
    private readonly steps: Steps,
    private readonly streams: PingStreams,
    private readonly kind: MeshKind,
    /** Of which the last one joins later. */
    private readonly members: readonly Member[],
    private readonly before: NodeSnapshots,
  ) {}

  /** Makes the machines. @throws Fault. */
  static async begin(
    say: Say,
    steps: Steps,
    streams: PingStreams,
    kind: MeshKind,
    testbed: Testbed,
    executable: string,
  ): Promise<MeshStory> {
    const indexes = Array.from({ length: FIRST + 1 }, (_, index) => index + 1);
    const members = await Promise.all(indexes.map((index) => addMember(testbed, executable, kind, index)));
    const before = await snapshotNodes(members.map(({ node }) => node));
    return new MeshStory(say, steps, streams, kind, members, before);
  }

  async startAgents(): Promise<void> {
    const first = this.members.slice(0, FIRST);
    await this.steps.take(
      `The agents of ${range(first.map(({ node }) => node.name))} are started, one after the other.`,
      "each finds the others, and has a tunnel to each",
      async () => {
        const start = performance.now();
        for (const member of first) await this.#startAgent(member);
        await this.#joined(first);
        return {
          seen: `all ${FIRST * (FIRST - 1)} ends of tunnels are up, after ${seconds(performance.now() - start)}`,
          isRight: true,
        };
      },
    );
  }

  async addPods(): Promise<void> {
    await this.steps.take(
      `On each a pod is started, which pings all others ${RATE} times a second from now on.`,
      "each has addresses of the share that its node took; all pings are answered",
      async () => {
        for (const member of this.members.slice(0, FIRST)) await this.#addPod(member);
        return { seen: `${this.streams.count} streams of pings, by IPv4 and by IPv6, are answered`, isRight: true };
      },
    );
    tellPods(this.say, { plugin: this.kind.plugin, addresses: ["IPv4", "IPv6"] }, this.#pods);
  }

  async join(): Promise<void> {
    const joining = this.#member(FIRST);
    const { name } = joining.node;
    await this.steps.take(
      `A fifth node joins: the agent of ${name} is started.`,
      "the others find it; no ping between their pods is lost",
      async () => {
        const toll = await this.streams.during(async () => {
          await this.#startAgent(joining);
          await this.#joined(this.members);
        });
        return { seen: `${name} is up on all after ${tollText(toll)}`, isRight: toll.lost === 0 };
      },
    );
    await this.steps.take(`A pod is started on ${name}.`, "it pings all others, and they ping it", async () => {
      await this.#addPod(joining);
      return { seen: `${this.streams.count} streams of pings are answered`, isRight: true };
    });
  }

  /** What an operator sees. */
  async show(): Promise<void> {
    const { node } = this.#member(0);
    await this.steps.take(`The operator of ${node.name} looks.`, "exit status 0: healthy", async () => {
      const codes: (number | null)[] = [];
      for (const call of ["status", "graph"]) codes.push(await this.#operate(node, call));
      return { seen: `exit status ${codes.join(" and ")}`, isRight: codes.every((code) => code === 0) };
    });
  }

  async rotate(): Promise<void> {
    const member = this.#member(1);
    const { node } = member;
    await this.steps.take(`${node.name} gets new keys: podvpn rotate.`, "another key, and no ping lost", async () => {
      const old = await publicKeyOf(member);
      let code: number | null = null;
      const toll = await this.streams.during(async () => {
        code = await this.#operate(node, "rotate");
      });
      const key = await publicKeyOf(member);
      const seen = `…${old.slice(-8)} has become …${key.slice(-8)} after ${tollText(toll)}`;
      return { seen, isRight: code === 0 && key !== old && toll.lost === 0 };
    });
  }

  async cutOff(): Promise<void> {
    const { node } = this.#member(FIRST - 1);
    const others = this.members.filter((member) => member.node !== node);
    await this.steps.take(
      `${node.name} is cut off: its cable is unplugged.`,
      `all others report it within ${REPORTED} s; no ping between their pods is lost`,
      async () => {
        const toll = await this.streams.during(async () => {
          await node.setUnderlay(false);
          for (const other of others) await agentTells(other.node, `${node.name} down`, isDown(node.name));
        }, this.#podOf(node.name));
        const code = await this.#operate(this.#member(0).node, "status");
        const seen = `${node.name} is down for all others after ${tollText(toll)}`;
        return { seen, isRight: code === 1 && toll.time <= REPORTED * 1000 && toll.lost === 0 };
      },
    );
  }

  /** It may be degraded for a while: an agent remembers what was lost. */
  async plugIn(): Promise<void> {
    const { node } = this.#member(FIRST - 1);
    await this.steps.take("The cable is plugged in again.", "all reach it, and its pod", async () => {
      const start = performance.now();
      await node.setUnderlay(true);
      for (const { node: each } of this.members) {
        const isStillDown = each === node ? isDown() : isDown(node.name);
        await agentTells(each, `${node.name} reached`, (status) => !isStillDown(status));
      }
      const time = seconds(performance.now() - start);
      await this.streams.during(async () => undefined);
      return { seen: `it is no longer down for any, after ${time}; all pings are answered`, isRight: true };
    });
  }

  async leave(): Promise<void> {
    await this.steps.take(
      "Pods are removed, agents stopped, nodes leave: podvpn agent --leave.",
      "nothing is left on them but their keys",
      () => leaveMesh(this.#agents, this.#pods, this.before),
    );
  }

  /** What there is to look at when all of it stays up. */
  sights(): Sight[] {
    const { node } = this.#member(0);
    const commands = ["status --watch", "graph", "rotate", "capture --seconds 5"];
    const [first, , other] = this.#pods;
    return [
      ...commands.map((call) => ({ what: `On ${node.name}`, machine: node.name, command: `${PODVPN} ${call}` })),
      ...(first === undefined || other === undefined ? [] : [pingSight(first, other)]),
    ];
  }

  #member(index: number): Member {
    const found = this.members[index];
    if (found === undefined) throw new RangeError(`there is no node ${index}`);
    return found;
  }

  #podOf(node: string): DemoPod | undefined {
    return this.#pods.find(({ pod }) => pod.node.name === node);
  }

  #joined(members: readonly Member[]): Promise<void> {
    return agentsJoined(members.map(({ node }) => node));
  }

  /** Runs a command as an operator, and shows it. @returns Its exit status. */
  async #operate(node: Node, call: string): Promise<number | null> {
    const said = await operate(node, call);
    tellSaid(this.say, node, call, said);
    return said.code;
  }

  /** Returns when it has taken its share. */
  async #startAgent(member: Member): Promise<void> {
    this.#agents.push(startAgent(member));
    await sharesOf(member);
  }

  async #addPod(member: Member): Promise<void> {
    const pod = await addMemberPod(member);
    this.#pods.push(pod);
    await this.streams.add(pod);
  }
}

/** Whether an agent has a peer for down: this one, or any. */
function isDown(node?: string): (status: AgentStatus) => boolean {
  return ({ peers }) => peers.some(({ name, state }) => (node === undefined || name === node) && state === "down");
}
