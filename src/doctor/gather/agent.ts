import { askStatus } from "../../agent/ask.ts";
import type { Forecast } from "../../agent/check.ts";
import { readAgentConfig } from "../../agent/config-file.ts";
import { readForecast } from "../../agent/parts.ts";
import type { AgentStatus } from "../../agent/status.ts";
import { AGENT_CONFIG, type AgentConfig } from "../../config/agent.ts";
import { Fault } from "../../fault.ts";
import { listGuards } from "../../node/guards.ts";
import { AGENT_NETWORK } from "../../node/record.ts";
import { readText } from "../../os/file.ts";

/** A failure in words, with what to do. */
export interface Trouble {
  readonly what: string;
  readonly remedy: string;
}

/** The node's agent, its configuration, and what it would do. */
export interface AgentFacts {
  /** There is a configuration, or something that an agent made. */
  readonly isExpected: boolean;
  readonly configFile: string;
  /** Absent: there is none, or it cannot be used. */
  readonly config?: AgentConfig;
  /** Why there is none. */
  readonly configTrouble?: Trouble;
  /** Absent: none runs. */
  readonly status?: AgentStatus;
  /** It runs, and does not answer. */
  readonly silence?: Trouble;
  /** What it would do by the registry as it is now. */
  readonly forecast?: Forecast;
  /** Why that is not known. */
  readonly forecastTrouble?: Trouble;
}

/** Asks the agent, and reads what it reads. */
export async function readAgent(): Promise<AgentFacts> {
  const isConfigured = readText(AGENT_CONFIG) !== undefined;
  const config = isConfigured ? attempted(() => readAgentConfig(AGENT_CONFIG).config) : undefined;
  const [status, forecast] = await Promise.all([
    attemptedLater(() => askStatus()),
    config !== undefined && "value" in config ? attemptedLater(() => readForecast(config.value)) : undefined,
  ]);
  const isLeft = listGuards().some(({ network }) => network === AGENT_NETWORK);
  const runs = !("value" in status) || status.value !== undefined;
  return {
    isExpected: isConfigured || isLeft || runs,
    configFile: AGENT_CONFIG,
    ...(config !== undefined && ("value" in config ? { config: config.value } : { configTrouble: config.trouble })),
    ...("value" in status ? status.value !== undefined && { status: status.value } : { silence: status.trouble }),
    ...(forecast !== undefined &&
      ("value" in forecast ? { forecast: forecast.value } : { forecastTrouble: forecast.trouble })),
  };
}

type Attempt<T> = { readonly value: T } | { readonly trouble: Trouble };

function attempted<T>(read: () => T): Attempt<T> {
  try {
    return { value: read() };
  } catch (error) {
    return troubleOf(error);
  }
}

async function attemptedLater<T>(read: () => Promise<T>): Promise<Attempt<T>> {
  try {
    return { value: await read() };
  } catch (error) {
    return troubleOf(error);
  }
}

function troubleOf(error: unknown): { trouble: Trouble } {
  if (!(error instanceof Fault)) throw error;
  const { what, remedy, details } = error;
  return { trouble: { what: details === undefined ? what : `${what}: ${details.trim()}`, remedy } };
}
