import type { Address } from "../net/address.ts";
import { hostPrefix } from "../net/prefix.ts";
import { captureFilter } from "./filter.ts";
import { type Scope, scopeTest, wholeOf } from "./scope.ts";
import { type PlainPacket, Tally, type Verdict, verdictOf } from "./tally.ts";
import { type RunningCapture, startCapture } from "./tcpdump.ts";

/** What to look for, and where. */
export interface Target {
  readonly links: readonly CaptureLink[];
  readonly scopes: readonly Scope[];
  /** Where tunnels are known to go. */
  readonly endpoints: readonly Address[];
  /** UDP ports of WireGuard, here and of its peers. */
  readonly wireguardPorts: readonly number[];
}

/** A link to capture on. */
export interface CaptureLink {
  readonly name: string;
  /** Whether its frames have Ethernet's header. */
  readonly ethernet: boolean;
}

export interface CaptureOptions {
  /** Ends the capture before its time is over; what there is until then counts. */
  readonly signal: AbortSignal;
  readonly seconds: number;
  /** Called when all links are captured on: what goes by from now on is seen. */
  readonly onStart: () => void;
  /** Called with each of the first plain packets, when it is seen. */
  readonly onPlain: (packet: PlainPacket) => void;
}

/** What a capture has seen. */
export interface CaptureResult {
  readonly tally: Tally;
  /** How many packets were lost before they could be looked at. */
  readonly dropped: number;
  /** How long it took, in seconds. */
  readonly seconds: number;
  readonly verdict: Verdict;
}

/** How many plain packets are shown: enough to see who it is. */
const SHOWN = 10;

/**
 * Captures on all links at once and counts what is encrypted and what is not.
 * @throws Fault 101 without tcpdump, Fault 5 when a capture does not start, or ends by itself.
 */
export async function capture(target: Target, options: CaptureOptions): Promise<CaptureResult> {
  const tally = new Tally(criteriaOf(target), SHOWN);
  await using running = new AsyncDisposableStack();
  const captures = await Promise.all(
    target.links.map(async ({ name, ethernet }) => {
      const filter = captureFilter({
        prefixes: wholeOf(target.scopes),
        wireguardPorts: target.wireguardPorts,
        ethernet,
      });
      return running.use(
        await startCapture(name, filter, (frame) => {
          const plain = tally.add(name, frame);
          if (plain !== undefined) options.onPlain(plain);
        }),
      );
    }),
  );
  const start = performance.now();
  options.onStart();
  await overOrFailed(captures, options);
  const seconds = (performance.now() - start) / 1000;
  const drops = await Promise.all(captures.map((one) => one.stop()));
  const dropped = drops.reduce((sum, count) => sum + count, 0);
  return { tally, dropped, seconds, verdict: verdictOf(tally, dropped) };
}

function criteriaOf({ scopes, endpoints, wireguardPorts }: Target) {
  return {
    isSecret: scopeTest(scopes),
    isEndpoint: scopeTest([{ prefixes: endpoints.map(hostPrefix), except: [] }]),
    wireguardPorts: new Set(wireguardPorts),
  };
}

/** Waits until the time is over, or somebody has had enough. @throws why a capture has failed. */
async function overOrFailed(captures: readonly RunningCapture[], { signal, seconds }: CaptureOptions): Promise<void> {
  const { promise: over, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, seconds * 1000);
  const onAbort = () => resolve();
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) resolve();
  try {
    await Promise.race([over, ...captures.map(({ failed }) => failed)]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}
