import { Secret } from "../../../src/secret.ts";
import { encodeKey, parseSecretKey } from "../../../src/wireguard/key.ts";

// Device states and changes as JSON, between a test and its driver in a node (device-driver.ts).

/** With secrets, which JSON.stringify alone would hide. */
export function encode(value: unknown): string {
  return JSON.stringify(value, function (this: Record<string, unknown>, key: string, shown: unknown) {
    const held = this[key];
    return held instanceof Secret ? { $secret: encodeKey(held.reveal()) } : shown;
  });
}

export function decode(text: string): unknown {
  return JSON.parse(text, (_, value: unknown) => {
    const isSecret = typeof value === "object" && value !== null && "$secret" in value;
    return isSecret ? parseSecretKey(String(value.$secret)) : value;
  });
}
