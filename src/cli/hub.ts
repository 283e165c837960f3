import { parseArgs } from "node:util";
import type { HubConfig } from "../config/hub.ts";
import { Code, Fault } from "../fault.ts";
import { type Terminal, UsageError } from "./command.ts";

export const help = `
Usage: podvpn hub --config FILE [--discard-damaged-leases]
       podvpn hub leases [--directory DIR] [--json]
       podvpn hub clear [--directory DIR]

Runs a hub in the current network namespace, in the foreground: an IKE daemon
that gives each pod its virtual IP and passes packets from pod to pod. It needs
UDP ports 500 and 4500. SIGTERM and SIGINT stop it and take all of it away.
Started again after it was killed, it takes over the pods that are online.

leases lists the pods that are online, and those whose virtual IPs are kept
until they come back, with the time that is left for that (KEPT). AGE, IN and
OUT begin anew when keys are renewed: AGE every 4 hours, the bytes received and
sent every hour.

clear takes away what is left of a hub that was killed, or whose daemon died:
until then its guard stays, so that nothing leaves in plain. The leases stay.

  --config FILE    the configuration (conf-examples/hub.yaml)
  --directory DIR  the configuration's \`directory\` (/run/podvpn/hub)
  --json           a list of objects instead of a table
  --discard-damaged-leases
                   when the file with the leases is damaged, keep it aside and
                   begin without: pods may get other virtual IPs
`;

const DIRECTORY = { type: "string", default: "/run/podvpn/hub" } as const;

export async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const [word, ...rest] = args;
  if (word === "leases") return leases(rest, terminal);
  if (word === "clear") return clear(rest, terminal);
  const options = { config: { type: "string" }, "discard-damaged-leases": { type: "boolean" } } as const;
  const { values } = parseArgs({ args: [...args], options });
  if (values.config === undefined) throw new UsageError("--config is missing");
  return serve(await readConfig(values.config), values["discard-damaged-leases"] === true, terminal);
}

async function serve(config: HubConfig, discardDamagedLeases: boolean, terminal: Terminal): Promise<number> {
  const [{ runHub }, { journal }] = await Promise.all([import("../hub/run.ts"), import("../hub/journal.ts")]);
  const stop = new AbortController();
  const onSignal = () => stop.abort();
  process.on("SIGTERM", onSignal).on("SIGINT", onSignal);
  try {
    await runHub(
      config,
      { discardDamagedLeases },
      journal(config.logLevel, (text) => terminal.stderr(text)),
      stop.signal,
    );
  } finally {
    process.off("SIGTERM", onSignal).off("SIGINT", onSignal);
  }
  return 0;
}

async function readConfig(file: string): Promise<HubConfig> {
  const [{ parseYaml }, { parseHubConfig }, { readSecretFile, readText }] = await Promise.all([
    import("../config/yaml.ts"),
    import("../config/hub.ts"),
    import("../os/file.ts"),
  ]);
  const text = readText(file);
  if (text === undefined) throw new Fault(Code.invalidConfig, `${file} does not exist`, "correct --config");
  return parseHubConfig(parseYaml(text, file), file, { euid: process.geteuid?.() ?? 0, readSecretFile });
}

async function leases(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: { directory: DIRECTORY, json: { type: "boolean" } } });
  const [{ readLeases }, { leaseJson, leaseTable }, { isatty }] = await Promise.all([
    import("../hub/leases.ts"),
    import("../hub/lease-table.ts"),
    import("node:tty"),
  ]);
  const listed = await readLeases(values.directory);
  if (values.json === true) terminal.stdout(leaseJson(listed, Date.now()));
  else terminal.stdout(leaseTable(listed, Date.now(), isatty(1) ? COLUMNS : undefined));
  return 0;
}

/** Of a terminal. */
const COLUMNS = 80;

async function clear(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: { directory: DIRECTORY } });
  const { clearHub } = await import("../hub/stop.ts");
  const cleared = await clearHub(values.directory);
  terminal.stdout(cleared ? `${values.directory} is cleared\n` : `there is nothing in ${values.directory}\n`);
  return 0;
}
