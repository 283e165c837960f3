import fc from "fast-check";
import {
  decodeMessage,
  decodePacket,
  encodeMessage,
  encodePacket,
  encodeSegment,
  MAX_SEGMENT,
  Message,
  type Packet,
  type Section,
  SegmentDecoder,
  text,
  type Value,
  ViciError,
} from "vici";
import { describe, expect, test } from "vitest";
import { EXCHANGES, recorded } from "./support/recorded.ts";

const key = fc.string({ unit: "binary", maxLength: 60 }).filter((name) => Buffer.byteLength(name) <= 255);
const bytes = fc.uint8Array({ maxLength: 300 });

/** Any section that VICI can carry: any depth, any bytes, names such as `__proto__` among them. */
const { section } = fc.letrec<{ section: Section; value: Section[string] }>((tie) => ({
  section: fc.dictionary(fc.oneof(key, fc.constantFrom("__proto__", "constructor", "toString", "1")), tie("value"), {
    maxKeys: 5,
    noNullPrototype: false,
  }),
  value: fc.oneof({ maxDepth: 5 }, bytes, fc.array(bytes, { maxLength: 5 }), tie("section")),
}));

/** A decoded message as plain data that keeps everything: order, repeats, bytes. */
function entries(message: Message): unknown[] {
  return [...message].map(([name, value]) => [name, value instanceof Message ? entries(value) : asHex(value)]);
}

function entriesOf(given: Section): unknown[] {
  return Object.entries(given).map(([name, value]) => [
    name,
    typeof value === "string" || value instanceof Uint8Array || Array.isArray(value)
      ? asHex(value)
      : entriesOf(value as Section),
  ]);
}

function asHex(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(asHex);
  return Buffer.from(value as Uint8Array).toString("hex");
}

function failure(action: () => unknown): ViciError {
  try {
    action();
  } catch (error) {
    if (error instanceof ViciError) return error;
    throw error;
  }
  throw new Error("it did not fail");
}

describe.each(EXCHANGES)("the recorded exchange %s", (exchange) => {
  test("decodes to what it was recorded with", () => {
    for (const { segment, decoded } of recorded(exchange)) {
      const [body, ...others] = new SegmentDecoder().push(segment);
      expect(others).toEqual([]);
      expect(JSON.parse(JSON.stringify(decodePacket(body as Buffer)))).toEqual(decoded);
    }
  });

  test("is encoded byte for byte, from what was decoded and from plain objects", () => {
    for (const { segment, decoded } of recorded(exchange)) {
      expect(encodeSegment(encodePacket(decodePacket(segment.subarray(4))))).toEqual(segment);
      expect(encodeSegment(encodePacket(decoded as Packet<Section>))).toEqual(segment);
    }
  });
});

describe("a message", () => {
  test("comes back as it was sent, whatever its names, bytes and depth", () => {
    fc.assert(
      fc.property(section, (given) => {
        const wire = encodeMessage(given);
        const decoded = decodeMessage(wire);
        expect(entries(decoded)).toEqual(entriesOf(given));
        expect(encodeMessage(decoded)).toEqual(wire);
      }),
    );
  });

  test("has no entries but its own, and can have one called __proto__", () => {
    const message = decodeMessage(encodeMessage({ ["__proto__"]: "a", constructor: "b" }));
    expect([message.text("__proto__"), message.text("constructor"), message.get("toString")]).toEqual([
      "a",
      "b",
      undefined,
    ]);
    expect(JSON.stringify(message)).toBe('{"__proto__":"a","constructor":"b"}');
  });

  test("keeps repeated keys in order, and looks up the last", () => {
    const one = encodeMessage({ version: "2", local: { auth: "psk" } });
    const two = encodeMessage({ version: "1", local: { auth: "eap" } });
    const message = decodeMessage(Buffer.concat([one, two]));
    expect(message.size).toBe(4);
    expect(message.text("version")).toBe("1");
    expect(message.sections().map(([name, local]) => [name, local.text("auth")])).toEqual([
      ["local", "psk"],
      ["local", "eap"],
    ]);
    expect(message.section("local")?.text("auth")).toBe("eap");
  });

  test("keeps bytes that are no text", () => {
    const der = Uint8Array.of(0x30, 0x82, 0, 0xff);
    const message = decodeMessage(encodeMessage({ data: der, list: [der, "text"] }));
    expect(new Uint8Array(message.bytes("data") ?? [])).toEqual(der);
    expect((message.get("list") as Uint8Array[]).map((item) => item.length)).toEqual([4, 4]);
  });

  test("answers a question for the wrong kind of value with nothing", () => {
    const message = decodeMessage(encodeMessage({ list: ["a"], section: {}, scalar: "b" }));
    expect([message.text("list"), message.text("section"), message.section("scalar")]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    expect([message.list("scalar"), message.list("section"), message.list("absent")]).toEqual([[], [], []]);
  });

  test("may be nested as deep as a segment has room for", () => {
    const depth = 100_000;
    const wire = Buffer.concat([Buffer.alloc(depth * 3, Uint8Array.of(1, 1, 0x61)), Buffer.alloc(depth, 2)]);
    const message = decodeMessage(wire);
    expect(encodeMessage(message)).toEqual(wire);
  });

  test("does not show its values when it is printed by habit", () => {
    const message = decodeMessage(encodeMessage({ data: "0123456789" }));
    expect(`${String(message)} ${Object.values(message).join()}`).not.toContain("0123456789");
  });
});

describe("what cannot be sent is refused, by name and never by value", () => {
  const SECRET = "hunter2hunter2";
  const cyclic: Record<string, Section[string]> = {};
  cyclic.again = cyclic;
  const invalid: [string, () => unknown, string][] = [
    ["a value that is too long", () => encodeMessage({ a: { data: SECRET.repeat(5000) } }), "a.data: 70000 bytes"],
    ["an item that is too long", () => encodeMessage({ keys: ["a", SECRET.repeat(5000)] }), "keys[1]: 70000 bytes"],
    ["a name that is too long", () => encodeMessage({ ["é".repeat(128)]: SECRET }), "a name has 255 bytes at most"],
    ["a number", () => encodeMessage({ data: 7 } as unknown as Section), "data: a value is"],
    ["undefined", () => encodeMessage({ data: undefined } as unknown as Section), "data: a value is"],
    ["null", () => encodeMessage({ a: { b: null } } as unknown as Section), "a.b: a value is"],
    ["a list in a list", () => encodeMessage({ a: [[SECRET]] } as unknown as Section), "a[0]: a list holds"],
    [
      "an instance of a class",
      () =>
        encodeMessage({
          a: new (class {
            data = SECRET;
          })(),
        } as unknown as Section),
      "a: a value is",
    ],
    ["a cycle", () => encodeMessage(cyclic), "524288 bytes at most"],
    [
      "a message that is too long",
      () => encodeMessage(Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`k${i}`, SECRET.repeat(1000)]))),
      "524288 bytes at most",
    ],
    [
      "a repeated key",
      () => {
        const entry: [string, Value] = ["data", Buffer.from(SECRET)];
        return encodeMessage(new Message([entry, entry]));
      },
      "data: given twice",
    ],
    ["a command's name that is too long", () => encodePacket({ type: "EVENT_REGISTER", name: "x".repeat(256) }), "255"],
    ["a packet that is too long", () => encodeSegment(Buffer.alloc(MAX_SEGMENT + 1)), "524289 bytes"],
  ];

  test.each(invalid)("%s", (_, action, message) => {
    const error = failure(action);
    expect(error.code).toBe("INVALID");
    expect(error.message).toContain(message);
    expect(error.message).not.toContain(SECRET);
  });
});

