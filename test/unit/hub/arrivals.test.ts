import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  arrivalsCommand,
  forgetAllArrivals,
  forgetArrivals,
  parseArrivals,
  readArrivals,
  setArrivalsAside,
} from "../../../src/hub/arrivals.ts";

let directory: string;
let leases: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "podvpn-it's "));
  leases = join(directory, "leases.json");
});
afterEach(() => rmSync(directory, { recursive: true }));

/** As charon does: with the environment of strongSwan's updown plugin. */
function arrives(identity: string, addresses: { readonly 4?: string; readonly 6?: string }, verb = "up-client"): void {
  const env = {
    PATH: process.env.PATH ?? "",
    PLUTO_VERB: verb,
    PLUTO_PEER_ID: identity,
    ...(addresses[4] === undefined ? {} : { PLUTO_PEER_SOURCEIP4_1: addresses[4] }),
    ...(addresses[6] === undefined ? {} : { PLUTO_PEER_SOURCEIP6_1: addresses[6] }),
  };
  try {
    execFileSync("/bin/sh", ["-c", `2>&1 ${arrivalsCommand(leases)}`], { env });
  } catch (error) {
    if (!verb.startsWith("down")) throw error;
  }
}

describe("what charon's command writes", () => {
  test("is read again: who came, with the addresses of each family; for nobody else to read", () => {
    arrives("pod-1", { 4: "10.173.0.1", 6: "fd00:173::1" });
    arrives("pod-1", { 4: "10.173.0.1", 6: "fd00:173::1" }, "up-client-v6");
    arrives("pod-2", { 6: "fd00:173::2" });
    expect(readArrivals(leases)).toEqual([
      { identity: "pod-1", addresses: ["10.173.0.1", "fd00:173::1"] },
      { identity: "pod-2", addresses: ["fd00:173::2"] },
    ]);
    const [file = ""] = readdirSync(directory);
    expect(statSync(join(directory, file)).mode & 0o777).toBe(0o600);
  });

  test("is nothing when a tunnel goes", () => {
    arrives("pod-1", { 4: "10.173.0.1" }, "down-client");
    arrives("pod-1", { 4: "10.173.0.1" }, "down-client-v6");
    expect(readdirSync(directory)).toEqual([]);
  });

  test("is an identity as it stands, whatever a shell might make of it", () => {
    arrives("$(touch x)`id`'\"%s\\n", { 4: "10.173.0.1" });
    expect(readArrivals(leases)).toEqual([]); // no identity that a pod may have; and nothing was run
    expect(readdirSync(directory)).toHaveLength(1);
  });
});

describe("what charon has written", () => {
  test("is passed over where it is cut off, or makes no sense; the last word on an identity counts", () => {
    const good = "10.173.0.1\t\tpod\n";
    expect(parseArrivals(`10.173.0.7\t\tPod\n${good}10.173.0.2\t\tcut`)).toEqual([
      { identity: "pod", addresses: ["10.173.0.1"] },
    ]);
    for (const text of ["", "\n", "x", "10.173.0\t\tpod\n", "\t\tpod\n", "10.173.0.1\tno\tpod\n", "10.173.0.1\n"]) {
      expect(parseArrivals(text), JSON.stringify(text)).toEqual([]);
    }
  });

  test("before charon was asked goes when that is on the disk, and what came after stays", () => {
    arrives("early", { 4: "10.173.0.1" });
    setArrivalsAside(leases);
    arrives("late", { 4: "10.173.0.2" });
    setArrivalsAside(leases); // it was not on the disk yet
    expect(readArrivals(leases).map(({ identity }) => identity)).toEqual(["early", "late"]);
    forgetArrivals(leases);
    expect(readArrivals(leases).map(({ identity }) => identity)).toEqual(["late"]);
    forgetAllArrivals(leases);
    expect(readdirSync(directory)).toEqual([]);
  });
});
