import type { Testbed } from "../testbed/testbed.ts";
import type { Sight } from "./mode.ts";
import type { Say } from "./story.ts";

/** A story of the demo, told on machines of its own. */
export interface Show {
  /** What it is asked for by. Two of one name are told one after the other. */
  readonly name: string;
  /** No other has it: complaints begin with it, and it is kept under it. */
  readonly id: string;
  /** Whether its machines share a directory. */
  readonly isShared: boolean;
  /** Tells it. @param testbed Without machines yet. @throws Fault when a part of this machine is missing. */
  tell(say: Say, testbed: Testbed, options: TellOptions): Promise<Told>;
}

export interface TellOptions {
  /** Our single-file executable, which the nodes get as their plugins and agents. */
  readonly executable: string;
  /** Leaves everything up in the end. */
  readonly keep: boolean;
}

/** What came of it. */
export interface Told {
  /** What was not as it should be; empty when podvpn did what it promises. */
  readonly wrong: readonly string[];
  /** What there is to look at when it stays up. */
  readonly sights: readonly Sight[];
}

/** By what a show is found again when it was kept. */
export function labelOf({ id }: Pick<Show, "id">): string {
  return `podvpn-demo-${id}`;
}
