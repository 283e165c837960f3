import { ViciError } from "./errors.ts";
import type { Message } from "./message.ts";

// Values have no type on the wire: numbers are decimal text, a flag is `yes` or absent.

/** @throws ViciError `PROTOCOL` when the field is absent. */
export function requiredText(message: Message, key: string): string {
  return required(message.text(key), key);
}

/** Undefined when absent. @throws ViciError `PROTOCOL` when it is no whole number. */
export function integer(message: Message, key: string): number | undefined {
  const value = message.text(key);
  return value === undefined ? undefined : Number(decimal(value, key));
}

/** @throws ViciError `PROTOCOL` when the field is absent or no whole number. */
export function requiredInteger(message: Message, key: string): number {
  return required(integer(message, key), key);
}

/** A counter of bytes or packets, which may exceed 2^53; zero when absent. @throws ViciError `PROTOCOL`. */
export function counter(message: Message, key: string): bigint {
  return BigInt(decimal(message.text(key) ?? "0", key));
}

export function flag(message: Message, key: string): boolean {
  return message.text(key) === "yes";
}

function required<T>(value: T | undefined, key: string): T {
  if (value === undefined) throw new ViciError("PROTOCOL", `charon's answer has no "${key}"`);
  return value;
}

function decimal(value: string, key: string): string {
  if (!/^-?\d+$/.test(value)) throw new ViciError("PROTOCOL", `charon's answer has "${key}" that is no whole number`);
  return value;
}
