import { ViciError } from "./errors.ts";
import { asBuffer, type Entry, Message, type Scalar, type Section } from "./message.ts";
import { malformed, Reader, Writer } from "./wire.ts";

/** Element types of a message (strongSwan: src/libcharon/plugins/vici/README.md, "Message format"). */
const Element = { sectionStart: 1, sectionEnd: 2, keyValue: 3, listStart: 4, listItem: 5, listEnd: 6 } as const;

/**
 * The wire form of a message. Iterative: neither depth nor a cycle in `message` can exhaust the stack.
 * @throws ViciError `INVALID`, naming the key but never a value: a repeated key (possible only in a {@link Message}),
 * a name over 255, a value over 65,535 or a message over 524,288 bytes, something that is no value of VICI.
 */
export function encodeMessage(message: Section | Message): Buffer {
  const writer = new Writer();
  const open = [new Level("", message)];
  for (let level = open.at(-1); level !== undefined; level = open.at(-1)) {
    const next = level.next();
    if (next === undefined) {
      open.pop();
      if (open.length > 0) writer.type(Element.sectionEnd);
      continue;
    }
    const [key, value] = next;
    const path = () => [...open.slice(1).map(({ name }) => name), key].join(".");
    if (isScalar(value)) {
      writer.type(Element.keyValue);
      writer.name(key, path);
      writer.value(value, path);
    } else if (isList(value)) {
      writer.type(Element.listStart);
      writer.name(key, path);
      writeItems(writer, value, path);
      writer.type(Element.listEnd);
    } else if (isSection(value)) {
      writer.type(Element.sectionStart);
      writer.name(key, path);
      open.push(new Level(key, value));
    } else {
      throw new ViciError("INVALID", `${path()}: a value is a string, bytes, a list of these, or a plain object`);
    }
  }
  return writer.bytes();
}

/**
 * A message from its wire form. Values are views of `bytes`, not copies. Repeated keys, which charon sends, are kept.
 * Iterative: a message nested to any depth cannot exhaust the stack.
 * @throws ViciError `PROTOCOL` when it is cut off, badly nested, or has an element of unknown type.
 */
export function decodeMessage(bytes: Uint8Array): Message {
  const reader = new Reader(asBuffer(bytes));
  const parents: { readonly name: string; readonly entries: Entry[] }[] = [];
  let entries: Entry[] = [];
  while (!reader.done) {
    const type = reader.uint8();
    if (type === Element.keyValue) {
      entries.push([reader.name(), reader.value()]);
    } else if (type === Element.listStart) {
      entries.push([reader.name(), readItems(reader)]);
    } else if (type === Element.sectionStart) {
      parents.push({ name: reader.name(), entries });
      entries = [];
    } else if (type === Element.sectionEnd) {
      const parent = parents.pop();
      if (parent === undefined) throw malformed("a section ends that did not start");
      parent.entries.push([parent.name, new Message(entries)]);
      entries = parent.entries;
    } else {
      throw malformed(`element type ${type} outside of a list`);
    }
  }
  if (parents.length > 0) throw malformed("a section does not end");
  return new Message(entries);
}

function writeItems(writer: Writer, items: readonly unknown[], path: () => string): void {
  for (const [index, item] of items.entries()) {
    if (!isScalar(item)) throw new ViciError("INVALID", `${path()}[${index}]: a list holds strings and bytes only`);
    writer.type(Element.listItem);
    writer.value(item, () => `${path()}[${index}]`);
  }
}

function readItems(reader: Reader): Uint8Array[] {
  const items: Uint8Array[] = [];
  for (;;) {
    if (reader.done) throw malformed("a list does not end");
    const type = reader.uint8();
    if (type === Element.listEnd) return items;
    if (type !== Element.listItem) throw malformed(`element type ${type} inside of a list`);
    items.push(reader.value());
  }
}

function isScalar(value: unknown): value is Scalar {
  return typeof value === "string" || value instanceof Uint8Array;
}

function isList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value);
}

/** Not an instance of a class: its fields were not meant for the wire. */
function isSection(value: unknown): value is Section | Message {
  if (value instanceof Message) return true;
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** A section being written, and the keys that it has had. */
class Level {
  readonly name: string;
  readonly #entries: Iterator<readonly [string, unknown]>;
  readonly #seen = new Set<string>();

  constructor(name: string, section: Section | Message) {
    this.name = name;
    this.#entries = (section instanceof Message ? section : Object.entries(section))[Symbol.iterator]();
  }

  next(): readonly [string, unknown] | undefined {
    const next = this.#entries.next();
    if (next.done) return undefined;
    const [key] = next.value;
    if (this.#seen.has(key)) throw new ViciError("INVALID", `${key}: given twice in one section`);
    this.#seen.add(key);
    return next.value;
  }
}
