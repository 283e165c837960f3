import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** A segment of a recorded exchange with strongSwan 5.9.8, and what it says. */
export interface Recorded {
  readonly from: "client" | "charon";
  readonly segment: Buffer;
  readonly decoded: { readonly type: string; readonly name?: string; readonly message?: Record<string, unknown> };
}

const DIRECTORY = fileURLToPath(new URL("../../../fixtures/vici", import.meta.url));

/** Names of all recorded exchanges. */
export const EXCHANGES = readdirSync(DIRECTORY)
  .filter((file) => file.endsWith(".txt"))
  .map((file) => file.slice(0, -".txt".length))
  .sort();

/** An exchange, segment by segment in the order in which they went. */
export function recorded(exchange: string): Recorded[] {
  const lines = readFileSync(`${DIRECTORY}/${exchange}.txt`, "utf8").split("\n");
  return lines.flatMap((line, index): Recorded[] => {
    if (!/^[<>] /.test(line)) return [];
    const json = lines[index + 1];
    if (json?.startsWith("= ") !== true) throw new Error(`${exchange}.txt:${index + 1} is not followed by its JSON`);
    return [
      {
        from: line.startsWith(">") ? "client" : "charon",
        segment: Buffer.from(line.slice(2), "hex"),
        decoded: JSON.parse(json.slice(2)),
      },
    ];
  });
}
