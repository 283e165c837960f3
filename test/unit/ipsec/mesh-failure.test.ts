import { describe, expect, test } from "vitest";
import { meshFailure } from "../../../src/ipsec/mesh-failure.ts";

const ATTEMPT = { peer: "n2", identity: "n1.example", peerIdentity: "n2.example" };

describe("why a peer gives no tunnel", () => {
  test.each([
    [
      "parsed IKE_AUTH response 1 [ N(AUTH_FAILED) ]\nreceived AUTHENTICATION_FAILED notify error",
      /n2 refuses this node/,
    ],
    [
      "constraint check failed: peer not authenticated with peer certificate 'n2'\nselected peer config …",
      /n2 did not prove/,
    ],
    ["no trusted ED25519 public key found for 'n2.example'", /n2 did not prove/],
    ["tried 1 shared key for 'n1' - 'n2', but MAC mismatched", /another PSK/],
    ["received TS_UNACCEPTABLE notify, no CHILD_SA built", /does not take the prefixes/],
    ["received NO_PROPOSAL_CHOSEN notify error", /has no connection for this node/],
    ["no private key found for 'n1.example'", /no private key/],
    ["unable to install IPsec policies (SPD) in kernel", /cannot be installed on this node/],
  ])("%s", (log, reason) => {
    expect(meshFailure(ATTEMPT, ["sending packet: …", ...log.split("\n")])).toMatch(reason);
  });

  test("what this side found out stands before what it then told the peer", () => {
    const log = ["no trusted ED25519 public key found for 'n2.example'", "received AUTHENTICATION_FAILED notify error"];
    expect(meshFailure(ATTEMPT, log)).toMatch(/n2 did not prove/);
  });

  test("a peer that is silent is no failure, but a peer that is not there", () => {
    expect(
      meshFailure(ATTEMPT, ["retransmit 1 of request with message ID 0", "giving up after 8 retransmits"]),
    ).toBeUndefined();
    expect(meshFailure(ATTEMPT, [])).toBeUndefined();
  });
});
