import { describe, expect, it } from "vitest";
import { Secret } from "../../../src/secret.ts";
import type { DeviceState, PeerChange } from "../../../src/wireguard/device.ts";
import { parsePublicKey } from "../../../src/wireguard/key.ts";
import { answerErrno, encodeSet, parseGet } from "../../../src/wireguard/uapi.ts";
import { endpoint, key, prefix, secret } from "./support/model.ts";

/** The answer of wireguard-go 0.0.20220316 for a device with three peers, keys replaced. */
const ANSWER = `private_key=e84b5a6d2717c1003a13b431570353dbaca9146cf150c5f8575680feba52027a
listen_port=12912
fwmark=51820
public_key=b85996fecc9c7f1fc6d2572a76eda11d59bcd20be8e543b15ce4bd85a8e75a33
preshared_key=188515093e952f5f22e865cef3012e72f8b5f0b598ac0309d5dacce3b70fcf52
protocol_version=1
endpoint=[abcd:23::33%2]:51820
last_handshake_time_sec=0
last_handshake_time_nsec=0
tx_bytes=38333
rx_bytes=2224
persistent_keepalive_interval=111
allowed_ip=192.168.4.4/32
public_key=58402e695ba1772b1cc9309755f043251ea77fdcf10fbe63989ceb7e19321376
preshared_key=0000000000000000000000000000000000000000000000000000000000000000
protocol_version=1
endpoint=182.122.22.19:3233
last_handshake_time_sec=1795255200
last_handshake_time_nsec=123456789
tx_bytes=0
rx_bytes=18446744073709551615
persistent_keepalive_interval=0
allowed_ip=192.168.4.6/32
allowed_ip=fd00::/8
public_key=662e14fd594556f522604703340351258903b64f35553763f19426ab2a515c58
protocol_version=1
errno=0

`;

const hex = (of: Secret | undefined) => of && Buffer.from(of.reveal()).toString("hex");
const base64 = (text: string) => Buffer.from(text, "hex").toString("base64");

describe("parseGet", () => {
  const state = parseGet(ANSWER);

  it("reads those peers alone that are asked for, and the device with them", () => {
    const [first, second, third] = state.peers;
    if (first === undefined || second === undefined || third === undefined) throw new Error("not three peers");
    expect(parseGet(ANSWER, new Set([first.publicKey, third.publicKey]))).toEqual({ ...state, peers: [first, third] });
    expect(parseGet(ANSWER, new Set())).toEqual({ ...state, peers: [] });
    const broken = ANSWER.replace("tx_bytes=0", "tx_bytes=none");
    expect(parseGet(broken, new Set([third.publicKey])).peers).toEqual([third]);
    expect(() => parseGet(broken, new Set([second.publicKey]))).toThrow("tx_bytes");
  });

  it("reads the device", () => {
    expect(hex(state.privateKey)).toBe("e84b5a6d2717c1003a13b431570353dbaca9146cf150c5f8575680feba52027a");
    expect(state).toMatchObject({ listenPort: 12912, fwmark: 51820 });
    expect(parseGet("errno=0\n\n")).toEqual({ listenPort: 0, fwmark: 0, peers: [] });
  });

  it("reads its peers", () => {
    const [one, two, three] = state.peers;
    expect(hex(one?.presharedKey)).toBe("188515093e952f5f22e865cef3012e72f8b5f0b598ac0309d5dacce3b70fcf52");
    expect(two).toEqual({
      publicKey: base64("58402e695ba1772b1cc9309755f043251ea77fdcf10fbe63989ceb7e19321376"),
      endpoint: endpoint("182.122.22.19", 3233),
      persistentKeepalive: 0,
      allowedIPs: [prefix("192.168.4.6/32"), prefix("fd00::/8")],
      latestHandshake: 1_795_255_200_123,
      receivedBytes: 2 ** 64,
      sentBytes: 0,
    });
    expect(three).toEqual({
      publicKey: base64("662e14fd594556f522604703340351258903b64f35553763f19426ab2a515c58"),
      persistentKeepalive: 0,
      allowedIPs: [],
      receivedBytes: 0,
      sentBytes: 0,
    });
  });

  it("leaves out an endpoint that is no address and port", () => {
    expect(state.peers[0]).not.toHaveProperty("endpoint");
    expect(state.peers[0]).not.toHaveProperty("latestHandshake");
  });

  it("passes over keys of newer versions, of the device and of a peer", () => {
    const newer = ANSWER.replace("fwmark=", "awg_jc=4\nfwmark=").replace(
      /protocol_version=1/g,
      "protocol_version=2\nx=a=b",
    );
    expect(parseGet(newer)).toEqual(state);
  });

  it("has none of the device's private key in what it shows", () => {
    expect(JSON.stringify(state)).not.toMatch(/6d2717|3e952f/);
  });

  const peerOf = (line: string) => `public_key=${"1".repeat(64)}\n${line}\nerrno=0\n\n`;
  it.each([
    ["an errno", "errno=-5\n\n", "refuses to be read (EIO)"],
    ["no end", ANSWER.slice(0, -10), "no errno"],
    ["nothing", "", "no errno"],
    ["half an errno", `${ANSWER.slice(0, -1)}`, "no errno"],
    ["a line without a value", "private\nerrno=0\n\n", "key=value"],
    ["a line without a key", "=1\nerrno=0\n\n", "key=value"],
    ["a port that is no number", "listen_port=x\nerrno=0\n\n", "listen_port"],
    ["a port that is none", "listen_port=65536\nerrno=0\n\n", "listen_port"],
    ["a short private key", "private_key=abcd\nerrno=0\n\n", "64 hex digits"],
    ["a public key in base64", `public_key=${key(1)}\nerrno=0\n\n`, "public_key"],
    ["an allowed IP without a length", peerOf("allowed_ip=10.0.0.1"), "allowed_ip"],
    ["a negative count", peerOf("rx_bytes=-1"), "rx_bytes"],
  ])("refuses %s, without showing it", (_, answer, message) => {
    const attempt = () => parseGet(answer);
    expect(attempt).toThrowError(expect.objectContaining({ code: 102, message: expect.stringContaining(message) }));
    expect(attempt).not.toThrowError(/abcd|AQEB/);
  });

  it("reads 10,000 peers without being slow by the square", () => {
    const [head = "", ...peers] = ANSWER.replace("errno=0\n\n", "").split(/^(?=public_key)/m);
    const many = `${head}${Array.from({ length: 3334 }, () => peers.join("")).join("")}errno=0\n\n`;
    expect(parseGet(many).peers).toHaveLength(10_002);
  });
});

