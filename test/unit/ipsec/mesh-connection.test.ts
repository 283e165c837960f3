import type { Section } from "vici";
import { describe, expect, test } from "vitest";
import {
  type MeshConnection,
  meshConnection,
  meshFingerprints,
  meshTrap,
  selectorsFingerprint,
} from "../../../src/ipsec/mesh-connection.ts";
import { type MeshName, meshReqid } from "../../../src/ipsec/mesh-name.ts";
import { address, prefix } from "../mesh/support/records.ts";

const CONNECTION: MeshConnection = {
  peer: "n2",
  identity: "n1.example",
  peerIdentity: "n2.example",
  authentication: { by: "key", own: "A".repeat(60), peer: ["B".repeat(60), "C".repeat(60)] },
  local: [prefix("10.101.1.0/24"), prefix("fd00:101:1::/64")],
  remote: [prefix("10.101.2.0/24"), prefix("fd00:101:2::/64")],
  endpoint: address("192.0.2.2"),
  dataPlane: "userspace",
  restarts: true,
};

const NAME: MeshName = { peer: "n2", number: 1, generation: 1, role: "initiates", ...meshFingerprints(CONNECTION) };
const ANSWERING: MeshName = { ...NAME, role: "answers" };

function child(section: Section, name: string): Section {
  const children = section.children as Section;
  return children[name] as Section;
}

describe("a connection of the mesh", () => {
  test("carries both families in one child, which nothing starts by itself", () => {
    const section = meshConnection(CONNECTION, NAME);
    expect(child(section, "mesh")).toMatchObject({
      local_ts: ["10.101.1.0/24", "fd00:101:1::/64"],
      remote_ts: ["10.101.2.0/24", "fd00:101:2::/64"],
      start_action: "none",
      close_action: "none",
    });
  });

  test("is found at its endpoint, and lets the peer in from anywhere", () => {
    expect(meshConnection(CONNECTION, NAME).remote_addrs).toEqual(["192.0.2.2", "0.0.0.0/0", "::/0"]);
    const { endpoint: _, ...nowhere } = CONNECTION;
    expect(meshConnection(nowhere, NAME).remote_addrs).toEqual(["0.0.0.0/0", "::/0"]);
  });

  test("is brought back by one side only", () => {
    const one = meshConnection(CONNECTION, NAME);
    expect(one.keyingtries).toBe("0");
    expect(child(one, "mesh").dpd_action).toBe("restart");
    const other = meshConnection({ ...CONNECTION, restarts: false }, NAME);
    expect(other.keyingtries).toBe("1");
    expect(child(other, "mesh").dpd_action).toBe("clear");
  });

  test("stands beside another of the same peer", () => {
    expect(meshConnection(CONNECTION, NAME).unique).toBe("no");
    expect(meshConnection({ ...CONNECTION, dataPlane: "kernel", ifId: 7 }, NAME).unique).toBe("never");
  });

  test("with libipsec has no policies where this side answers: a trap has them, and leads there", () => {
    expect(child(meshConnection(CONNECTION, NAME), "mesh").policies).toBeUndefined();
    const answering = meshConnection(CONNECTION, ANSWERING);
    expect(child(answering, "mesh").policies).toBe("no");
    const trap = meshTrap(CONNECTION, { peer: "n2", number: 1, selectors: selectorsFingerprint(CONNECTION) });
    expect(child(trap, "trap")).toMatchObject({
      reqid: child(answering, "mesh").reqid,
      start_action: "trap",
      local_ts: child(answering, "mesh").local_ts,
    });
    expect(child(answering, "mesh").reqid).toBe(String(meshReqid(ANSWERING)));
    expect(trap.remote_addrs).toEqual(["127.0.0.1"]);
  });

  test("in the kernel has its policies behind all others where this side answers", () => {
    const kernel = { ...CONNECTION, dataPlane: "kernel", ifId: 7 } as const;
    expect(child(meshConnection(kernel, NAME), "mesh").priority).toBeUndefined();
    const answering = meshConnection(kernel, ANSWERING);
    expect(Number(child(answering, "mesh").priority)).toBeGreaterThan(400_000);
    expect(child(answering, "mesh").policies).toBeUndefined();
    expect(answering).toMatchObject({ if_id_in: "7", if_id_out: "7", encap: "no" });
  });

  test("in the kernel has the reqid of all tunnels of its peer, as there is one policy for what comes by any of them", () => {
    const kernel = { ...CONNECTION, dataPlane: "kernel", ifId: 7 } as const;
    const reqid = (name: typeof NAME) => child(meshConnection(kernel, name), "mesh").reqid;
    const other = { ...NAME, generation: NAME.generation + 1 };
    expect([reqid(ANSWERING), reqid(other)]).toEqual([reqid(NAME), reqid(NAME)]);
    expect(reqid({ ...NAME, number: NAME.number + 1 })).not.toBe(reqid(NAME));
    expect(child(meshConnection(CONNECTION, other), "mesh").reqid).not.toBe(
      child(meshConnection(CONNECTION, NAME), "mesh").reqid,
    );
  });

  test("proves by what it is told, and by nothing else", () => {
    const key = meshConnection(CONNECTION, NAME);
    expect(key.local).toMatchObject({ auth: "pubkey", id: "n1.example" });
    const { pubkeys } = key.remote as { pubkeys: string[] };
    expect(pubkeys.length).toBe(2);
    expect(pubkeys[0]).toMatch(/^-----BEGIN PUBLIC KEY-----\nB{60}\n-----END PUBLIC KEY-----\n$/);
    const psk = meshConnection({ ...CONNECTION, authentication: { by: "psk" } }, NAME);
    expect(psk.local).toEqual({ auth: "psk", id: "n1.example" });
    expect(psk.remote).toEqual({ auth: "psk", id: "n2.example" });
    const certificate = Buffer.from("certificate");
    const x509 = meshConnection({ ...CONNECTION, authentication: { by: "x509", certificate } }, NAME);
    expect(x509.local).toEqual({ auth: "pubkey", id: "n1.example", certs: [certificate] });
    expect(x509.remote).toEqual({ auth: "pubkey", id: "n2.example" });
  });
});

