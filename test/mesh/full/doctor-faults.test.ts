import { afterAll, beforeAll, describe } from "vitest";
import { ExaminedNode, FAULTS, testFaults } from "../../netns/support/doctor-faults.ts";

let examined: ExaminedNode;
beforeAll(async () => {
  examined = await ExaminedNode.create();
});
afterAll(() => examined?.[Symbol.asyncDispose]());

describe("podvpn doctor on a node with the CNI plugins alone", () => {
  testFaults(
    FAULTS.filter(({ isMore }) => isMore === true),
    () => examined,
  );
});
