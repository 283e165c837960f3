import { expect, test } from "vitest";
import type { Node } from "../../../src/testbed/node.ts";
import type { Snapshot } from "../../../src/testbed/snapshot.ts";
import { together } from "../../../src/together.ts";
import { expectUnchanged } from "../../netns/support/unchanged.ts";
import { addressOf, type ContainerRuntime, pings } from "./container-runtime.ts";
import { createNetwork, type Network, type NetworkList, type NetworkType } from "./networks.ts";

/** What runtimes keep for themselves: crun's state of a container stays when nobody is left to tell crun of its end. */
const OWN_FILES = /^. files: \/run\/(?:crun|containerd|containers|libpod)\//;

/** Two nodes, each with a container runtime of its own, whose containers speak through a tunnel. */
export class RuntimePair<Runtime extends ContainerRuntime> implements AsyncDisposable {
  private constructor(
    readonly network: Network,
    readonly runtimes: readonly [Runtime, Runtime],
    /** The nodes without containers, but with all that the first container leaves. */
    private readonly before: readonly Snapshot[],
    private readonly resources: AsyncDisposableStack,
  ) {}

  /** @param version Of the network configuration. The nodes have room for two containers each. */
  static async create<Runtime extends ContainerRuntime>(
    type: NetworkType,
    version: string,
    start: (node: Node, list: NetworkList) => Promise<Runtime>,
  ): Promise<RuntimePair<Runtime>> {
    await using undo = new AsyncDisposableStack();
    const network = undo.use(await createNetwork(type));
    const runtimeOf = async (of: number) =>
      undo.use(await start(network.node(of), network.list(of, version, { ipam: network.smallRange(of) })));
    const runtimes = await together(runtimeOf(1), runtimeOf(2));
    await Promise.all(
      runtimes.map(async (runtime) => {
        await using _first = await runtime.run("first");
      }),
    );
    const before = await Promise.all([1, 2].map((of) => network.node(of).snapshot()));
    return new RuntimePair<Runtime>(network, runtimes, before, undo.move());
  }

  /** A container on each node, removed at the end of their scope. */
  async runBoth() {
    await using undo = new AsyncDisposableStack();
    const [first, second] = this.runtimes;
    const runOn = async (runtime: Runtime, name: string) => undo.use(await runtime.run(name));
    const [a, b] = await together(runOn(first, "a"), runOn(second, "b"));
    const cleanUp = undo.move();
    return { a, b, [Symbol.asyncDispose]: () => cleanUp.disposeAsync() };
  }

  /** That the nodes are as they were before the first container, and the hub knows of none. */
  async expectNothingLeft(): Promise<void> {
    for (const [index, before] of this.before.entries()) {
      await expectUnchanged(this.network.node(index + 1), before, OWN_FILES);
    }
    expect(await this.network.leases()).toEqual([]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.resources.disposeAsync();
  }
}

/** What holds for every runtime. */
export function runtimeSuite(type: NetworkType, pairOf: () => RuntimePair<ContainerRuntime>): void {
  test("containers on two nodes reach each other through the tunnel, and nothing is left of them", async () => {
    const { network } = pairOf();
    await using capture = await network.testbed.capture();
    {
      await using both = await pairOf().runBoth();
      const { a, b } = both;
      expect(await pings(a, addressOf(b))).toBe(true);
      expect(await pings(b, addressOf(a))).toBe(true);
    }
    await capture.stop();
    expect(await capture.packets(network.filters.plain)).toEqual([]);
    expect(await capture.count(network.filters.encrypted)).toBeGreaterThan(3);
    await pairOf().expectNothingLeft();
  });

  test(`the runtime shows the address that a ${type} pod is reached by, and it is in the container`, async () => {
    await using container = await pairOf().runtimes[0].run("shown");
    expect(addressOf(container)).toMatch(type === "strongswan" ? /^10\.173\./ : /^10\.1\.1\./);
    const { stdout } = await container.exec(["ip", "address", "show", "dev", "eth0"]);
    for (const address of container.addresses) expect(stdout).toContain(` ${address}/`);
  });

  test("when there is no address left, the runtime passes on why, and all works once there is one", async () => {
    const [runtime] = pairOf().runtimes;
    {
      await using one = await runtime.run("one");
      await using two = await runtime.run("two");
      await expect(runtime.run("three")).rejects.toThrow("no IP addresses available in range set");
      await one.remove();
      await using third = await runtime.run("three-again");
      expect(await pings(two, addressOf(third))).toBe(true);
    }
    await pairOf().expectNothingLeft();
  });

  test("a container that was killed, with what watches it, is removed without a trace", async () => {
    {
      await using container = await pairOf().runtimes[0].run("killed");
      await container.kill();
      const runs = container.exec(["sleep", "0"]).then(({ code }) => code === 0);
      expect(await runs.catch(() => false)).toBe(false);
    }
    await pairOf().expectNothingLeft();
  });
}
