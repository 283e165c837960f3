import { main } from "../cli/main.ts";
import type { Stdio } from "../os/stdio.ts";

/** The operator's command `podvpn`. */
export async function start(io: Stdio): Promise<void> {
  io.exit(await main(process.argv.slice(2), { stdout: io.writeStdout, stderr: io.writeStderr }));
}
