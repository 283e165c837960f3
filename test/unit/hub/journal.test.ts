import { expect, test } from "vitest";
import { journal } from "../../../src/hub/journal.ts";
import { Refusals } from "../../../src/hub/refusals.ts";

function lines(level: "error" | "info" | "debug", ...messages: string[]): string[] {
  const written: string[] = [];
  const log = journal(level, (text) => written.push(text));
  for (const message of messages) {
    for (const entry of ["error", "info", "debug"] as const) log(entry, message);
  }
  return written;
}

test("a journal has what its level asks for, one line each", () => {
  expect(lines("error", "x")).toEqual([expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z error x\n$/)]);
  expect(lines("info", "x")).toHaveLength(2);
  expect(lines("debug", "x")).toHaveLength(3);
});

test("a peer that chooses its identity can neither end the line nor move the cursor", () => {
  expect(lines("error", "a\nb\u001b[2Jc\u2028d")[0]).toMatch(/ error a\\u\{a\}b\\u\{1b\}\[2Jc\\u\{2028\}d\n$/);
});

/** charon 5.9.8's lines, in the order in which they come. */
const SETUP = [
  "10.9.0.1 is initiating an IKE_SA",
  "looking for peer configs matching 10.9.0.254[server]...10.9.0.1[pod a]",
];

test.each([
  [
    "tried 1 shared key for 'server' - 'pod a', but MAC mismatched",
    /^refused "pod a" at 10.9.0.1: its PSK is another one/,
  ],
  ["no matching peer config found", /^refused "pod a" at 10.9.0.1: its identity, or the hub's that it asks for/],
  ["traffic selectors 10.99.0.0/16 === 10.173.0.1/32 unacceptable", /^refused "pod a" at 10.9.0.1: .*virtualSubnets/],
  ["no virtual IP found, sending INTERNAL_ADDRESS_FAILURE", /^refused "pod a" at 10.9.0.1: the pool is used up/],
])("of charon's log, %j is a refusal with a name", (msg, told) => {
  const refusals = new Refusals();
  for (const earlier of SETUP) expect(refusals.read({ msg: earlier, ikesaUniqueid: 7 })).toBeUndefined();
  expect(
    refusals.read({ msg: "looking for peer configs matching 10.9.0.254[server]...10.9.0.2[other]", ikesaUniqueid: 8 }),
  ).toBeUndefined();
  expect(refusals.read({ msg, ikesaUniqueid: 7 })).toMatch(told);
});

test("before its identity is known, a peer is named by its address", () => {
  const refusals = new Refusals();
  refusals.read({ msg: "10.9.0.1 is initiating an IKE_SA", ikesaUniqueid: 1 });
  expect(refusals.read({ msg: "received proposals unacceptable", ikesaUniqueid: 1 })).toMatch(
    /^refused 10.9.0.1: none of its IKE/,
  );
});

test("everything else in charon's log refuses nobody", () => {
  const refusals = new Refusals();
  for (const msg of [
    "IKE_SA pods[1] established",
    "assigning virtual IP 10.173.0.1 to peer 'a'",
    "sending keep alive",
  ]) {
    expect(refusals.read({ msg, ikesaUniqueid: 1 })).toBeUndefined();
  }
});
