import { createHash, randomBytes } from "node:crypto";
import type { Place } from "../../../src/testbed/place.ts";

/** Bytes of a transfer: enough for TCP to send packets as large as it may. */
const SIZE = 1 << 20;
const PORT = 7008;

/** Transfers of bytes by TCP. */
export const Bulk = {
  /**
   * Sends a mebibyte by TCP from one place to an address of another.
   * @returns "whole", or what arrived instead. @throws Fault 5 when the connection is not done within a minute.
   */
  async send(from: Place, to: Place, address: string): Promise<string> {
    const version = address.includes(":") ? 6 : 4;
    const target = version === 6 ? `[${address}]` : address;
    const hash = createHash("sha256");
    let bytes = 0;
    const take = (chunk: Buffer) => {
      bytes += chunk.length;
      hash.update(chunk);
    };
    const listen = `TCP${version}-LISTEN:${PORT},bind=${target},reuseaddr`;
    await using receiver = to.spawn(["socat", "-u", "-d", "-d", listen, "STDOUT"], { onStdout: take });
    await receiver.line(/ listening on /, 60_000);
    const input = randomBytes(SIZE);
    const timeout = 60_000;
    await from.exec(["socat", "-u", "STDIN", `TCP${version}:${target}:${PORT}`], { input, timeout });
    await receiver.ended;
    const whole = hash.digest("hex") === createHash("sha256").update(input).digest("hex");
    return whole ? "whole" : `${bytes} bytes, ${bytes === SIZE ? "but others" : `of ${SIZE}`}`;
  },
};
