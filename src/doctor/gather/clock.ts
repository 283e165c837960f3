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
  /** As the agent's peers tell their clocks, through their tunnels. */
  readonly peers: readonly PeerClock[];
}

/** The clock of another node. */
export interface PeerClock {
  readonly name: string;
  /** How far it is ahead of this node's, in milliseconds; negative: behind. */
  readonly ahead: number;
}

/**
 * Reads the times of the peers' records (a file server's clock, or the peers' own), of the network configurations, and
 * of what podvpn noted itself. @throws Fault 5.
 */
export function readClock(
  directories: readonly string[],
  handshakes: readonly Noted[],
  peers: readonly PeerClock[],
): ClockFacts {
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
  return { now: Date.now(), peers, ...(latest && { latest }) };
}
