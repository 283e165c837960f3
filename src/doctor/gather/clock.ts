import { listAttachments } from "../../attachment/record.ts";
import { listDirectory, modifiedAt } from "../../os/file.ts";

/** A time that somebody noted: it cannot be later than now. */
export interface Noted {
  readonly what: string;
  /** In milliseconds since 1970. */
  readonly at: number;
}

export interface ClockFacts {
  /** In milliseconds since 1970. */
  readonly now: number;
  /** The latest; absent: nobody noted any. */
  readonly latest?: Noted;
}

/**
 * Reads the times of the peers' records (a file server's clock, or the peers' own), of the network configurations, and
 * of what podvpn noted itself. @throws Fault 5.
 */
export function readClock(directories: readonly string[], handshakes: readonly Noted[]): ClockFacts {
  const files = directories.flatMap((directory) =>
    listDirectory(directory).flatMap((name) => {
      const path = `${directory}/${name}`;
      const at = modifiedAt(path);
      return at === undefined ? [] : [{ what: `${path} was written`, at }];
    }),
  );
  const added = listAttachments().map(({ record }) => ({
    what: `${record.containerID} was attached`,
    at: record.addedAt,
  }));
  const [latest] = [...files, ...added, ...handshakes].toSorted((one, other) => other.at - one.at);
  return { now: Date.now(), ...(latest && { latest }) };
}
