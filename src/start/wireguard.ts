import { main } from "../cni/dispatch.ts";
import type { Stdio } from "../os/stdio.ts";
import { about } from "../programs.ts";

/** The CNI plugin `wireguard`, for every operation that is more than a question about itself. */
export function start(io: Stdio): Promise<void> {
  return main(async () => (await import("../../plugins/wireguard/main.ts")).plugin(), about("wireguard"), io);
}
