/** Bytes of events, as they were on the wire, that wait to be read. Over it they are lost, and the reader is told so. */
export const MAX_QUEUED = 32 * 1024 * 1024;

interface Reader<T> {
  readonly resolve: (result: IteratorResult<T, undefined>) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * From events that come when they want to a reader that takes them when it can.
 * The connection is never paused for a slow reader: commands use it too, perhaps the reader's own.
 */
export class EventQueue<T> {
  #items: { readonly value: T; readonly size: number }[] = [];
  #taken = 0;
  #size = 0;
  #readers: Reader<T>[] = [];
  #end: { readonly error?: unknown } | undefined;

  /** @param size Bytes that count towards {@link MAX_QUEUED}. Returns false when they would be too many. */
  push(value: T, size: number): boolean {
    if (this.#end !== undefined) return true;
    const reader = this.#readers.shift();
    if (reader !== undefined) {
      reader.resolve({ done: false, value });
      return true;
    }
    if (this.#size + size > MAX_QUEUED) return false;
    this.#size += size;
    this.#items.push({ value, size });
    return true;
  }

  /** No more events: the reader gets those that wait, then the end. */
  end(): void {
    this.#close({});
  }

  /** The same, with an error for an end. */
  fail(error: unknown): void {
    this.#close({ error });
  }

  next(): Promise<IteratorResult<T, undefined>> {
    const item = this.#items[this.#taken];
    if (item !== undefined) {
      this.#taken += 1;
      this.#size -= item.size;
      this.#trim();
      return Promise.resolve({ done: false, value: item.value });
    }
    return new Promise((resolve, reject) => {
      const reader = { resolve, reject };
      if (this.#end === undefined) this.#readers.push(reader);
      else finish(reader, this.#end);
    });
  }

  #close(end: { readonly error?: unknown }): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    for (const reader of this.#readers.splice(0)) finish(reader, end);
  }

  /** Frees what was read, in batches: one by one, `shift` would move a long list at every event. */
  #trim(): void {
    if (this.#taken < this.#items.length && this.#taken < 256) return;
    this.#items = this.#items.slice(this.#taken);
    this.#taken = 0;
  }
}

function finish<T>(reader: Reader<T>, end: { readonly error?: unknown }): void {
  if ("error" in end) reader.reject(end.error);
  else reader.resolve({ done: true, value: undefined });
}
