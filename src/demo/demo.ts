import { Code, Fault } from "../fault.ts";
import { keptNodes } from "../testbed/kept.ts";
import { SWITCH_NAME, Testbed } from "../testbed/testbed.ts";
import { DEMO_LABEL, type DemoPod, Lab } from "./lab.ts";
import { killCharon, pingAll, removePods, type Say, tellPlan, tellPods, tellWire } from "./story.ts";

export interface DemoOptions {
  /** Our single-file executable, which the nodes get as their plugin. */
  readonly executable: string;
  /** Leaves the machines up, with all their pods. */
  readonly keep: boolean;
  /** Ends the demo at any moment; all is taken down, then its reason is thrown. */
  readonly signal: AbortSignal;
}

/**
 * The whole demo. When it returns or throws, everything is gone, unless it was kept.
 * @returns What was not as it should be; empty when podvpn did what it promises.
 * @throws Fault when a part of the machine is missing, and the signal's reason.
 */
export async function demo(say: Say, { executable, keep, signal }: DemoOptions): Promise<string[]> {
  if (keep && keptNodes(DEMO_LABEL).length > 0) {
    throw new Fault(Code.tryAgainLater, "a demo is up already", "take it down with `podvpn demo --down`");
  }
  const start = performance.now();
  const seconds = () => `${((performance.now() - start) / 1000).toFixed(1)} s`;
  await using testbed = await Testbed.create(DEMO_LABEL);
  // Raced, not asked in between: the machines go down at once, and what still runs on them fails with them.
  const wrong = await Promise.race([tell(say, testbed, { executable, keep }), aborted(signal)]);
  if (keep) {
    await testbed.keep();
    say(`\n${seconds()} in all. It stays up.`);
    tellKept(say);
  } else {
    await testbed[Symbol.asyncDispose]();
    say(`\nTaken down, nothing is left. ${seconds()} in all.`);
  }
  return wrong;
}

async function tell(say: Say, testbed: Testbed, options: Omit<DemoOptions, "signal">): Promise<string[]> {
  tellPlan(say);
  await using capture = await testbed.capture();
  const lab = await Lab.build(testbed, options.executable);
  const pods: DemoPod[] = await lab.addPods();
  tellPods(say, pods);
  const wrong = [...(await pingAll(say, pods)), ...(await tellWire(say, capture))];
  if (options.keep) return wrong;
  wrong.push(...(await killCharon(say, pods, capture)), ...(await removePods(say, pods)));
  await capture.stop();
  return wrong;
}

function aborted(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  if (signal.aborted) reject(signal.reason);
  signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  return promise;
}

/** Commands to look around, with the pids of this demo. */
function tellKept(say: Say): void {
  const nodes = keptNodes(DEMO_LABEL);
  const enter = (name: string) => `nsenter -a -t ${nodes.find((node) => node.name === name)?.pid}`;
  say("\nA shell on a node (`ip netns` lists its pods):");
  for (const { name } of nodes) if (name !== SWITCH_NAME) say(`  ${enter(name)} bash    # ${name}`);
  say("Who has which virtual IP:");
  say(`  ${enter("hub")} /opt/cni/bin/podvpn hub leases`);
  say("What goes over the wire:");
  say(`  ${enter(SWITCH_NAME)} tcpdump -ni br0`);
  say("Ping from pod a1 over the tunnel:");
  say(`  ${enter("node-a")} ip netns exec a1 ping 10.173.0.3`);
  say("Take it down:");
  say("  podvpn demo --down");
}
