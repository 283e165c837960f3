import { describe, expect, test } from "vitest";
import { bareTunnels } from "../../../../src/agent/ipsec/bare.ts";
import { heldPeers } from "../../../../src/ipsec/mesh-held.ts";
import type { Direction, Policy } from "../../../../src/netlink/xfrm.ts";
import { prefix } from "../../mesh/support/records.ts";

const IF_ID = 7;
const [HERE, HERE6] = ["10.101.1.0/24", "fd00:101:1::/64"];
const [THERE, THERE6] = ["10.101.2.0/24", "fd00:101:2::/64"];

const policy = (direction: Direction, src: string, dst: string): Policy => {
  return {
    ...{ direction, src: prefix(src), dst: prefix(dst), ifId: IF_ID },
    ...{ action: "allow", priority: 1, templates: 1 },
  };
};

/** All that charon installs for one tunnel of both families. */
const WHOLE = [
  [HERE, THERE],
  [HERE6, THERE6],
].flatMap(([here = "", there = ""]) => [
  policy("out", here, there),
  policy("in", there, here),
  policy("fwd", there, here),
]);

function held(uniqueid: number, state = "ESTABLISHED", child = "INSTALLED") {
  const childSas = [{ state: child, localTs: [HERE, HERE6], remoteTs: [THERE, THERE6] }] as never;
  const name = "mesh-n2.0.1i.0123456789.0123456789";
  return heldPeers([], [{ name, uniqueid, state, initiator: true, remoteHost: "192.0.2.2", childSas }]);
}

describe("a tunnel of charon's", () => {
  test("that has all its policies is none to be mended", () => {
    expect(bareTunnels(held(1), WHOLE, IF_ID)).toEqual([]);
  });

  test.each(WHOLE.map((one, index) => ({ index, ...one })))(
    "that lacks that from $src to $dst, $direction, is",
    ({ index }) => {
      const others = WHOLE.filter((_, at) => at !== index);
      expect(bareTunnels(held(5), others, IF_ID)).toEqual([{ peer: "n2", uniqueid: 5 }]);
    },
  );

  test("is not helped by policies of another interface, or without a transformation", () => {
    for (const other of [{ ifId: 8 }, { templates: 0 }]) {
      const policies = WHOLE.map((one) => ({ ...one, ...other }));
      expect(bareTunnels(held(5), policies, IF_ID)).toEqual([{ peer: "n2", uniqueid: 5 }]);
    }
  });

  test("that is not there yet, or about to be replaced, is left alone", () => {
    expect(bareTunnels(held(1, "CONNECTING", "CREATED"), [], IF_ID)).toEqual([]);
    expect(bareTunnels(held(1, "ESTABLISHED", "REKEYING"), [], IF_ID)).toEqual([]);
  });
});
