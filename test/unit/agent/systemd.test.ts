import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

const UNIT = readFileSync(new URL("../../../deploy/systemd/podvpn.service", import.meta.url), "utf8");

/** What systemd-analyze(1) says of the unit, whose program need not be installed on this machine. */
function verified(text: string) {
  const directory = mkdtempSync(join(tmpdir(), "podvpn-unit-"));
  try {
    const file = join(directory, "podvpn.service");
    writeFileSync(file, text.replaceAll("/opt/cni/bin/podvpn", "/bin/true"));
    const { status, stdout, stderr } = spawnSync("systemd-analyze", [
      "verify",
      "--man=no",
      "--recursive-errors=no",
      file,
    ]);
    return { status, said: `${stdout}${stderr}` };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

describe("the unit of the agent", () => {
  test("is one that systemd has nothing to say about", () => {
    expect(verified(UNIT)).toEqual({ status: 0, said: "" });
  });

  test("would be found fault with for a key that systemd does not know", () => {
    expect(verified(UNIT.replace("KillMode=", "KillMod=")).said).toContain("KillMod");
  });

  test("lets daemons outlive the agent, and starts it again", () => {
    for (const line of ["KillMode=process", "Restart=always", "ExecReload=/bin/kill -HUP $MAINPID"]) {
      expect(UNIT.split("\n")).toContain(line);
    }
  });
});
