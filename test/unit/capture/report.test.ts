import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { CaptureResult } from "../../../src/capture/capture.ts";
import { captureJson, EXIT_STATUS, heading, plainLine, summary } from "../../../src/capture/report.ts";
import { scopeTest } from "../../../src/capture/scope.ts";
import { Tally, verdictOf } from "../../../src/capture/tally.ts";
import { parsePrefix } from "../../../src/net/prefix.ts";
import { arp, ethernet, ipv4, ipv6, solicitation, tcp, udp, wireguard } from "./support/frames.ts";

function prefixes(...texts: string[]) {
  return texts.map(parsePrefix).filter((prefix) => prefix !== undefined);
}

const PREFIXES = prefixes("10.1.0.0/16", "fd00:1::/48");
const SUBJECT = { interfaces: ["eth0"], prefixes: PREFIXES };

function tally(frames: readonly Buffer[], most = 10): Tally {
  const isSecret = scopeTest([{ prefixes: PREFIXES, except: [] }]);
  const made = new Tally({ isSecret, isEndpoint: () => false, wireguardPorts: new Set([51820]) }, most);
  for (const [index, bytes] of frames.entries()) {
    made.add("eth0", { time: Date.UTC(2026, 0, 2, 3, 4, 5, 600) + index, linkType: 1, bytes, length: bytes.length });
  }
  return made;
}

function result(frames: readonly Buffer[], dropped = 0): CaptureResult {
  const counted = tally(frames);
  return { tally: counted, dropped, seconds: 10.01, verdict: verdictOf(counted, dropped) };
}

const DATA = ethernet(ipv4("192.0.2.1", "192.0.2.2", udp(51820, 51820, wireguard(4, 1000))));
const HANDSHAKE = ethernet(ipv4("192.0.2.1", "192.0.2.2", udp(51820, 51820, wireguard(1, 148))));
const DISCOVERY = [arp("10.1.0.5", "10.1.0.6"), ethernet(ipv6("fe80::1", "ff02::1", solicitation("fd00:1::5")))];
const PLAIN = ethernet(ipv4("10.1.0.5", "198.51.100.1", tcp(80, 40000)));

describe("a frame that somebody made to do harm", () => {
  it("is counted or not, but never ends the capture", () => {
    const frame = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      // Further in: an Ethernet header, then anything, or a packet of which one byte is wrong, cut anywhere.
      fc.uint8Array({ maxLength: 180 }).map((rest) => Buffer.concat([PLAIN.subarray(0, 14), rest])),
      fc
        .tuple(fc.constantFrom(PLAIN, DATA, ...DISCOVERY), fc.nat(150), fc.nat(255), fc.nat(150))
        .map(([whole, at, value, end]) => {
          const bytes = Buffer.from(whole);
          if (at < bytes.length) bytes[at] = value;
          return bytes.subarray(0, end);
        }),
    );
    fc.assert(
      fc.property(frame, fc.constantFrom(1, 12, 101, 113, 228, 229, 276, 9), (bytes, linkType) => {
        const counted = tally([]);
        const packet = counted.add("eth0", { time: 0, linkType, bytes: Buffer.from(bytes), length: bytes.length });
        if (packet !== undefined) plainLine(packet);
      }),
      { numRuns: 20_000 },
    );
  });
});

describe("the verdict", () => {
  it("is that all was encrypted, only when something was and nothing was plain or lost", () => {
    expect(result([DATA, HANDSHAKE]).verdict).toBe("encrypted");
    expect(result([DATA, HANDSHAKE], 1).verdict).toBe("incomplete");
    expect(result([HANDSHAKE]).verdict).toBe("nothing");
    expect(result([]).verdict).toBe("nothing");
  });

  it("is plain as soon as one packet was, whatever else there was", () => {
    expect(result([DATA, PLAIN]).verdict).toBe("plain");
    expect(result([PLAIN], 5).verdict).toBe("plain");
  });

  it("is the exit status: 0 for the proof alone", () => {
    expect(EXIT_STATUS).toEqual({ encrypted: 0, plain: 1, nothing: 3, incomplete: 3 });
  });
});

