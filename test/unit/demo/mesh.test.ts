import { describe, expect, it } from "vitest";
import { kinds, MESH } from "../../../src/demo/mesh/kind.ts";
import { agentLines } from "../../../src/demo/mesh/member.ts";
import { Steps } from "../../../src/demo/mesh/steps.ts";
import { Answers } from "../../../src/demo/mesh/stream.ts";
import { NotInTime } from "../../../src/testbed/eventually.ts";

const answer = (sequence: number) => `76 bytes from 10.101.1.2: icmp_seq=${sequence} ttl=62 time=1.23 ms\n`;

describe("a stream of pings", () => {
  it("counts what was answered, and as lost what was sent before the last answer and has none", () => {
    const answers = new Answers();
    answers.take("PING 10.101.1.2 (10.101.1.2) 56(84) bytes of data.\n");
    expect(answers).toMatchObject({ sent: 0, answered: 0, lost: 0 });
    answers.take([1, 2, 5].map(answer).join(""));
    expect(answers).toMatchObject({ sent: 5, answered: 3, lost: 2 });
  });

  it("takes an answer that is late, or comes twice, for one", () => {
    const answers = new Answers();
    answers.take([1, 3, 2, 3].map(answer).join(""));
    expect(answers).toMatchObject({ sent: 3, answered: 3, lost: 0 });
  });

  it("reads lines that come in parts, and takes no error for an answer", () => {
    const answers = new Answers();
    const text = answer(1) + answer(2);
    answers.take(text.slice(0, 50));
    answers.take(text.slice(50));
    answers.take("From 10.101.1.1 icmp_seq=3 Destination Host Unreachable\n");
    expect(answers).toMatchObject({ sent: 2, answered: 2, lost: 0 });
  });
});

describe("the steps of a story", () => {
  function begin() {
    const told: string[] = [];
    const steps = new Steps((text) => told.push(text));
    return { told, steps };
  }

  it("tell what is done and expected before it is done, and then what was seen", async () => {
    const { told, steps } = begin();
    await steps.take("It is done.", "all", async () => {
      told.push("(doing)");
      return { seen: "all of it", isRight: true };
    });
    expect(told).toEqual(["\n1. It is done.", "   expected  all", "(doing)", "   seen      all of it"]);
    expect(steps.wrong).toEqual([]);
  });

  it("remember what was not as expected, with its number", async () => {
    const { steps } = begin();
    await steps.take("One.", "this", async () => ({ seen: "this", isRight: true }));
    await steps.take("Two.", "this", async () => ({ seen: "that", isRight: false }));
    expect(steps.wrong).toEqual(["step 2: expected: this; seen: that"]);
  });

  it("end with what did not come in time, which is told and wrong", async () => {
    const { told, steps } = begin();
    const late = steps.take("One.", "soon", async () => {
      throw new NotInTime("not within 1 ms: this");
    });
    await expect(late).rejects.toThrow(NotInTime);
    expect(told.at(-1)).toBe("   seen      not within 1 ms: this");
    expect(steps.wrong).toEqual(["step 1: expected: soon; seen: not within 1 ms: this"]);
  });
});

describe("a node of the mesh", () => {
  it.each(kinds)("is told of no peer, in lines of a terminal ($driver)", ({ driver }) => {
    const lines = agentLines(driver);
    expect(lines.join("\n")).not.toMatch(/peer|10\.9\./);
    expect(lines.filter((line) => line.length > 76)).toEqual([]);
  });

  it.each(kinds)("has pods in the shares that its agent took, and nowhere else ($driver)", (kind) => {
    const shares = ["10.101.7.0/24", "fd00:101:7::/64"];
    expect(kind.configuration(shares)).toMatchObject({
      type: kind.plugin,
      ipam: { ranges: [[{ subnet: shares[0] }], [{ subnet: shares[1] }]] },
    });
    for (const prefix of MESH) expect(kind.wire.plain.filter).toContain(prefix);
  });
});
