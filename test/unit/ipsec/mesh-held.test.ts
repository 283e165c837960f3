import { describe, expect, test } from "vitest";
import { carriedTo, carriesExactly, heldPeers, isCarrying } from "../../../src/ipsec/mesh-held.ts";
import { prefix } from "../mesh/support/records.ts";

const NAME = "mesh-n2.0.1i.0123456789.0123456789";
const LOCAL = [prefix("10.101.1.0/24"), prefix("fd00:101:1::/64")];
const REMOTE = [prefix("10.101.2.0/24"), prefix("fd00:101:2::/64")];

function sa(state: string, children: readonly string[], name = NAME) {
  const childSas = children.map((child) => ({ state: child, localTs: LOCAL, remoteTs: REMOTE })) as never;
  return { name, uniqueid: 1, state, initiator: true, remoteHost: "192.0.2.2", childSas };
}

function only(...sas: ReturnType<typeof sa>[]) {
  const [found] = heldPeers([], sas).get("n2")?.sas ?? [];
  return found;
}

describe("what charon has of the mesh", () => {
  test("is told by peer, without what is somebody else's or about to end", () => {
    const held = heldPeers(
      [
        { name: NAME, remoteAddrs: ["192.0.2.2", "0.0.0.0/0", "::/0"] },
        { name: "trap-n2.0.0123456789", remoteAddrs: ["127.0.0.1"] },
        { name: "somebody", remoteAddrs: [] },
      ],
      [sa("ESTABLISHED", ["INSTALLED"]), sa("DELETING", []), sa("ESTABLISHED", [], "somebody")],
    );
    expect([...held.keys()]).toEqual(["n2"]);
    const peer = held.get("n2");
    expect(peer?.connections.map(({ text, endpoint }) => [text, endpoint])).toEqual([[NAME, "192.0.2.2"]]);
    expect(peer?.traps.map(({ name }) => name.selectors)).toEqual(["0123456789"]);
    expect(peer?.sas.length).toBe(1);
  });

  test("a connection without an endpoint has none", () => {
    const held = heldPeers([{ name: NAME, remoteAddrs: ["0.0.0.0/0", "::/0"] }], []);
    expect(held.get("n2")?.connections[0]).not.toHaveProperty("endpoint");
  });

  test("an SA carries packets when it is established and a child is installed", () => {
    const carrying = [
      sa("ESTABLISHED", ["INSTALLED"]),
      sa("REKEYING", ["REKEYED", "INSTALLED"]),
      sa("ESTABLISHED", ["REKEYING"]),
    ];
    for (const one of carrying) expect(only(one) && isCarrying(only(one) as never)).toBe(true);
    for (const one of [sa("CONNECTING", []), sa("ESTABLISHED", []), sa("ESTABLISHED", ["DELETING"])]) {
      expect(isCarrying(only(one) as never)).toBe(false);
    }
  });

  test("an SA for fewer or more prefixes is another one", () => {
    const one = only(sa("ESTABLISHED", ["INSTALLED"]));
    if (one === undefined) throw new TypeError("no SA");
    expect(carriesExactly(one, LOCAL, REMOTE)).toBe(true);
    expect(carriesExactly(one, LOCAL, [prefix("10.101.2.0/24")])).toBe(false);
    expect(carriesExactly(one, [...LOCAL, prefix("10.101.9.0/24")], REMOTE)).toBe(false);
    expect(carriedTo(one)).toEqual(REMOTE);
  });
});
