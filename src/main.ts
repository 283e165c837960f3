import { main as dispatch } from "./cni/dispatch.ts";
import { processStdio, type Stdio } from "./os/stdio.ts";
import { about, type PluginName, type Program, programOf } from "./programs.ts";

/**
 * The one entry of the single-file executable. What is imported above is compiled at every start, so it is what
 * VERSION needs and no more; the rest of each program is a part of its own (scripts/build.mjs).
 */
async function start(program: Program | undefined, io: Stdio): Promise<void> {
  if (program !== undefined && program !== "podvpn") {
    answerCrashes(io);
    if (!io.env.CNI_COMMAND || io.env.CNI_COMMAND === "VERSION") return dispatch(unreachable, about(program), io);
    return (await loadPlugin(program)).start(io);
  }
  // A runtime that started us by a foreign name must hear it in its own words, not the help of a command.
  if (io.env.CNI_COMMAND)
    return crash(io, `"${process.argv0}" is none of podvpn's CNI plugins; install it as "strongswan" or "wireguard"`);
  return (await import("./start/cli.ts")).start(io);
}

/** Spelled out, as the build makes a part of each import. */
function loadPlugin(name: PluginName): Promise<{ start(io: Stdio): Promise<void> }> {
  return name === "strongswan" ? import("./start/strongswan.ts") : import("./start/wireguard.ts");
}

/** An exception that no operation could catch (an event's handler) still becomes a CNI error on standard output. */
function answerCrashes(io: Stdio): void {
  process.on("uncaughtException", (error) => crash(io, `podvpn broke off: ${error.message}`, error.stack));
}

function crash(io: Stdio, msg: string, details?: string): void {
  io.writeStdout(`${JSON.stringify({ cniVersion: "1.1.0", code: 199, msg, ...(details ? { details } : {}) })}\n`);
  io.exit(1);
}

function unreachable(): never {
  throw new Error("VERSION loads no plugin");
}

void start(programOf(process.argv0), processStdio());
