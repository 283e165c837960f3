import { describe, expect, it } from "vitest";
import { classify, type PacketKind } from "../../../src/capture/classify.ts";
import { parseFrame } from "../../../src/capture/frame.ts";
import { type Scope, scopeTest } from "../../../src/capture/scope.ts";
import { parsePrefix } from "../../../src/net/prefix.ts";
import { arp, esp, ethernet, ipv4, ipv6, other, solicitation, tcp, udp, wireguard } from "./support/frames.ts";

const ETHERNET = 1;
const RAW = 101;

function prefixes(...texts: string[]) {
  return texts.map(parsePrefix).filter((prefix) => prefix !== undefined);
}

const SCOPES: Scope[] = [
  { prefixes: prefixes("10.1.0.0/16", "fd00:1::/48"), except: [] },
  { prefixes: prefixes("10.173.0.0/16"), except: prefixes("10.173.255.0/24") },
];

function kind(frame: Buffer, { linkType = ETHERNET, scopes = SCOPES, endpoints = "192.0.2.0/24" } = {}): PacketKind {
  const packet = parseFrame(linkType, frame);
  if (packet === undefined) return "other";
  return classify(packet, {
    isSecret: scopeTest(scopes),
    isEndpoint: scopeTest([{ prefixes: prefixes(endpoints), except: [] }]),
    wireguardPorts: new Set([51820]),
  });
}

/** Between nodes. */
const outer = (transport: ReturnType<typeof udp>) => ethernet(ipv4("192.0.2.1", "192.0.2.2", transport));
const outer6 = (transport: ReturnType<typeof udp>) => ethernet(ipv6("2001:db8::1", "2001:db8::2", transport));

describe("what is encrypted", () => {
  it("is WireGuard's data message to or from one of its ports, in both families", () => {
    expect(kind(outer(udp(51820, 40000, wireguard(4, 96))))).toBe("wireguard");
    expect(kind(outer(udp(40000, 51820, wireguard(4, 96))))).toBe("wireguard");
    expect(kind(outer6(udp(51820, 51820, wireguard(4, 96))))).toBe("wireguard");
  });

  it("is ESP, by itself and in UDP 4500", () => {
    expect(kind(outer(other(50, esp(0xc0ffee, 100))))).toBe("esp");
    expect(kind(outer6(other(50, esp(0xc0ffee, 100))))).toBe("esp");
    expect(kind(outer(udp(4500, 4500, esp(0xc0ffee, 100))))).toBe("espInUdp");
    expect(kind(outer6(udp(30000, 4500, esp(0xc0ffee, 100))))).toBe("espInUdp");
  });

  it("is known by the first bytes of a packet that was cut", () => {
    const whole = outer(udp(51820, 51820, wireguard(4, 1400)));
    expect(kind(whole.subarray(0, 192))).toBe("wireguard");
  });

  it("is known behind VLAN tags and IPv6 extension headers, and on links without Ethernet", () => {
    const packet = ipv4("192.0.2.1", "192.0.2.2", udp(51820, 51820, wireguard(4, 96)));
    expect(kind(ethernet(packet, [100]))).toBe("wireguard");
    expect(kind(ethernet(packet, [100, 200]))).toBe("wireguard");
    expect(kind(packet, { linkType: RAW })).toBe("wireguard");
    const hopByHop = { protocol: 0, bytes: Buffer.alloc(7) };
    const extended = ipv6("2001:db8::1", "2001:db8::2", udp(51820, 51820, wireguard(4, 96)), [hopByHop]);
    expect(kind(ethernet(extended))).toBe("wireguard");
  });
});

describe("what tunnels say among themselves", () => {
  it("is no traffic: WireGuard's handshake and keep-alive, IKE, NAT keep-alive", () => {
    for (const [type, length] of [
      [1, 148],
      [2, 92],
      [3, 64],
      [4, 32],
    ] as const) {
      expect(kind(outer(udp(51820, 51820, wireguard(type, length))))).toBe("signalling");
    }
    expect(kind(outer(udp(500, 500, Buffer.alloc(200, 1))))).toBe("signalling");
    expect(kind(outer(udp(4500, 4500, esp(0, 200))))).toBe("signalling");
    expect(kind(outer(udp(4500, 4500, Buffer.from([0xff]))))).toBe("signalling");
  });
});

