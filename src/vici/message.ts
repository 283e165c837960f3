/** What a request may hold as a value: text, which is sent as UTF-8, or bytes (PSK, key, certificate), sent as they are. */
export type Scalar = string | Uint8Array;

/** A request, or a section of one, under VICI's own key names. */
export interface Section {
  readonly [key: string]: Scalar | readonly Scalar[] | Section;
}

/** A decoded value: bytes until it is read ({@link text}), since VICI does not say what they are. */
export type Value = Uint8Array | readonly Uint8Array[] | Message;

export type Entry = readonly [key: string, value: Value];

/**
 * A message or section as charon sent it: entries in order, repeats kept, looked up by key with the last one winning.
 * Not a plain object: `__proto__` and `constructor` are legal names, and inherited keys would be taken for entries.
 */
export class Message implements Iterable<Entry> {
  readonly #entries: readonly Entry[];
  #byKey: Map<string, Value> | undefined;

  constructor(entries: Iterable<Entry>) {
    this.#entries = [...entries];
  }

  /** Number of entries, repeats included. */
  get size(): number {
    return this.#entries.length;
  }

  [Symbol.iterator](): Iterator<Entry> {
    return this.#entries[Symbol.iterator]();
  }

  get(key: string): Value | undefined {
    this.#byKey ??= new Map(this.#entries);
    return this.#byKey.get(key);
  }

  /** A scalar's bytes; undefined when the key is absent, or a list or section. */
  bytes(key: string): Uint8Array | undefined {
    const value = this.get(key);
    return value instanceof Uint8Array ? value : undefined;
  }

  /** A scalar's text; undefined when the key is absent, or a list or section. */
  text(key: string): string | undefined {
    const value = this.bytes(key);
    return value === undefined ? undefined : text(value);
  }

  /** A list's items; empty when the key is absent, or no list. */
  list(key: string): string[] {
    const value = this.get(key);
    return isList(value) ? value.map(text) : [];
  }

  section(key: string): Message | undefined {
    const value = this.get(key);
    return value instanceof Message ? value : undefined;
  }

  /** All sections in order, repeats included. */
  sections(): [name: string, section: Message][] {
    return this.#entries.flatMap(([name, value]): [string, Message][] =>
      value instanceof Message ? [[name, value]] : [],
    );
  }

  /** Everything as text, for a log or a test. Bytes that are not UTF-8 do not survive it. */
  toJSON(): unknown {
    // Defines own properties, also `__proto__`.
    return Object.fromEntries(this.#entries.map(([key, value]) => [key, plain(value)]));
  }
}

/** UTF-8 bytes as text; what is not UTF-8 becomes U+FFFD. */
export function text(value: Uint8Array): string {
  return asBuffer(value).toString("utf8");
}

/** The same memory as a Buffer, not a copy. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function isList(value: Value | undefined): value is readonly Uint8Array[] {
  return Array.isArray(value);
}

function plain(value: Value): unknown {
  if (value instanceof Message) return value.toJSON();
  return isList(value) ? value.map(text) : text(value);
}
