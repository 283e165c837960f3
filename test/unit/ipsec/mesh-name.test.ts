import { describe, expect, test } from "vitest";
import {
  type MeshName,
  meshNameText,
  meshReqid,
  parseMeshName,
  parseTrapName,
  peerLabel,
  trapNameText,
} from "../../../src/ipsec/mesh-name.ts";

const NAME: MeshName = {
  peer: "node-1.example",
  number: 7,
  generation: 12,
  role: "initiates",
  tunnel: "0123456789",
  rest: "abcdefabcd",
};

describe("the name of a connection of the mesh", () => {
  test("tells all of it again", () => {
    for (const name of [NAME, { ...NAME, role: "answers" } as const]) {
      expect(parseMeshName(meshNameText(name))).toEqual(name);
    }
    const trap = { peer: "n1", number: 3, selectors: "0123456789" };
    expect(parseTrapName(trapNameText(trap))).toEqual(trap);
  });

  test("is not taken for that of a trap, or for somebody else's", () => {
    expect(parseTrapName(meshNameText(NAME))).toBeUndefined();
    expect(parseMeshName(trapNameText({ peer: "n1", number: 3, selectors: "0123456789" }))).toBeUndefined();
    for (const text of ["pod", "mesh-n1", "mesh-n1.1.1i.0123456789", "mesh-.1.1i.0123456789.0123456789"]) {
      expect(parseMeshName(text)).toBeUndefined();
    }
  });

  test("fits VICI's 255 bytes whatever the node is called, and is still another for each", () => {
    const long = "a.".repeat(126);
    const [one, other] = [`${long}b`, `${long}c`].map(peerLabel);
    expect(one).not.toBe(other);
    const text = meshNameText({ ...NAME, peer: one ?? "", number: 65_535, generation: 999_999_999 });
    expect(text.length).toBeLessThanOrEqual(255);
    expect(parseMeshName(text)?.peer).toBe(one);
    expect(text).toMatch(/^[\w.-]+$/);
  });

  test("leaves a node's name as it is where there is room", () => {
    expect(peerLabel("node-1.example")).toBe("node-1.example");
  });
});

describe("the reqid of a connection", () => {
  test("is the same for all that a side answers, and another for each that it initiates", () => {
    const answered = [1, 2, 3].map((generation) => meshReqid({ number: 7, generation, role: "answers" }));
    expect(new Set(answered).size).toBe(1);
    const initiated = [1, 2, 3].map((generation) => meshReqid({ number: 7, generation, role: "initiates" }));
    expect(new Set([...answered, ...initiated]).size).toBe(4);
  });

  test("is no other peer's, and stays within 32 bits", () => {
    const last = meshReqid({ number: 6, generation: 4094, role: "initiates" });
    expect(meshReqid({ number: 7, generation: 0, role: "answers" })).toBeGreaterThan(last);
    expect(meshReqid({ number: 65_535, generation: 4094, role: "initiates" })).toBeLessThan(2 ** 32);
  });
});