describe("answerErrno", () => {
  it("names the errno, whatever its sign", () => {
    expect(answerErrno("errno=0\n\n")).toBeUndefined();
    expect(answerErrno("errno=-98\n\n")).toBe("EADDRINUSE");
    expect(answerErrno("errno=22\n\n")).toBe("EINVAL");
  });
});

describe("encodeSet", () => {
  const LAN = prefix("10.1.0.0/16");

  it("writes the port first: nothing has been changed when it is refused", () => {
    const [operation] = encodeSet({ privateKey: secret(1), listenPort: 51820, fwmark: 7, peers: [] });
    expect(operation).toBe(`set=1\nlisten_port=51820\nfwmark=7\nprivate_key=${hex(secret(1))}\n\n`);
  });

  it("writes zeros as such, and nothing of what stays", () => {
    expect(encodeSet({ listenPort: 0, fwmark: 0, peers: [] })).toEqual(["set=1\nlisten_port=0\nfwmark=0\n\n"]);
    expect(encodeSet({ peers: [] })).toEqual([]);
  });

  it("makes, alters and removes peers in their order", () => {
    const peers: PeerChange[] = [
      {
        publicKey: key(1),
        isNew: true,
        presharedKey: secret(1),
        endpoint: endpoint("2001:db8::1", 51820),
        persistentKeepalive: 25,
        addAllowedIPs: [LAN, prefix("fd00::/8")],
      },
      { publicKey: key(2), isNew: false, presharedKey: "none", addAllowedIPs: [] },
      { publicKey: key(3), remove: true },
    ];
    expect(encodeSet({ peers })).toEqual([
      `set=1
public_key=${"01".repeat(32)}
preshared_key=${hex(secret(1))}
endpoint=[2001:db8::1]:51820
persistent_keepalive_interval=25
allowed_ip=10.1.0.0/16
allowed_ip=fd00::/8
public_key=${"02".repeat(32)}
update_only=true
preshared_key=${"00".repeat(32)}
public_key=${"03".repeat(32)}
remove=true

`,
    ]);
  });

  it("keeps each operation under 64 KiB, with all that a peer can have", () => {
    const whole = { presharedKey: secret(1), endpoint: endpoint("2001:db8:1111:2222:3333:4444:5555:6666", 51820) };
    const peers = Array.from({ length: 1000 }, (_, index): PeerChange => {
      const groups = Array.from({ length: 8 }, (_, at) => (0x1000 + index + at).toString(16));
      const longest = prefix(`${groups.join(":")}/128`);
      return {
        ...whole,
        publicKey: key(1),
        isNew: false,
        persistentKeepalive: 65535,
        addAllowedIPs: Array(5).fill(longest),
      };
    });
    const operations = encodeSet({ listenPort: 51820, fwmark: 2 ** 32 - 1, privateKey: secret(1), peers });
    expect(operations.length).toBeGreaterThan(5);
    expect(operations.length).toBeLessThan(20);
    for (const operation of operations) expect(operation.length).toBeLessThan(65_536);
    expect(operations.join("").match(/^public_key=/gm)).toHaveLength(1000);
  });

  it("is what parseGet reads, but for the words of an operation", () => {
    const publicKey = parsePublicKey(key(5)) ?? key(5);
    const [operation = ""] = encodeSet({
      privateKey: secret(9),
      listenPort: 1,
      fwmark: 2,
      peers: [{ publicKey, isNew: true, presharedKey: secret(8), persistentKeepalive: 3, addAllowedIPs: [LAN] }],
    });
    const state: DeviceState = parseGet(`${operation.slice("set=1\n".length, -1)}errno=0\n\n`);
    expect(hex(state.privateKey)).toBe(hex(secret(9)));
    expect(hex(state.peers[0]?.presharedKey)).toBe(hex(secret(8)));
    expect(state).toMatchObject({
      listenPort: 1,
      fwmark: 2,
      peers: [{ publicKey, persistentKeepalive: 3, allowedIPs: [LAN], presharedKey: expect.any(Secret) }],
    });
  });
});
