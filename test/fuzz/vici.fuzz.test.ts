import { duplexPair } from "node:stream";
import {
  connect,
  decodePacket,
  encodePacket,
  encodeSegment,
  MAX_SEGMENT,
  Message,
  SegmentDecoder,
  type Vici,
  ViciError,
} from "vici";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EXCHANGES, recorded } from "../unit/vici/support/recorded.ts";
import { Memory, Random } from "./support/random.ts";

/** How many inputs, and the one number that all of them follow from: FUZZ_SEED repeats a run. */
const INPUTS = 1_000_000;
const CONVERSATIONS = 20_000;
const SEED = Number(process.env.FUZZ_SEED ?? Date.now() % 0x100000000);

/** The most that a run may have resident more than at its start, in bytes. */
const MEMORY = 300 * 1024 * 1024;

/** Bytes at the edges of what a length or a type can be. */
const EDGES = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0x7f, 0x80, 0xff];

/** Ways to damage bytes: each takes one input and gives another. */
const MUTATIONS: readonly ((bytes: Buffer, random: Random, corpus: readonly Buffer[]) => Buffer)[] = [
  (bytes, random) => overwrite(bytes, random, () => random.below(256)),
  (bytes, random) => overwrite(bytes, random, () => random.pick(EDGES)),
  (bytes, random) => bytes.subarray(0, random.below(bytes.length + 1)),
  (bytes, random) => bytes.subarray(random.below(bytes.length + 1)),
  (bytes, random) => insert(bytes, random, random.bytes(random.below(16))),
  (bytes, random) => insert(bytes, random, slice(bytes, random)),
  (bytes, random, corpus) => insert(bytes, random, slice(random.pick(corpus), random)),
  (bytes, random) => {
    const start = random.below(bytes.length + 1);
    return Buffer.concat([bytes.subarray(0, start), bytes.subarray(start + random.below(16))]);
  },
  (_, random) => random.bytes(random.below(64)),
];

function overwrite(bytes: Buffer, random: Random, value: () => number): Buffer {
  const changed = Buffer.from(bytes);
  if (changed.length > 0) changed[random.below(changed.length)] = value();
  return changed;
}

function insert(bytes: Buffer, random: Random, inserted: Buffer): Buffer {
  const at = random.below(bytes.length + 1);
  return Buffer.concat([bytes.subarray(0, at), inserted, bytes.subarray(at)]);
}

function slice(bytes: Buffer, random: Random): Buffer {
  const start = random.below(bytes.length + 1);
  return bytes.subarray(start, start + random.below(64));
}

function mutate(corpus: readonly Buffer[], random: Random): Buffer {
  let bytes = random.pick(corpus);
  for (let count = 1 + random.below(4); count > 0; count -= 1) bytes = random.pick(MUTATIONS)(bytes, random, corpus);
  return bytes;
}

/** All of a stream in pieces of random length, through the decoder. Returns the packets up to the first error. */
function decodeStream(stream: Buffer, random: Random): Buffer[] {
  const decoder = new SegmentDecoder();
  const bodies: Buffer[] = [];
  for (let offset = 0; offset < stream.length; ) {
    const end = offset + 1 + random.below(random.below(2) === 0 ? 8 : stream.length);
    bodies.push(...decoder.push(stream.subarray(offset, end)));
    offset = end;
  }
  return bodies;
}

/** Whether `message` has what an encoder refuses: repeated keys, or keys that were not UTF-8. */
function isIrregular(message: Message): boolean {
  const keys = [...message].map(([key]) => key);
  if (new Set(keys).size < keys.length || keys.some((key) => key.includes("\ufffd"))) return true;
  return [...message].some(([, value]) => value instanceof Message && isIrregular(value));
}

/** Decodes `bytes`. What decodes must be what was there: encoded again, it is the same. */
function tryPacket(bytes: Buffer): "decoded" | "refused" {
  try {
    const packet = decodePacket(bytes);
    const irregular = "name" in packet && packet.name.includes("\ufffd");
    if (!irregular && !("message" in packet && isIrregular(packet.message))) {
      if (!encodePacket(packet).equals(bytes)) throw new Error("decoded and encoded again, it is another");
    }
    return "decoded";
  } catch (error) {
    if (error instanceof ViciError && error.code === "PROTOCOL") return "refused";
    throw error;
  }
}

/** Runs `action`; what it throws is told with the input, to repeat it alone. */
function withInput(input: Buffer, action: () => void): void {
  try {
    action();
  } catch (cause) {
    throw new Error(`seed ${SEED}, input ${input.toString("hex")}`, { cause });
  }
}

const segments = EXCHANGES.flatMap(recorded).map(({ segment }) => segment);
const bodies = segments.map((segment) => segment.subarray(4));

beforeAll(() => {
  process.stdout.write(`fuzzing vici with FUZZ_SEED=${SEED}\n`);
});

