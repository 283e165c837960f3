import { execFileSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CHECKS, type Finding, findingsOf, quoted } from "../../../src/doctor/finding.ts";
import { commandLines, doctorJson, doctorText } from "../../../src/doctor/report.ts";

const { ok, bad, warning, none } = findingsOf("routes");
const LONG = `packets for ${Array.from({ length: 12 }, (_, index) => `10.1.${index}.0/24`).join(", ")} go nowhere`;
const COMMAND = `nft 'insert rule inet fw pass iifname "podvpn0" ip daddr 10.1.1.0/24 accept; insert rule inet fw pass oifname "podvpn0" accept' && echo done`;
const FINDINGS: readonly Finding[] = [
  ok("all routes are there"),
  bad(LONG, { command: COMMAND }),
  warning("w", { remedy: LONG }),
  none("n"),
];

describe("the report of the doctor", () => {
  it("fits into 80 columns, but for quoted words that must stay whole", () => {
    const lines = doctorText(FINDINGS, 80).split("\n");
    expect(lines.filter((line) => line.length > 80 && !line.includes("'insert"))).toEqual([]);
    expect(lines).toContain("1 bad, 1 warning: mend them from the top, and ask again");
  });

  it("breaks no line where it is read by a program", () => {
    expect(doctorText(FINDINGS, undefined).split("\n")).toContain(`          $ ${COMMAND}`);
  });

  it("says whether all is well", () => {
    expect(doctorText([ok("x")], 80)).toMatch(/\nall is well\n$/);
    expect(doctorText([ok("x"), warning("y", {})], 80)).toMatch(/\nnothing is bad; 1 warning\n$/);
    expect(JSON.parse(doctorJson(FINDINGS))).toMatchObject({ healthy: false, findings: { length: 4 } });
    expect(JSON.parse(doctorJson([warning("y", {})]))).toMatchObject({ healthy: true });
  });

  it("tells checks in their order", () => {
    const findings = [...CHECKS].reverse().map((check) => findingsOf(check).ok(check));
    const titles = doctorText(findings, 80)
      .split("\n")
      .filter((line) => /^\S/.test(line));
    expect(titles).toEqual([...CHECKS, "all is well"]);
  });
});

describe("a command for a terminal", () => {
  it("is the same command to a shell, however it is broken", () => {
    const printed = (command: string) => execFileSync("sh", ["-c", command]).toString();
    const command = `printf '%s\\n' ${Array.from({ length: 20 }, (_, index) => `word-${index}`).join(" ")} 'a  b' "c d" && echo end`;
    const broken = commandLines(command, 60);
    expect(broken.length).toBeGreaterThan(3);
    expect(printed(broken.join("\n").replace(/^\$ /, ""))).toBe(printed(command));
  });
});

describe("a quoted word", () => {
  it("is that word to a shell", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[ -~]{1,20}$/), (word) => {
        expect(execFileSync("sh", ["-c", `printf %s ${quoted(word)}`]).toString()).toBe(word);
      }),
      { numRuns: 30 },
    );
  });
});
