import { readdirSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import { Installation } from "./support/executable.ts";

const installation = new Installation();
afterAll(() => installation[Symbol.dispose]());

/** Loads both addons and prints from where. */
const LOAD = "podvpn version --verbose";
const STORE = "/var/lib/podvpn/addons";

/** The files of the last `LOAD`, by addon. */
function origins(stdout: string): string[] {
  return stdout.split("\n").flatMap((line) => /^(?:netlink|koffi) (\S+)$/.exec(line)?.[1] ?? []);
}

/** Spoils what the first start has unpacked, starts again, and prints what is there then. */
function afterSpoiling(spoil: string) {
  const script = `${LOAD} >/run/before; F=$(sed -n "s/^koffi //p" /run/before); cp "$F" /run/good; ${spoil}; ${LOAD};
    cmp "$F" /run/good; stat -c "%F %U %a" "$F"; ls -A ${STORE} | wc -l`;
  return installation.sandboxed(script);
}

const RESTORED = "regular file root 700\n2\n";

describe("native addons", () => {
  test("are unpacked once, under names that hold their hash, where only root can write, with HOME unset", () => {
    const { status, stdout, stderr } = installation.sandboxed(
      `${LOAD}; stat -c "%n %i %Z %a" ${STORE} ${STORE}/*; ${LOAD}; stat -c "%n %i %Z %a" ${STORE} ${STORE}/*`,
    );
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    const lines = stdout.trimEnd().split("\n");
    const half = lines.length / 2;
    expect(lines.slice(half)).toEqual(lines.slice(0, half)); // the same inodes, untouched
    expect(origins(stdout).slice(0, 2)).toEqual([
      expect.stringMatching(/^\/var\/lib\/podvpn\/addons\/netlink-[0-9a-f]{32}\.node$/),
      expect.stringMatching(/^\/var\/lib\/podvpn\/addons\/koffi-[0-9a-f]{32}\.node$/),
    ]);
    expect(lines.filter((line) => line.startsWith(STORE)).map((line) => line.split(" ").at(-1))).toEqual(
      Array(6).fill("700"),
    );
  });

  test("survive twenty first starts at once", () => {
    const { status, stdout, stderr } = installation.sandboxed(
      `for i in $(seq 20); do ${LOAD} >/run/$i & P="\${P:-} $!"; done; for p in $P; do wait $p; done;
       sort -u /run/[0-9]* | wc -l; ls -A ${STORE} | wc -l`,
    );
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toBe("4\n2\n"); // all twenty print the same four lines; no temporary file is left
  });

  test.each([
    ["another content of the same size", 'head -c "$(stat -c %s "$F")" /dev/zero >"$F"'],
    ["half of it", 'truncate -s 1000 "$F"'],
    ["a file that others can write", 'chmod 0722 "$F"'],
    ["a file that belongs to somebody else", 'chown 65534 "$F"'],
    ["a symbolic link, even to the right bytes", 'rm "$F"; ln -s /run/good "$F"'],
    ["a named pipe", 'rm "$F"; mkfifo "$F"'],
    ["what a killed start left an hour ago", `touch -d "2 hours ago" ${STORE}/koffi-x.node.1-1.tmp; rm "$F"`],
  ])("replaces %s", (_what, spoil) => {
    const { status, stdout, stderr } = afterSpoiling(spoil);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout.endsWith(RESTORED)).toBe(true);
    expect(origins(stdout)[1]).toMatch(/^\/var\/lib\/podvpn\/addons\/koffi/);
  });

  test("leaves what another start is writing at this moment", () => {
    const { stdout } = afterSpoiling(`touch ${STORE}/koffi-x.node.1-1.tmp; rm "$F"`);
    expect(stdout.endsWith("regular file root 700\n3\n")).toBe(true);
  });

  test.each([
    ["a directory that others can write", `mkdir -p ${STORE}; chmod 777 ${STORE}`],
    ["a directory that others can write, sticky", `mkdir -p ${STORE}; chmod 1777 ${STORE}`],
    ["a directory of somebody else", `mkdir -p ${STORE}; chown 65534 ${STORE}`],
    ["a directory that others could exchange", "mkdir -p /var/lib/podvpn; chmod 777 /var/lib/podvpn"],
    [
      "a file system without execution",
      "mkdir /var/lib/podvpn; mount -t tmpfs -o mode=700,noexec tmpfs /var/lib/podvpn",
    ],
    ["a file system that is read-only", "mount -o remount,ro /var/lib"],
    ["a file in the way", "touch /var/lib/podvpn"],
  ])("passes over %s", (_what, prepare) => {
    const { status, stdout, stderr } = installation.sandboxed(`${prepare}; ${LOAD}`);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    for (const origin of origins(stdout))
      expect(origin.startsWith(`${installation.directory}/.podvpn-addons/`)).toBe(true);
  });

  test("accepts a bare tmpfs above the directory: there, others cannot exchange it", () => {
    const { stdout } = installation.sandboxed(`mkdir /var/lib/podvpn; mount -t tmpfs tmpfs /var/lib/podvpn; ${LOAD}`);
    for (const origin of origins(stdout)) expect(origin.startsWith(STORE)).toBe(true);
  });

  test("are refused, with what is wrong and what to do, when no directory is fit", () => {
    const bad = `${installation.directory}/.podvpn-addons`;
    const { status, stdout, stderr } = installation.sandboxed(
      `mkdir -p ${STORE} /run/podvpn/addons ${bad}; chmod 777 ${STORE} /run/podvpn/addons; mount -t tmpfs -o mode=777 tmpfs ${bad};
       ${LOAD} || echo status $?; ls -A ${STORE} ${bad} /run/podvpn/addons`,
    );
    expect(status).toBe(0);
    expect(stdout).toContain("status 1\n");
    expect(stdout).not.toContain(".node");
    const [what, remedy, ...rest] = stderr.split("\n");
    expect(what).toMatch(
      /^podvpn version: no directory to load native code from \(\/var\/lib\/podvpn\/addons: .*others/,
    );
    expect(remedy).toMatch(/^make \/var\/lib\/podvpn a directory that root owns/);
    expect(rest).toEqual([""]);
  });
});

test("nothing was written outside of the sandboxes but beside the executable", () => {
  expect(readdirSync(installation.directory).sort()).toEqual([".podvpn-addons", "podvpn", "strongswan"]);
});
