import { beforeAll, describe, expect, test } from "vitest";
import { Fault } from "../../src/fault.ts";
import type { DeviceState } from "../../src/wireguard/device.ts";
import { encodeSet, parseGet } from "../../src/wireguard/uapi.ts";
import { mutate } from "./support/mutate.ts";
import { Memory, Random } from "./support/random.ts";

/** How many inputs, and the one number that all of them follow from: FUZZ_SEED repeats a run. */
const INPUTS = 1_000_000;
const SEED = Number(process.env.FUZZ_SEED ?? Date.now() % 0x100000000);

/** The most that a run may have resident more than at its start, in bytes. */
const MEMORY = 300 * 1024 * 1024;

const PEER = `public_key=b85996fecc9c7f1fc6d2572a76eda11d59bcd20be8e543b15ce4bd85a8e75a33
preshared_key=188515093e952f5f22e865cef3012e72f8b5f0b598ac0309d5dacce3b70fcf52
protocol_version=1
endpoint=[2607:5300:60:6b0::c05f:543]:51820
last_handshake_time_sec=1795255200
last_handshake_time_nsec=12000000
tx_bytes=38333
rx_bytes=2224
persistent_keepalive_interval=111
allowed_ip=192.168.4.4/32
allowed_ip=fd00::/8
`;
const OTHER = `public_key=58402e695ba1772b1cc9309755f043251ea77fdcf10fbe63989ceb7e19321376
preshared_key=0000000000000000000000000000000000000000000000000000000000000000
endpoint=182.122.22.19:3233
allowed_ip=0.0.0.0/0
`;
const DEVICE = `private_key=e84b5a6d2717c1003a13b431570353dbaca9146cf150c5f8575680feba52027a
listen_port=12912
fwmark=51820
`;
const END = "errno=0\n\n";
const CORPUS = [
  END,
  "errno=-98\n\n",
  DEVICE + END,
  DEVICE + PEER + END,
  PEER + OTHER + END,
  DEVICE + OTHER.repeat(8) + END,
];

/** Reads `answer`. What can be read must be a state that can be written, and read again, as the same. */
function tryAnswer(answer: string): "read" | "refused" {
  let state: DeviceState;
  try {
    state = parseGet(answer);
  } catch (error) {
    if (!(error instanceof Fault) || error.code !== 102) throw error;
    if (/[\da-f]{12}/i.test(error.message)) throw new Error("the error shows what may be a key", { cause: error });
    return "refused";
  }
  if (settings(parseGet(rewritten(state))) !== settings(state))
    throw new Error("written and read again, it is another");
  return "read";
}

/** The state as an answer. */
function rewritten({ peers, ...device }: DeviceState): string {
  const makes = peers.map(({ allowedIPs, latestHandshake: _, receivedBytes: __, sentBytes: ___, ...peer }) => {
    return { ...peer, isNew: true, addAllowedIPs: allowedIPs };
  });
  const operations = encodeSet({ ...device, peers: makes });
  return `${operations.map((operation) => operation.slice("set=1\n".length, -1)).join("")}${END}`;
}

/** All that is written of a state, as text that says the same for equal ones. */
function settings({ privateKey, peers, ...device }: DeviceState): string {
  const secrets = [privateKey, ...peers.map(({ presharedKey }) => presharedKey)];
  const peersShown = peers.map(
    ({ latestHandshake: _, receivedBytes: __, sentBytes: ___, presharedKey: ____, ...peer }) => peer,
  );
  return JSON.stringify([
    device,
    peersShown,
    secrets.map((secret) => secret && Buffer.from(secret.reveal()).toString("hex")),
  ]);
}

beforeAll(() => {
  process.stdout.write(`fuzzing UAPI with FUZZ_SEED=${SEED}\n`);
});

describe(`${INPUTS} damaged answers`, () => {
  test("are read or refused, in bounded memory and time", () => {
    const random = new Random(SEED);
    const memory = new Memory();
    const outcomes = { read: 0, refused: 0 };
    for (let count = 0; count < INPUTS; count += 1) {
      const input = mutate(CORPUS, random);
      try {
        outcomes[tryAnswer(input)] += 1;
      } catch (cause) {
        throw new Error(`seed ${SEED}, input ${JSON.stringify(input)}`, { cause });
      }
      if (count % 1000 === 0) memory.look();
    }
    expect(outcomes.read).toBeGreaterThan(INPUTS / 100);
    expect(outcomes.refused).toBeGreaterThan(INPUTS / 100);
    expect(memory.most).toBeLessThan(MEMORY);
  });
});

describe("the worst that an answer can be", () => {
  const MANY = 200_000;
  const worst: [string, string][] = [
    ["empty lines", "\n".repeat(MANY * 10)],
    ["many peers", OTHER.repeat(MANY / 10)],
    ["one peer with many allowed IPs", OTHER + "allowed_ip=10.0.0.1/32\n".repeat(MANY)],
    ["one long line", `x=${"y".repeat(MANY * 10)}\n`],
    ["many errnos", "errno=0\n\n".repeat(MANY)],
    ["many errnos without an end", "errno=0\n".repeat(MANY)],
    ["a long number", `listen_port=${"1".repeat(MANY * 10)}\n`],
    ["a long endpoint", `${OTHER}endpoint=${"a.".repeat(MANY)}:1\n`],
    ["a long prefix", `${OTHER}allowed_ip=${":".repeat(MANY)}/1\n`],
  ];

  test.each(worst)("is read or refused at once: %s", (_, body) => {
    const start = performance.now();
    try {
      parseGet(body + END);
    } catch (error) {
      expect(error).toBeInstanceOf(Fault);
    }
    expect(performance.now() - start).toBeLessThan(5000);
  });
});
