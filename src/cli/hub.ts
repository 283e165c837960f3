import { parseArgs } from "node:util";
import type { HubConfig } from "../config/hub.ts";
import { Code, Fault } from "../fault.ts";
import { type Form, type Option, type Options, type Terminal, UsageError } from "./command.ts";

const RUN_DIRECTORY = "/run/podvpn/hub";

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

Options:
  --config FILE    the configuration
  --directory DIR  the configuration's \`directory\` (${RUN_DIRECTORY})
  --json           a list of objects instead of a table
  --discard-damaged-leases
                   when the file with the leases is damaged, keep it aside and
                   begin without: pods may get other virtual IPs

With --json:
  identity, virtualIPs, online
  of one that is online   remoteHost, since, bytesIn, bytesOut
  of one that is not      offlineSince, keptUntil (null: for ever)

Exit status:
  0  the hub was stopped; leases, clear: done
  1  it could not start, or its daemon died

Files:
  ${RUN_DIRECTORY}      of the hub that runs: its daemon's socket and log
  /var/lib/podvpn/hub  leases, kept over a restart

Examples:
  podvpn hub --config hub.yaml       # conf-examples/hub.yaml
  podvpn hub leases
  podvpn hub leases --json | jq -r '.[] | select(.online) | .identity'
`;

const DIRECTORY = { type: "string", default: RUN_DIRECTORY, value: "directory" } satisfies Option;

const OPTIONS = {
  run: { config: { type: "string", value: "file" }, "discard-damaged-leases": { type: "boolean" } },
  leases: { directory: DIRECTORY, json: { type: "boolean" } },
  clear: { directory: DIRECTORY },
} satisfies Record<string, Options>;

export const forms: readonly Form[] = [
  { options: OPTIONS.run },
  { word: "leases", options: OPTIONS.leases },
  { word: "clear", options: OPTIONS.clear },
];

export async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const [word, ...rest] = args;
  if (word === "leases") return leases(rest, terminal);
  if (word === "clear") return clear(rest, terminal);
  const { values } = parseArgs({ args: [...args], options: OPTIONS.run });
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
  const { values } = parseArgs({ args: [...args], options: OPTIONS.leases });
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
  const { values } = parseArgs({ args: [...args], options: OPTIONS.clear });
  const { clearHub } = await import("../hub/stop.ts");
  const cleared = await clearHub(values.directory);
  terminal.stdout(cleared ? `${values.directory} is cleared\n` : `there is nothing in ${values.directory}\n`);
  return 0;
}