describe("what is no VICI is a PROTOCOL error", () => {
  const message: [string, string][] = [
    ["a section that does not end", "010161"],
    ["a section that did not start", "02"],
    ["a list that does not end", "040161"],
    ["an item outside of a list", "05000161"],
    ["a list's end outside of one", "06"],
    ["a key in a list", "040161030162000163"],
    ["a section in a list", "040161010162"],
    ["an unknown element", "07"],
    ["a name cut off", "03056162"],
    ["a value's length cut off", "03016100"],
    ["a value cut off", "030161000562"],
  ];
  test.each(message)("in a message: %s", (_, hex) => {
    expect(failure(() => decodeMessage(Buffer.from(hex, "hex"))).code).toBe("PROTOCOL");
  });

  const packet: [string, string][] = [
    ["nothing", ""],
    ["an unknown type", "09"],
    ["no name", "07"],
    ["a name cut off", "070561"],
    ["bytes after a confirmation", "0500"],
    ["bytes after a registration", "03016100"],
  ];
  test.each(packet)("in a packet: %s", (_, hex) => {
    expect(failure(() => decodePacket(Buffer.from(hex, "hex"))).code).toBe("PROTOCOL");
  });
});

describe("a stream of segments", () => {
  const body = fc.uint8Array({ maxLength: 200 });

  test("is cut the same in any pieces", () => {
    fc.assert(
      fc.property(fc.array(body, { maxLength: 8 }), fc.array(fc.integer({ min: 1, max: 50 })), (bodies, sizes) => {
        const stream = Buffer.concat(bodies.map(encodeSegment));
        const decoder = new SegmentDecoder();
        const received: Buffer[] = [];
        for (let offset = 0, turn = 0; offset < stream.length; turn += 1) {
          const size = sizes[turn % Math.max(sizes.length, 1)] ?? stream.length;
          received.push(...decoder.push(stream.subarray(offset, offset + size)));
          offset += size;
        }
        expect(received.map(asHex)).toEqual(bodies.map(asHex));
      }),
    );
  });

  test("may have segments of 524,288 bytes, byte by byte, and copies each byte once", () => {
    const segment = encodeSegment(Buffer.alloc(MAX_SEGMENT, "x"));
    const decoder = new SegmentDecoder();
    const received: Buffer[] = [];
    for (let offset = 0; offset < segment.length; offset += 1) {
      received.push(...decoder.push(segment.subarray(offset, offset + 1)));
    }
    expect(received).toEqual([segment.subarray(4)]);
  });

  test("is refused at a length over 524,288, before there is a body", () => {
    const decoder = new SegmentDecoder();
    expect(decoder.push(Uint8Array.of(0, 8, 0))).toEqual([]);
    expect(failure(() => decoder.push(Uint8Array.of(1)))).toMatchObject({ code: "PROTOCOL" });
  });
});

test("text is read as UTF-8, a byte order mark included", () => {
  expect(text(Buffer.from("\ufeffhäb"))).toBe("\ufeffhäb");
});