describe(`${INPUTS} damaged inputs`, () => {
  test("as packets are decoded or refused, in bounded memory and time", () => {
    const random = new Random(SEED);
    const memory = new Memory();
    const outcomes = { decoded: 0, refused: 0 };
    for (let count = 0; count < INPUTS * 0.7; count += 1) {
      const input = mutate(bodies, random);
      withInput(input, () => {
        outcomes[tryPacket(input)] += 1;
      });
      if (count % 1000 === 0) memory.look();
    }
    expect(outcomes.decoded).toBeGreaterThan(INPUTS / 100);
    expect(outcomes.refused).toBeGreaterThan(INPUTS / 100);
    expect(memory.most).toBeLessThan(MEMORY);
  });

  test("as a stream are cut the same in any pieces, in bounded memory and time", () => {
    const random = new Random(SEED + 1);
    const memory = new Memory();
    for (let count = 0; count < INPUTS * 0.3; count += 1) {
      const input = mutate(segments, random);
      withInput(input, () => {
        const whole = attempt(() => new SegmentDecoder().push(input));
        const pieces = attempt(() => decodeStream(input, random));
        if (whole === undefined || pieces === undefined) expect(whole).toBe(pieces);
        else if (!Buffer.concat(whole).equals(Buffer.concat(pieces))) throw new Error("pieces give another stream");
        for (const body of whole ?? []) tryPacket(body);
      });
      if (count % 1000 === 0) memory.look();
    }
    expect(memory.most).toBeLessThan(MEMORY);
  });
});

/** Undefined when the stream is refused. */
function attempt(action: () => Buffer[]): Buffer[] | undefined {
  try {
    return action();
  } catch (error) {
    if (error instanceof ViciError && error.code === "PROTOCOL") return undefined;
    throw error;
  }
}

describe(`${CONVERSATIONS} conversations with a charon that answers damaged bytes`, () => {
  const unhandled: unknown[] = [];
  const note = (reason: unknown) => unhandled.push(reason);
  beforeAll(() => {
    process.on("unhandledRejection", note);
  });
  afterAll(() => {
    process.off("unhandledRejection", note);
  });

  const CALLS: readonly ((vici: Vici) => Promise<unknown>)[] = [
    (vici) => vici.version(),
    (vici) => vici.stats(),
    (vici) => vici.getPools({ leases: true }),
    (vici) => vici.initiate({ ike: "hub", child: "net", timeout: 1000 }),
    (vici) => vici.terminate({ ike: "hub" }),
    (vici) => drain(vici.listSas()),
    (vici) => drain(vici.listConns()),
    (vici) => drain(vici.listPolicies({ pass: true })),
    async (vici) => drain(await vici.subscribe(["ike-updown", "child-updown"])),
  ];

  test("end with an answer or an error of this package, each call of them", async () => {
    const random = new Random(SEED + 2);
    const memory = new Memory();
    const answers = EXCHANGES.map((exchange) =>
      Buffer.concat(recorded(exchange).flatMap(({ from, segment }) => (from === "charon" ? [segment] : []))),
    );
    for (let count = 0; count < CONVERSATIONS; count += 1) {
      const input = random.below(10) === 0 ? random.pick(answers) : mutate(answers, random);
      const [client, charon] = duplexPair();
      charon.on("error", () => {}).resume();
      const vici = await connect({ stream: client });
      const calls = [random.pick(CALLS)(vici), random.pick(CALLS)(vici)].map((call) => call.catch((error) => error));
      charon.end(input);
      for (const outcome of await Promise.all(calls)) {
        if (outcome instanceof Error && !(outcome instanceof ViciError)) {
          throw new Error(`seed ${SEED}, input ${input.toString("hex")}`, { cause: outcome });
        }
      }
      vici.close();
      if (count % 100 === 0) memory.look();
    }
    expect(unhandled).toEqual([]);
    expect(memory.most).toBeLessThan(MEMORY);
  });
});

async function drain(items: AsyncIterable<unknown>): Promise<number> {
  let count = 0;
  for await (const _ of items) count += 1;
  return count;
}

describe("the worst that fits into a segment", () => {
  const worst: [string, Buffer][] = [
    ["sections in sections", Buffer.alloc(MAX_SEGMENT - 1, Uint8Array.of(1, 0))],
    ["empty sections", Buffer.alloc(MAX_SEGMENT - 2, Uint8Array.of(1, 0, 2))],
    ["empty lists", Buffer.alloc(MAX_SEGMENT - 2, Uint8Array.of(4, 0, 6))],
    ["empty values", Buffer.alloc(MAX_SEGMENT - 4, Uint8Array.of(3, 0, 0, 0))],
    ["items of a list", Buffer.concat([Uint8Array.of(4, 0), Buffer.alloc(MAX_SEGMENT - 4, Uint8Array.of(5, 0, 0))])],
  ];

  test.each(worst)("is decoded or refused at once: %s", (_, message) => {
    const memory = new Memory();
    const [body] = new SegmentDecoder().push(encodeSegment(Buffer.concat([Uint8Array.of(1), message])));
    const start = performance.now();
    attempt(() => {
      decodePacket(body ?? Buffer.alloc(0));
      return [];
    });
    memory.look();
    expect(performance.now() - start).toBeLessThan(5000);
    expect(memory.most).toBeLessThan(MEMORY);
  });
});
