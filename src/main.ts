import { processStdio } from "./os/stdio.ts";
import { type Program, programOf, version } from "./programs.ts";

/** The one entry of the single-file executable. Every program is loaded lazily: VERSION must not pay for the others. */
async function start(program: Program | undefined): Promise<void> {
  const io = processStdio();
  if (program === "strongswan") {
    answerCrashes();
    const { main } = await import("./cni/dispatch.ts");
    const load = async () => (await import("../plugins/strongswan/main.ts")).plugin();
    return main(load, `podvpn ${version}: the CNI plugin strongswan`, io);
  }
  // A runtime that started us by a foreign name must hear it in its own words, not the help of a command.
  if (io.env.CNI_COMMAND)
    return crash(`"${process.argv0}" is none of podvpn's CNI plugins; install it as "strongswan"`);
  const { main } = await import("./cli/main.ts");
  io.exit(await main(process.argv.slice(2), { stdout: io.writeStdout, stderr: io.writeStderr }));
}

/** An exception that no operation could catch (an event's handler) still becomes a CNI error on standard output. */
function answerCrashes(): void {
  process.on("uncaughtException", (error) => crash(`podvpn broke off: ${error.message}`, error.stack));
}

function crash(msg: string, details?: string): void {
  const io = processStdio();
  io.writeStdout(`${JSON.stringify({ cniVersion: "1.1.0", code: 199, msg, ...(details ? { details } : {}) })}\n`);
  io.exit(1);
}

void start(programOf(process.argv0));