describe("what is none of our business", () => {
  it("is everything between other addresses, also on a port of WireGuard that does not look like it", () => {
    expect(kind(outer(tcp(22, 40000)))).toBe("other");
    expect(kind(outer(udp(51820, 51820, Buffer.from("in the clear, on the right port"))))).toBe("other");
    expect(kind(outer(udp(51820, 51820, wireguard(1, 200))))).toBe("other");
    expect(kind(outer(udp(4500, 4500, Buffer.from("abc"))))).toBe("other");
    expect(kind(outer(udp(51821, 51821, wireguard(4, 96))))).toBe("other");
    expect(kind(arp("192.0.2.1", "192.0.2.2"))).toBe("other");
    expect(kind(outer6(solicitation("2001:db8::2")))).toBe("other");
  });

  it("is what stays outside of the tunnel on purpose", () => {
    expect(kind(ethernet(ipv4("10.173.255.1", "192.0.2.2", tcp(1, 2))))).toBe("other");
    expect(kind(ethernet(ipv4("10.173.254.1", "192.0.2.2", tcp(1, 2))))).toBe("plain");
  });

  it("is what cannot be read: empty, cut, of another protocol or link", () => {
    expect(kind(Buffer.alloc(0))).toBe("other");
    expect(kind(ethernet(ipv4("10.1.0.1", "10.1.0.2", tcp(1, 2))).subarray(0, 30))).toBe("other");
    expect(kind(ethernet(ipv4("10.1.0.1", "10.1.0.2", tcp(1, 2))), { linkType: 147 })).toBe("other");
    expect(kind(Buffer.alloc(200, 0x81))).toBe("other");
  });
});

describe("what is plain", () => {
  it("is every packet from or to a prefix, of any protocol, in both families", () => {
    expect(kind(ethernet(ipv4("10.1.0.5", "198.51.100.1", tcp(80, 40000))))).toBe("plain");
    expect(kind(ethernet(ipv4("198.51.100.1", "10.1.0.5", udp(53, 53, Buffer.alloc(30)))))).toBe("plain");
    expect(kind(ethernet(ipv4("10.173.0.1", "10.173.0.2", other(132, Buffer.alloc(20)))))).toBe("plain");
    expect(kind(ethernet(ipv6("fd00:1::5", "fd00:1::6", tcp(80, 40000))))).toBe("plain");
  });

  it("is that also behind VLAN tags, without Ethernet, as a later fragment, and behind extension headers", () => {
    const packet = ipv4("10.1.0.5", "198.51.100.1", tcp(80, 40000));
    expect(kind(ethernet(packet, [100]))).toBe("plain");
    expect(kind(ethernet(packet, [100, 200]))).toBe("plain");
    expect(kind(packet, { linkType: RAW })).toBe("plain");
    expect(kind(ethernet(ipv4("10.1.0.5", "198.51.100.1", udp(1, 2, Buffer.alloc(8)), 185)))).toBe("plain");
    const fragment = { protocol: 44, bytes: Buffer.from([0, 0x05, 0xc8, 0, 0, 0, 1]) };
    expect(kind(ethernet(ipv6("fd00:1::5", "2001:db8::1", udp(1, 2, Buffer.alloc(8)), [fragment])))).toBe("plain");
  });

  it("is ARP and neighbour discovery for an address in a prefix", () => {
    expect(kind(arp("192.0.2.1", "10.1.0.5"))).toBe("plain");
    expect(kind(arp("10.1.0.5", "192.0.2.1", [100]))).toBe("plain");
    expect(kind(ethernet(ipv6("fe80::1", "ff02::1:ff00:5", solicitation("fd00:1::5"))))).toBe("plain");
  });

  it("is what looks encrypted, but is a pod's own: a VPN of a program in it", () => {
    expect(kind(ethernet(ipv4("10.1.0.5", "198.51.100.1", udp(51820, 51820, wireguard(4, 96)))))).toBe("plain");
    expect(kind(ethernet(ipv4("10.1.0.5", "198.51.100.1", other(50, esp(1, 100)))))).toBe("plain");
  });

  it("is not a tunnel's packet, when a wide prefix holds the addresses of the nodes as well", () => {
    const wide = [{ prefixes: prefixes("192.0.0.0/8"), except: [] }];
    expect(kind(outer(udp(51820, 51820, wireguard(4, 96))), { scopes: wide })).toBe("wireguard");
    expect(kind(outer(udp(4500, 4500, esp(0, 200))), { scopes: wide })).toBe("signalling");
    expect(kind(outer(tcp(22, 40000)), { scopes: wide })).toBe("plain");
    expect(kind(outer(udp(51820, 51820, wireguard(4, 96))), { scopes: wide, endpoints: "198.51.100.0/24" })).toBe(
      "plain",
    );
  });
});

describe("scopeTest", () => {
  it("tells the same of an address however often it is asked, and of more than it remembers", () => {
    const test = scopeTest([{ prefixes: prefixes("10.1.0.0/17"), except: [] }]);
    for (let round = 0; round < 2; round += 1) {
      for (let index = 0; index < 0x10000; index += 1) {
        const inside = test(Buffer.from([10, 1, index >> 8, index & 0xff]));
        if (inside !== index < 0x8000) throw new Error(`10.1.${index >> 8}.${index & 0xff}: ${inside}`);
      }
    }
  });
});
