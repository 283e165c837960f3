import type { Node } from "../../../src/testbed/node.ts";

/**
 * A wrong clock for single programs: faketime's library answers for libc. Only wall-clock time; what is measured by the
 * monotonic clock goes on, as it does when somebody sets a machine's clock. Time namespaces have no wall clock.
 *
 * It reaches our own programs, which ask libc. It does not reach what they start: charon gets an environment of its own
 * (its timers are monotonic), and programs in Go (wireguard-go, bridge) ask the kernel itself.
 */
const LIBRARY = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

const SETTINGS = {
  LD_PRELOAD: LIBRARY,
  FAKETIME_DONT_FAKE_MONOTONIC: "1",
  FAKETIME_DISABLE_SHM: "1", // it would leave files in /dev/shm when its program is killed
} as const;

/** Environment of a program whose clock is `offset` seconds off; none for a right one. Pure. */
export function clockOff(offset: number): Readonly<Record<string, string>> {
  return offset === 0 ? {} : { ...SETTINGS, FAKETIME: signed(offset) };
}

/** A clock that can be set while its program runs. */
export class Clock {
  /** Environment of the program. */
  readonly env: Readonly<Record<string, string>>;

  constructor(
    private readonly node: Node,
    private readonly file: string,
  ) {
    // Asked again each second: a program that looks at its clock all the time would else do nothing but read the file.
    this.env = { ...SETTINGS, FAKETIME_TIMESTAMP_FILE: file, FAKETIME_CACHE_DURATION: "1" };
  }

  /** @param offset In seconds. */
  async set(offset: number): Promise<void> {
    await this.node.writeFile(this.file, `${signed(offset)}\n`);
  }
}

function signed(offset: number): string {
  return offset < 0 ? String(offset) : `+${offset}`;
}
