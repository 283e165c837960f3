import type { DemoPod } from "./lab.ts";

/** In each echo request: a capture that carries it has seen plain text. ping(8) takes 16 bytes at most. */
export const PAYLOAD = "podvpn demo ";

/** Sends `count` echo requests, 0.1 s apart, each with a second for its answer. @returns What ping(8) said. */
export async function ping(from: DemoPod, to: DemoPod, count = 1): Promise<string> {
  const [address = ""] = to.addresses;
  const pattern = Buffer.from(PAYLOAD).toString("hex");
  const argv = ["ping", "-n", "-c", String(count), "-i", "0.1", "-W", "1", "-p", pattern, address] as const;
  return (await from.pod.exec(argv, { check: false })).stdout;
}

/** How many of `count` echo requests are answered. */
export async function countAnswers(from: DemoPod, to: DemoPod, count: number): Promise<number> {
  return Number(/ (\d+) received/.exec(await ping(from, to, count))?.[1] ?? 0);
}
