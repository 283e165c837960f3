import { describe, expect, test } from "vitest";
import { Code } from "../../../src/fault.ts";
import { type ControlLogLine, initiateFault } from "../../../src/ipsec/failure.ts";

const ATTEMPT = { server: "10.9.0.254", identity: "c1.eth0@n1", timeout: 10_000 };
const GENERIC = "establishing CHILD_SA 'net' failed";

/** Control-log lines as charon 5.9.8 writes them: group and message. */
function log(...lines: readonly string[]): ControlLogLine[] {
  return lines.map((line) => {
    const [, group = "", msg = ""] = /^\[(\w+)\] (.*)$/.exec(line) ?? [];
    return { group, msg };
  });
}

const SENT = "[NET] sending packet: from 172.17.1.2[40001] to 10.9.0.254[500] (240 bytes)";
const ANSWERED = "[ENC] parsed IKE_SA_INIT response 0 [ SA KE No N(NATD_S_IP) N(NATD_D_IP) ]";

describe("what charon's log says of a failed initiate", () => {
  test.each([
    [
      "a wrong PSK or unknown identity",
      ["[IKE] received AUTHENTICATION_FAILED notify error"],
      Code.authentication,
      "refused identity",
    ],
    ["no common IKE proposal", ["[IKE] received NO_PROPOSAL_CHOSEN notify error"], Code.proposals, "vpn.proposals"],
    [
      "no common ESP proposal",
      ["[IKE] received NO_PROPOSAL_CHOSEN notify, no CHILD_SA built"],
      Code.proposals,
      "vpn.espProposals",
    ],
    [
      "a subnet that is not served",
      ["[IKE] received TS_UNACCEPTABLE notify, no CHILD_SA built"],
      Code.trafficSelectors,
      "vpn.virtualSubnet",
    ],
    [
      "an empty pool",
      ["[IKE] received INTERNAL_ADDRESS_FAILURE notify, no CHILD_SA built"],
      Code.tryAgainLater,
      "pool",
    ],
    ["a silent hub", [SENT, "[IKE] retransmit 1 of request with message ID 0"], Code.hubSilent, "no answer from hub"],
    [
      "a filtered port 4500",
      [SENT, ANSWERED, "[IKE] retransmit 1 of request with message ID 1"],
      Code.hubSilent,
      "not on 4500",
    ],
    [
      "a pod without a route",
      ["[NET] sending packet: from 0.0.0.0[40001] to 10.9.0.254[500] (240 bytes)"],
      Code.hubSilent,
      "no route to hub",
    ],
    ["no socket", ["[NET] could not create any sockets"], Code.charon, "no UDP socket"],
  ])("%s", (_name, lines, code, phrase) => {
    const fault = initiateFault(ATTEMPT, log(...lines), GENERIC);
    expect(fault.code).toBe(code);
    expect(fault.message).toContain(phrase);
  });

  test("names the hub that answered, and the one that was expected", () => {
    const lines = log("[IKE] received AUTHENTICATION_FAILED notify error");
    expect(initiateFault({ ...ATTEMPT, serverID: "hub-1" }, lines, GENERIC).message).toContain('asked for hub "hub-1"');
  });

  test("an unknown reason keeps charon's own word", () => {
    expect(initiateFault(ATTEMPT, [], GENERIC).message).toContain(GENERIC);
  });

  test("the details are the last five lines that an operator can use", () => {
    const noise = Array.from({ length: 9 }, (_, index) => `[IKE] line ${index}`);
    const { details } = initiateFault(ATTEMPT, log(...noise, "[ENC] payloads"), GENERIC);
    expect(details?.split("\n")).toEqual(noise.slice(-5));
  });
});
