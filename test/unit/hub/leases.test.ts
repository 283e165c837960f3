import type { ChildSa, IkeSa } from "vici";
import { describe, expect, test } from "vitest";
import type { Entry } from "../../../src/hub/book.ts";
import { ageText, bytesText, leaseJson, leaseTable, shorten } from "../../../src/hub/lease-table.ts";
import { type AllLeases, changes, type Lease, leasesOf, offlineOf } from "../../../src/hub/leases.ts";
import { changeLines } from "../../../src/hub/watch.ts";
import { type Address, parseAddress } from "../../../src/net/address.ts";

const address = (text: string): Address => parseAddress(text) ?? expect.fail(text);

/** What a listing has of an SA, as far as leases go. */
function sa(overrides: Partial<IkeSa>): IkeSa {
  const child = { name: "net", state: "INSTALLED", bytesIn: 100n, bytesOut: 20n } as ChildSa;
  const base = {
    state: "ESTABLISHED",
    remoteId: "a",
    remoteHost: "10.9.0.1",
    established: 60,
    remoteVips: ["10.173.0.1"],
  };
  return { ...base, childSas: [child], ...overrides } as IkeSa;
}

function lease(overrides: Partial<Lease> = {}): Lease {
  const base = {
    identity: "a",
    virtualIPs: ["10.173.0.1"],
    remoteHost: "10.9.0.1",
    age: 60,
    bytesIn: 100n,
    bytesOut: 20n,
  };
  return { ...base, ...overrides };
}

describe("leases", () => {
  test("are the established SAs with a virtual IP, in the order of their addresses", () => {
    const sas = [
      sa({ remoteId: "b", remoteVips: ["10.173.0.10"] }),
      sa({ remoteId: "a", remoteVips: ["10.173.0.9"] }),
      sa({ remoteId: "c", state: "CONNECTING", remoteVips: [] }),
      sa({ remoteId: "d", state: "DELETING", remoteVips: ["10.173.0.7"] }),
      sa({ remoteId: "e", remoteVips: ["240.0.0.1", "100::1"] }), // waits for its own
    ];
    expect(leasesOf(sas).map(({ identity }) => identity)).toEqual(["a", "b"]);
  });

  test("count once while an IKE_SA is rekeyed, with the younger", () => {
    const sas = [sa({ state: "REKEYING", established: 14_000 }), sa({ established: 1 })];
    expect(leasesOf(sas)).toEqual([lease({ age: 1 })]);
    expect(leasesOf([...sas].reverse())).toEqual([lease({ age: 1 })]);
  });

  test("count the bytes of all children that live", () => {
    const child = (state: string, bytesIn: bigint) => ({ name: "net", state, bytesIn, bytesOut: 1n }) as ChildSa;
    const childSas = [child("REKEYED", 5n), child("INSTALLED", 7n), child("DELETED", 1000n)];
    expect(leasesOf([sa({ childSas })])).toEqual([lease({ bytesIn: 12n, bytesOut: 2n })]);
  });

  test("come and go by identity and address, whatever else changes", () => {
    const [stays, goes, comes] = [lease(), lease({ identity: "b" }), lease({ virtualIPs: ["10.173.0.2"] })];
    const older = lease({ age: 90, bytesIn: 500n });
    expect(changes([stays, goes], [older, comes])).toEqual({ came: [comes], went: [goes] });
    expect(changeLines([goes], [comes])).toEqual(["offline: b, was 10.173.0.1", "online: a, 10.173.0.2 at 10.9.0.1"]);
  });
});

test("a lease of the file is offline unless charon has its pod now, be it written in capitals", () => {
  const entry = (identity: string, text: string): Entry => ({ identity, addresses: [address(text)] });
  const entries = [entry("b", "10.173.0.10"), entry("C", "10.173.0.9"), entry("a", "10.173.0.1")];
  expect(offlineOf(entries, [lease({ identity: "A" })]).map(({ identity }) => identity)).toEqual(["C", "b"]);
});

describe("the table of leases", () => {
  const identity = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.eth0@node-1";
  const now = Date.UTC(2026, 0, 1, 0, 1);
  const away = (name: string, until?: number): Entry => ({
    identity: name,
    addresses: [address("10.173.0.3")],
    offline: { since: now - 1000, ...(until === undefined ? {} : { until }) },
  });
  const rows: AllLeases = {
    online: [
      lease({ identity, virtualIPs: ["10.173.0.1", "fd00:173::1"], age: 12_000, bytesIn: 5_000_000n }),
      lease({ identity: "short", virtualIPs: ["10.173.0.2"] }),
    ],
    offline: [away("away", now + 59_000), away("kept")],
  };

  test("fits a terminal, with both ends of a long identity", () => {
    const lines = leaseTable(rows, now, 80).split("\n");
    expect(lines).toHaveLength(6);
    expect(lines[0]).toMatch(/^IDENTITY +VIRTUAL IP +AGE +IN +OUT +KEPT$/);
    expect(Math.max(...lines.map((line) => line.length))).toBe(80);
    expect(lines[1]).toMatch(/^0123456789\w*….*node-1 {2}10\.173\.0\.1 fd00:173::1 +3h20m {2}4\.8 MiB {2}20 B +-$/);
    expect(lines[2]).toMatch(/^short {2,}10\.173\.0\.2 +1m00s +100 B +20 B +-$/);
    expect(lines[3]).toMatch(/^away {2,}10\.173\.0\.3 +offline +- +- +59s$/);
    expect(lines[4]).toMatch(/^kept {2,}10\.173\.0\.3 +offline +- +- +always$/);
  });

  test("shortens nothing for a file or a pipe", () => {
    expect(leaseTable(rows, now)).toContain(identity);
  });

  test("says so when there are none", () => {
    expect(leaseTable({ online: [], offline: [] }, now, 80)).toBe("no pod is online\n");
  });

  test("is a list of objects for programs", () => {
    const json: unknown = JSON.parse(
      leaseJson({ online: [lease()], offline: [away("b", now + 59_000), away("c")] }, now),
    );
    expect(json).toEqual([
      {
        identity: "a",
        virtualIPs: ["10.173.0.1"],
        online: true,
        remoteHost: "10.9.0.1",
        since: "2026-01-01T00:00:00.000Z",
        bytesIn: 100,
        bytesOut: 20,
      },
      {
        identity: "b",
        virtualIPs: ["10.173.0.3"],
        online: false,
        offlineSince: "2026-01-01T00:00:59.000Z",
        keptUntil: "2026-01-01T00:01:59.000Z",
      },
      {
        identity: "c",
        virtualIPs: ["10.173.0.3"],
        online: false,
        offlineSince: "2026-01-01T00:00:59.000Z",
        keptUntil: null,
      },
    ]);
  });

  test.each([
    [0, "0s"],
    [59, "59s"],
    [723, "12m03s"],
    [11_520, "3h12m"],
    [446_400, "5d04h"],
  ])("writes %i seconds as %s", (seconds, text) => {
    expect(ageText(seconds)).toBe(text);
  });

  test.each([
    [0n, "0 B"],
    [1023n, "1023 B"],
    [1536n, "1.5 KiB"],
    [1_048_575n, "1.0 MiB"],
    [5n << 40n, "5.0 TiB"],
  ])("writes %s bytes as %s", (bytes, text) => {
    expect(bytesText(bytes)).toBe(text);
  });

  test("shortens in the middle, to the column", () => {
    expect(shorten("abcdefghij", 10)).toBe("abcdefghij");
    expect(shorten("abcdefghijk", 10)).toBe("abcde…hijk");
  });
});
