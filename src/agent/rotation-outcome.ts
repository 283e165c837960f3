import type { AgentStatus } from "./status.ts";

/** How far a rotation is. */
export interface RotationOutcome {
  readonly isOver: boolean;
  /** Whether the new keys count. */
  readonly isDone: boolean;
  /** For whoever waits: a line. */
  readonly text: string;
}

/** How far it is, by the status from before it and the one of now; undefined when the agent does not run. Pure. */
export function rotationOutcome(before: AgentStatus, now: AgentStatus | undefined): RotationOutcome {
  if (now === undefined)
    return { isOver: false, isDone: false, text: "the agent does not run; it goes on when it does" };
  const { rotation } = now;
  if (rotation !== undefined) {
    return { isOver: false, isDone: false, text: `waits for ${rotation.waitsFor}` };
  }
  const drivers = Object.entries(before.node.publicKeys);
  const changed = drivers.filter(
    ([driver, key]) => now.node.publicKeys[driver === "ipsec" ? "ipsec" : "wireguard"] !== key,
  );
  const isDone = drivers.length > 0 && changed.length === drivers.length;
  if (isDone) return { isOver: true, isDone, text: "the new keys count; the old ones are gone" };
  return { isOver: true, isDone, text: "given up: the old keys go on to count; the agent's log says why" };
}
