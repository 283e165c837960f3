import { readFileSync } from "node:fs";
import type { Command } from "./command.ts";
import { timed } from "./command.ts";
import { summary } from "./statistics.ts";

/** Of a process, or the sum of several, in KiB. */
export interface Memory {
  /** All that is mapped and present, shared pages in full. */
  readonly rss: number;
  /** Shared pages divided by the number of those who share them. */
  readonly pss: number;
  /** Its own alone: heap, stacks, written data. */
  readonly anonymous: number;
}

const NONE: Memory = { rss: 0, pss: 0, anonymous: 0 };

/** As /proc/PID/smaps_rollup has it now (proc(5)); nothing when the process has ended. */
export function readMemory(pid: number): Memory {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  } catch {
    return NONE;
  }
  const field = (name: string) => Number(new RegExp(`^${name}: +(\\d+) kB$`, "m").exec(text)?.[1] ?? 0);
  return { rss: field("Rss"), pss: field("Pss"), anonymous: field("Anonymous") };
}

/**
 * The highest values that were seen while the commands ran, all at once: of their own processes together, not of what
 * they start. Looked at as often as can be, which slows them down: nothing is timed here.
 */
export async function peakMemory(commands: readonly Command[]): Promise<Memory> {
  const pids = new Set<number>();
  let peak = NONE;
  let running = true;
  const look = () => {
    const now = [...pids].map(readMemory).reduce(add, NONE);
    peak = {
      rss: Math.max(peak.rss, now.rss),
      pss: Math.max(peak.pss, now.pss),
      anonymous: Math.max(peak.anonymous, now.anonymous),
    };
    if (running) setImmediate(look);
  };
  const runs = commands.map((command) =>
    timed(command, ({ pid }) => {
      if (pid !== undefined) pids.add(pid);
    }),
  );
  look();
  await Promise.all(runs);
  running = false;
  return peak;
}

/** The median of each figure by itself. */
export function medianMemory(memories: readonly Memory[]): Memory {
  const median = (field: keyof Memory) => summary(memories.map((memory) => memory[field])).median;
  return { rss: median("rss"), pss: median("pss"), anonymous: median("anonymous") };
}

function add(one: Memory, other: Memory): Memory {
  return { rss: one.rss + other.rss, pss: one.pss + other.pss, anonymous: one.anonymous + other.anonymous };
}
