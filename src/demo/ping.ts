import type { DemoPod } from "./lab.ts";

/** In each echo request: a capture that carries it has seen plain text. ping(8) takes 16 bytes at most. */
export const PAYLOAD = "podvpn demo ";

/** {@link PAYLOAD} as ping(8) takes it. */
export const PATTERN = Buffer.from(PAYLOAD).toString("hex");

/** One echo request, with a second for its answer. @returns What ping(8) said. */
export async function ping(from: DemoPod, to: DemoPod): Promise<string> {
  const [address = ""] = to.addresses;
  const argv = ["ping", "-n", "-c", "1", "-W", "1", "-p", PATTERN, address] as const;
  return (await from.pod.exec(argv, { check: false })).stdout;
}

/**
 * How many of `count` echo requests are answered. Each is a ping(8) of its own: for the last of several it waits no
 * longer than two round trips of those before, which on a busy machine is too short.
 */
export async function countAnswers(from: DemoPod, to: DemoPod, count: number): Promise<number> {
  const texts = await Promise.all(Array.from({ length: count }, () => ping(from, to)));
  return texts.filter((text) => text.includes(" 1 received")).length;
}