describe("the text", () => {
  it("shows the counts and the verdict", () => {
    expect(summary(result([DATA, DATA, HANDSHAKE]))).toBe(`
                    PACKETS       BYTES
WireGuard                 2     2.0 KiB
ESP                       0         0 B
ESP in UDP                0         0 B
encrypted in all          2     2.0 KiB
plain                     0         0 B

Beside these, 1 packet (190 B) of key exchange and keep-alive: no traffic.
ENCRYPTED: no packet of these prefixes went in plain.
`);
  });

  it("says what is not proved, and what to do", () => {
    expect(summary(result([PLAIN]))).toContain("NOT ENCRYPTED: 1 packet (54 B) went in plain.");
    expect(summary(result([]))).toContain("NOTHING PROVED: neither");
    expect(summary(result([DATA], 12))).toContain("NOTHING PROVED: 12 packets were lost");
  });

  it("shows a packet's addresses, ports and tags, and nothing of what it carries", () => {
    const secret = udp(5555, 80, Buffer.from("a secret"));
    const [packet] = tally([ethernet(ipv4("10.1.0.5", "198.51.100.1", secret), [100])]).firstPlain;
    if (packet === undefined) throw new Error("not plain");
    expect(plainLine(packet)).toMatch(
      /^plain: \d\d:04:05\.600 eth0 vlan 100 UDP 54 B 10\.1\.0\.5:5555 > 198\.51\.100\.1:80\n$/,
    );
    expect(plainLine(packet) + captureJson(SUBJECT, result([]))).not.toContain("secret");
  });

  it("keeps within 80 columns, however long addresses are", () => {
    const long = "fd00:1:0:1111:2222:3333:4444";
    const frames = [
      arp("10.1.0.5", "192.0.2.1"),
      ethernet(ipv6(`${long}:5555`, `${long}:6666`, tcp(44444, 55555)), [4000, 4001]),
      ethernet(ipv6("fe80::1111:2222:3333:4444", "ff02::1:ff33:4444", solicitation(`${long}:5555`))),
    ];
    const text = [
      heading(
        { interfaces: ["eth0", "eth1"], prefixes: prefixes("10.1.0.0/16", "fd00:1::/48", "10.2.0.0/16") },
        86_400,
      ),
      ...tally(frames).firstPlain.map(plainLine),
      ...[[DATA, HANDSHAKE], [PLAIN], []].map((some) => summary(result(some))),
      summary(result([DATA], 1_000_000)),
    ].join("");
    expect(text.split("\n").filter((line) => line.length > 80)).toEqual([]);
    expect(text).toContain("fd00:1::/48 and 1 more on eth0 and eth1");
    expect(text).toContain(`about ${long}:5555`);
  });
});

describe("JSON", () => {
  it("has the verdict, all counts and the first plain packets", () => {
    expect(JSON.parse(captureJson(SUBJECT, result([DATA, HANDSHAKE, PLAIN], 2)))).toEqual({
      verdict: "plain",
      interfaces: ["eth0"],
      prefixes: ["10.1.0.0/16", "fd00:1::/48"],
      seconds: 10.01,
      encrypted: {
        packets: 1,
        bytes: 1042,
        wireguard: { packets: 1, bytes: 1042 },
        esp: { packets: 0, bytes: 0 },
        espInUdp: { packets: 0, bytes: 0 },
      },
      plain: {
        packets: 1,
        bytes: 54,
        first: [
          {
            time: "2026-01-02T03:04:05.602Z",
            interface: "eth0",
            vlans: [],
            source: "10.1.0.5",
            destination: "198.51.100.1",
            sourcePort: 80,
            destinationPort: 40000,
            protocol: "TCP",
            length: 54,
          },
        ],
      },
      signalling: { packets: 1, bytes: 190 },
      dropped: 2,
    });
  });

  it("keeps no more than so many plain packets, and counts all", () => {
    const counted = tally(
      Array.from({ length: 25 }, () => PLAIN),
      10,
    );
    expect(counted.firstPlain).toHaveLength(10);
    expect(counted.counts.plain.packets).toBe(25);
  });
});
