import { requiredInteger, requiredText } from "./fields.ts";
import { Message } from "./message.ts";

/** The answer to `version`. */
export interface Version {
  /** `charon`, `charon-systemd`, … */
  readonly daemon: string;
  /** Of strongSwan. */
  readonly version: string;
  readonly sysname: string;
  /** Of the kernel. */
  readonly release: string;
  readonly machine: string;
}

/** Counts by priority of charon's jobs. */
export interface ByPriority {
  readonly critical: number;
  readonly high: number;
  readonly medium: number;
  readonly low: number;
}

/** The answer to `stats`. */
export interface Stats {
  /** In words: `2 minutes`. */
  readonly running: string;
  readonly since: string;
  /** Threads. With none idle charon accepts connections and answers nobody. */
  readonly workers: { readonly total: number; readonly idle: number; readonly active: ByPriority };
  readonly queues: ByPriority;
  /** Jobs that wait for their time. */
  readonly scheduled: number;
  readonly ikesas: { readonly total: number; readonly halfOpen: number };
  readonly plugins: readonly string[];
}

/** @throws ViciError `PROTOCOL`. */
export function readVersion(message: Message): Version {
  return {
    daemon: requiredText(message, "daemon"),
    version: requiredText(message, "version"),
    sysname: requiredText(message, "sysname"),
    release: requiredText(message, "release"),
    machine: requiredText(message, "machine"),
  };
}

/** @throws ViciError `PROTOCOL`. */
export function readStats(message: Message): Stats {
  const part = (name: string) => message.section(name) ?? EMPTY;
  const workers = part("workers");
  return {
    running: requiredText(part("uptime"), "running"),
    since: requiredText(part("uptime"), "since"),
    workers: {
      total: requiredInteger(workers, "total"),
      idle: requiredInteger(workers, "idle"),
      active: readByPriority(workers.section("active") ?? EMPTY),
    },
    queues: readByPriority(part("queues")),
    scheduled: requiredInteger(message, "scheduled"),
    ikesas: {
      total: requiredInteger(part("ikesas"), "total"),
      halfOpen: requiredInteger(part("ikesas"), "half-open"),
    },
    plugins: message.list("plugins"),
  };
}

function readByPriority(message: Message): ByPriority {
  return {
    critical: requiredInteger(message, "critical"),
    high: requiredInteger(message, "high"),
    medium: requiredInteger(message, "medium"),
    low: requiredInteger(message, "low"),
  };
}

const EMPTY = new Message([]);
