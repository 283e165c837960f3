import { Code, Fault } from "../fault.ts";

/** The fault of a UDP port that somebody else has. */
export function portTaken(port: number): Fault {
  return new Fault(
    Code.kernel,
    `the listen port ${port} is in use`,
    "give another wireguard.listenPort, or stop what listens there (`ss -lunp` shows it)",
  );
}
