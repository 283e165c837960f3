import { Random } from "../../fuzz/support/random.ts";
import { HUB_VIRTUAL } from "../../netns/support/podvpn-hub.ts";
import type { Scene } from "./act.ts";
import type { Slot } from "./slots.ts";
import { connected, mustTalk, type State, type Step, sound } from "./state.ts";

/**
 * Milliseconds in which a pod has to talk again. Generous: what is measured is told, and a busy machine is no fault. It
 * takes 7 s after a hub's SIGKILL, and less after everything else.
 */
const BOUND = 60_000;

/** Pairs beside those that an event touches. */
const SAMPLE = 4;

/**
 * Waits until everybody is as the step says: those that are kept talk without having been added anew, those that may be
 * mended talk, and so do some pairs that nothing happened to.
 * @returns What the runtime had to do. @throws Error that names the first pod that does not talk in time, and why.
 */
export async function settle(scene: Scene, step: Step, random: Random): Promise<string[]> {
  const notes: string[] = [];
  const settlement = new Settlement(scene, step.state, notes);
  await Promise.all([
    ...step.mended.map((slot) => settlement.mend(slot, random.below(2 ** 31))),
    ...step.kept.map((slot) => settlement.keep(slot, random.below(2 ** 31))),
  ]);
  await Promise.all([...step.state.owed].map((slot) => settlement.putAway(slot)));
  const pairs = allPairs(step.state);
  const sample = Array.from({ length: pairs.length === 0 ? 0 : SAMPLE }, () => random.pick(pairs));
  await Promise.all(sample.map(([one, other]) => settlement.reach(one, other)));
  return notes;
}

class Settlement {
  readonly #until = performance.now() + BOUND;

  constructor(
    private readonly scene: Scene,
    private readonly state: State,
    private readonly notes: string[],
  ) {}

  /** As a runtime that calls CHECK: what has a complaint is deleted and added again. */
  async mend(slot: Slot, seed: number): Promise<void> {
    const { pods } = this.scene;
    if (!pods.live.has(slot)) {
      await pods.add(slot);
      this.notes.push(`${slot.name} added`);
    }
    for (let last = "nothing"; ; ) {
      const complaint = await pods.check(slot);
      if (complaint === undefined) {
        const silent = await this.#silence(slot, seed);
        if (silent === undefined) return;
        last = `content with it, but ${silent}`;
        this.#hurry(slot, last);
      } else if (slot.plugin === "wireguard" && /has been made again/.test(complaint)) {
        this.notes.push(`${slot.name}: CHECK has made the device again`);
      } else {
        this.notes.push(`${slot.name} replaced: ${complaint}`);
        await pods.replace(slot);
        return this.keep(slot, seed);
      }
    }
  }

  /** Nobody but the pod, its daemons and CHECK does anything. */
  async keep(slot: Slot, seed: number): Promise<void> {
    for (;;) {
      const complaint = await this.scene.pods.check(slot);
      const silent = complaint ?? (await this.#silence(slot, seed));
      if (silent === undefined) return;
      this.#hurry(slot, silent);
    }
  }

  /** A pod that is owed an ADD: what is left of it goes, if CHECK complains; another comes when the fault has gone. */
  async putAway(slot: Slot): Promise<void> {
    const { pods } = this.scene;
    if (!pods.live.has(slot)) return;
    const complaint = await pods.check(slot);
    if (complaint === undefined) return;
    await pods.del(slot, "there");
    this.notes.push(`${slot.name} deleted: ${complaint}`);
  }

  /** @throws Error when a pair does not talk in time. */
  async reach(one: Slot, other: Slot): Promise<void> {
    for (;;) {
      const silent = await this.#noAnswer(one, other);
      if (silent === undefined) return;
      this.#hurry(one, silent);
    }
  }

  /** Who of two others, and the hub, does not answer the pod. */
  async #silence(slot: Slot, seed: number): Promise<string | undefined> {
    const random = new Random(seed);
    const others = sound(this.state).filter((other) => mustTalk(this.state, slot, other));
    const partners = new Set(others.length === 0 ? [] : [random.pick(others), random.pick(others)]);
    const answers = [...partners].map((other) => this.#noAnswer(slot, other));
    if (slot.plugin === "strongswan" && connected(this.state, slot)) {
      answers.push(this.#ping(slot, HUB_VIRTUAL[4], "the hub"));
    }
    return (await Promise.all(answers)).find((silent) => silent !== undefined);
  }

  async #noAnswer(slot: Slot, other: Slot): Promise<string | undefined> {
    const addresses = this.scene.pods.live.get(other)?.addresses;
    if (addresses === undefined) return `${other.name} is not there`;
    const silent = await Promise.all(
      [4, 6].map((family) => this.#ping(slot, family === 4 ? addresses[4] : addresses[6], other.name)),
    );
    return silent.find((each) => each !== undefined);
  }

  async #ping(slot: Slot, address: string, name: string): Promise<string | undefined> {
    const live = this.scene.pods.live.get(slot);
    if (live === undefined) return `${slot.name} is not there`;
    return (await live.pod.ping(address)) ? undefined : `${slot.name} gets no answer of ${name} (${address})`;
  }

  #hurry(slot: Slot, why: string): void {
    if (performance.now() > this.#until) throw new Error(`${slot.name} does not talk within ${BOUND / 1000} s: ${why}`);
  }
}

function allPairs(state: State): [Slot, Slot][] {
  const slots = sound(state);
  return slots.flatMap((one) =>
    slots.filter((other) => mustTalk(state, one, other)).map((other): [Slot, Slot] => [one, other]),
  );
}
