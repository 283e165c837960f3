import { Secret } from "../secret.ts";

/** A value of VICI has at most 65535 bytes. */
const LONGEST = 65_535;

/** What {@link parsePsk} takes, for messages. */
export const PSK_EXPECTED =
  "a pre-shared key of 1 to 65535 bytes: text as it is, hexadecimal digits after 0x, or base64 after 0s";

/**
 * A pre-shared key as swanctl.conf(5) writes it (`secrets.ike.secret`): `0x…` is hexadecimal, `0s…` base64, everything
 * else is the key itself in UTF-8. Stricter than swanctl, which makes some key of wrong digits: undefined for those,
 * for an empty key and for one that VICI cannot carry.
 */
export function parsePsk(text: string): Secret | undefined {
  const bytes = decode(text);
  return bytes && bytes.length > 0 && bytes.length <= LONGEST ? new Secret(bytes) : undefined;
}

/**
 * The key in a file: as {@link parsePsk}, without the line's end that editors and `echo` add. A file that is not UTF-8
 * is the key byte for byte.
 */
export function parsePskFile(bytes: Uint8Array): Secret | undefined {
  const line = withoutLineEnd(bytes);
  const text = Buffer.from(line).toString("utf8");
  if (Buffer.from(text, "utf8").equals(line)) return parsePsk(text);
  return line.length <= LONGEST ? new Secret(line) : undefined;
}

function decode(text: string): Uint8Array | undefined {
  const digits = text.slice(2);
  switch (text.slice(0, 2).toLowerCase()) {
    case "0x":
      return /^(?:[\da-f]{2})+$/i.test(digits) ? Buffer.from(digits, "hex") : undefined;
    case "0s":
      return isBase64(digits) ? Buffer.from(digits, "base64") : undefined;
    default:
      return Buffer.from(text, "utf8");
  }
}

/** Whole groups of four, padded or not (RFC 4648 section 3.2 leaves the padding to the user of it). */
function isBase64(digits: string): boolean {
  return (
    /^[A-Za-z\d+/]+={0,2}$/.test(digits) && (digits.endsWith("=") ? digits.length % 4 === 0 : digits.length % 4 !== 1)
  );
}

function withoutLineEnd(bytes: Uint8Array): Uint8Array {
  const [beforeLast, last] = bytes.slice(-2);
  if (bytes.length >= 2 && beforeLast === 0x0d && last === 0x0a) return bytes.subarray(0, -2);
  return bytes.at(-1) === 0x0a ? bytes.subarray(0, -1) : bytes;
}
