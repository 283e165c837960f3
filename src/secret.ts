import { inspect } from "node:util";

/**
 * Bytes that must never be shown: a PSK or a private key.
 * Prints as `[secret]` wherever a program prints by habit: string, JSON, console.log, an error's cause.
 */
export class Secret {
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** The bytes themselves, for the one call that needs them. */
  reveal(): Uint8Array {
    return this.#bytes;
  }

  toString(): string {
    return "[secret]";
  }

  toJSON(): string {
    return "[secret]";
  }

  [inspect.custom](): string {
    return "[secret]";
  }
}
