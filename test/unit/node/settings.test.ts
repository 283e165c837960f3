import { describe, expect, test } from "vitest";
import { type Prefix, parsePrefix } from "../../../src/net/prefix.ts";
import { usableAddresses } from "../../../src/node/settings.ts";

const MESH = ["10.1.0.0/16", "fd00:1::/32"].map((text): Prefix => {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new TypeError(text);
  return parsed;
});

describe("the addresses of an endpoint by name", () => {
  test("are those that an endpoint may have, in their order", () => {
    const answers = ["fe80::1", "10.1.2.9", "192.0.2.7", "fd00:1:2::9", "2001:db8::7", "224.0.0.1", "0.0.0.0", "::"];
    const found = usableAddresses(new Map([["node2.example", answers]]), MESH);
    expect(found).toEqual(new Map([["node2.example", ["192.0.2.7", "2001:db8::7"]]]));
  });

  test("are none, as of a name that does not resolve, when all are behind a peer or link-local", () => {
    const answers = new Map([
      ["mesh.example", ["10.1.2.9", "fd00:1::9"]],
      ["local.example", ["fe80::1", "fe80::1%eth0", "no address"]],
    ]);
    expect(usableAddresses(answers, MESH)).toEqual(new Map());
    expect([...usableAddresses(answers, []).keys()]).toEqual(["mesh.example"]);
  });
});
