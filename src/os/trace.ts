import { appendFileSync } from "node:fs";

/**
 * Notes when a step was reached: appended to the file PODVPN_TRACE as `pid milliseconds step`, for `bench/` and for
 * whoever asks where the time goes. The clock is CLOCK_MONOTONIC: the times of several processes, and of whoever
 * started them, can be compared. Without the variable it costs nothing.
 */
export function trace(step: string): void {
  const path = process.env.PODVPN_TRACE;
  if (path === undefined) return;
  const milliseconds = Number(process.hrtime.bigint()) / 1e6;
  appendFileSync(path, `${process.pid} ${milliseconds.toFixed(2)} ${step}\n`, { mode: 0o600 });
}
