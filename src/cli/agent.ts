import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { type Form, type Options, type Terminal, UsageError } from "./command.ts";

/** Where the configuration is unless it is told. */
const DEFAULT_CONFIG = "/etc/podvpn/agent.yaml";

export const help = `
Usage: podvpn agent [--config FILE] [--check | --leave]

Joins this node with all others, and keeps it joined: in the foreground, with
its log on standard error. It publishes this node in the registry, finds the
others there, makes a tunnel to each (WireGuard or IPsec), and guards what is
behind them, so that nothing for a pod of another node ever leaves in plain.

What is there already is adopted, and only what differs is written: a tunnel
that is right loses no packet when the agent is started, stopped, killed or
replaced by another version, nor when other nodes come and go. A device or
daemon that dies is started again within 2 seconds.

Options:
  --config FILE  the configuration (${DEFAULT_CONFIG}); a file
                 without a key is one of defaults: WireGuard, a registry in
                 /etc/podvpn/mesh, pod prefixes from /etc/cni/net.d
  --check        only say what is wrong with the configuration, all of it, or
                 what this node would tell and whom it would have tunnels to;
                 nothing is written
  --leave        take this node out of the mesh for good: its record, its
                 tunnels, and last its guard. Keys stay. No agent may run

Signals:
  SIGTERM, SIGINT  end the agent. All that it made stays, and goes on
  SIGHUP           read the configuration anew, as when the file is changed; a
                   wrong one is refused with all its errors, and the one before
                   goes on to count

Files:
  ${DEFAULT_CONFIG}    the configuration
  /etc/podvpn/mesh/nodes/    the registry: one file for each node
  /var/lib/podvpn/mesh/      private keys, made once (0600), and what the
                             registry had last
  /run/podvpn/agent/socket   for podvpn's other commands (0600)
  /etc/cni/net.d/            where pod prefixes are from, unless the
                             configuration has network or podPrefixes

Asked over HTTP (metrics.listen, 127.0.0.1:9174):
  /metrics   for Prometheus
  /healthz   200, or 503 and why the agent should be started again
  /readyz    200, or 503 and what is not done yet, or fails

Exit status:
  0  it was stopped; --check, --leave: done
  1  it could not start, the configuration is wrong, or the node has an agent

Examples:
  podvpn agent --check
  systemctl enable --now podvpn      # deploy/systemd/podvpn.service
  podvpn status
`;

const OPTIONS = {
  config: { type: "string", default: DEFAULT_CONFIG, value: "file" },
  check: { type: "boolean" },
  leave: { type: "boolean" },
} satisfies Options;

export const forms: readonly Form[] = [{ options: OPTIONS }];

export async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: OPTIONS });
  if (values.check && values.leave) throw new UsageError("--check and --leave exclude each other");
  const configFile = resolve(values.config);
  if (values.check) return check(configFile, terminal);
  if (values.leave) return leave(configFile, terminal);
  return serve(configFile, terminal);
}

async function serve(configFile: string, terminal: Terminal): Promise<number> {
  const { runService } = await import("../agent/service.ts");
  const stop = new AbortController();
  const onSignal = () => stop.abort();
  process.on("SIGTERM", onSignal).on("SIGINT", onSignal);
  try {
    await runService({
      configFile,
      write: (text) => terminal.stderr(text),
      signal: stop.signal,
      onReload: (reload) => {
        process.on("SIGHUP", reload);
        return { [Symbol.dispose]: () => void process.off("SIGHUP", reload) };
      },
    });
  } finally {
    process.off("SIGTERM", onSignal).off("SIGINT", onSignal);
  }
  return 0;
}

async function check(configFile: string, terminal: Terminal): Promise<number> {
  const [{ readAgentConfig }, { readForecast }, { forecastText }, { COLUMNS }, { isatty }] = await Promise.all([
    import("../agent/config-file.ts"),
    import("../agent/parts.ts"),
    import("../agent/check.ts"),
    import("../status/text.ts"),
    import("node:tty"),
  ]);
  const { config } = readAgentConfig(configFile);
  const found = await readForecast(config);
  terminal.stdout(forecastText(found, isatty(1) ? COLUMNS : undefined));
  return 0;
}

async function leave(configFile: string, terminal: Terminal): Promise<number> {
  const [{ readAgentConfig }, { leaveMesh }] = await Promise.all([
    import("../agent/config-file.ts"),
    import("../agent/service.ts"),
  ]);
  const { config } = readAgentConfig(configFile);
  await leaveMesh(config);
  terminal.stdout(`${config.name} has left the mesh; its keys stay in /var/lib/podvpn/mesh\n`);
  return 0;
}