describe("what tells connections apart", () => {
  const same = meshFingerprints(CONNECTION);

  test("a tunnel is another one with other keys, identities, prefixes or data plane", () => {
    const { authentication } = CONNECTION;
    if (authentication.by !== "key") throw new TypeError("by key");
    const others: MeshConnection[] = [
      { ...CONNECTION, identity: "other.example" },
      { ...CONNECTION, peerIdentity: "other.example" },
      { ...CONNECTION, remote: [prefix("10.101.2.0/24")] },
      { ...CONNECTION, local: [prefix("10.101.1.0/24")] },
      { ...CONNECTION, dataPlane: "kernel", ifId: 7 },
      { ...CONNECTION, authentication: { ...authentication, own: "D" } },
      { ...CONNECTION, authentication: { ...authentication, peer: ["C".repeat(60)] } },
      { ...CONNECTION, authentication: { by: "psk" } },
    ];
    const tunnels = others.map((other) => meshFingerprints(other).tunnel);
    expect(new Set([same.tunnel, ...tunnels]).size).toBe(others.length + 1);
  });

  test("what else is accepted, or who brings it back, is no other tunnel", () => {
    const { authentication } = CONNECTION;
    if (authentication.by !== "key") throw new TypeError("by key");
    const fewer = meshFingerprints({ ...CONNECTION, authentication: { ...authentication, peer: ["B".repeat(60)] } });
    expect(fewer.tunnel).toBe(same.tunnel);
    expect(fewer.rest).not.toBe(same.rest);
    const restarts = meshFingerprints({ ...CONNECTION, restarts: false });
    expect(restarts.tunnel).toBe(same.tunnel);
    expect(restarts.rest).not.toBe(same.rest);
  });

  test("an endpoint is in neither", () => {
    expect(meshFingerprints({ ...CONNECTION, endpoint: address("192.0.2.9") })).toEqual(same);
  });
});
