import { afterAll, describe, expect, test } from "vitest";
import { Installation } from "./support/executable.ts";

const installation = new Installation();
afterAll(() => installation[Symbol.dispose]());

const BIN = "/run/cni/bin";
const INSTALL = `podvpn install --bin-dir ${BIN}`;
const UNINSTALL = `podvpn uninstall --bin-dir ${BIN}`;
/** Of another version: other bytes, still podvpn's. */
const OLDER = `mkdir -p ${BIN}; cp ${installation.podvpn} ${BIN}/podvpn; echo older >>${BIN}/podvpn; ln ${BIN}/podvpn ${BIN}/strongswan; ln ${BIN}/podvpn ${BIN}/wireguard`;

/** What is in the directory: names, inodes' link counts and modes. */
const LIST = `ls -A ${BIN} | while read n; do stat -c "$n %h %a %U" ${BIN}/$n; done`;
const INSTALLED = "podvpn 3 755 root\nstrongswan 3 755 root\nwireguard 3 755 root\n";

describe("podvpn install", () => {
  test("puts one file under all names in place, and leaves no other file", () => {
    const { status, stdout, stderr } = installation.sandboxed(
      `${INSTALL}; ${LIST}; cmp ${installation.podvpn} ${BIN}/strongswan; echo "{}" | CNI_COMMAND=VERSION ${BIN}/strongswan`,
    );
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toMatch(
      `copy ${BIN}/podvpn\nlink ${BIN}/strongswan\nlink ${BIN}/wireguard\n${INSTALLED}{"cniVersion":"1.1.0"`,
    );
  });

  test("leaves alone what is in place", () => {
    const inodes = `stat -c "%i %Z" ${BIN}/podvpn ${BIN}/strongswan`;
    const { status, stdout } = installation.sandboxed(`${INSTALL} >/dev/null; ${inodes}; ${INSTALL}; ${inodes}`);
    const [first, second, says, ...again] = stdout.trimEnd().split("\n");
    expect({ status, says }).toEqual({ status: 0, says: `${BIN} is up to date` });
    expect(again).toEqual([first, second]);
  });

  test("run from the directory itself, mends the other names", () => {
    const { stdout } = installation.sandboxed(
      `${INSTALL} >/dev/null; echo "#!/bin/sh" >/run/x; mv /run/x ${BIN}/strongswan; ${BIN}/podvpn install --bin-dir ${BIN}; ${LIST}`,
    );
    expect(stdout).toBe(`link ${BIN}/strongswan\n${INSTALLED}`);
  });

  test("upgrades while a plugin of the old version runs, which ends undisturbed", () => {
    const { status, stdout, stderr } = installation.sandboxed(
      `${OLDER}; mkfifo /run/stdin; CNI_COMMAND=VERSION ${BIN}/strongswan </run/stdin >/run/answer & P=$!; exec 3>/run/stdin;
       ${INSTALL}; cmp ${installation.podvpn} ${BIN}/strongswan; readlink /proc/$P/exe; echo "{}" >&3; exec 3>&-;
       wait $P; cat /run/answer; ${LIST}`,
    );
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toMatch(/strongswan \(deleted\)\n\{"cniVersion"/);
    expect(stdout.endsWith(INSTALLED)).toBe(true);
  });

  test("only tells with --dry-run", () => {
    const { stdout } = installation.sandboxed(`${INSTALL} --dry-run; ls /run`);
    expect(stdout).toBe(`would copy ${BIN}/podvpn\nwould link ${BIN}/strongswan\nwould link ${BIN}/wireguard\n`);
  });

  test("refuses a directory in which others could exchange the plugins", () => {
    const { status, stdout, stderr } = installation.sandboxed(
      `mkdir -p ${BIN}; chmod 777 ${BIN}; ${INSTALL} || ls -A ${BIN}`,
    );
    expect({ status, stdout }).toEqual({ status: 0, stdout: "" });
    expect(stderr).toMatch(/^podvpn install: \/run\/cni\/bin .*others.*\ngive it to root and run `chmod go-w/);
  });

  test("leaves the old version when there is no space for the new one", () => {
    const { stdout, stderr } = installation.sandboxed(
      `mkdir -p ${BIN}; mount -t tmpfs -o mode=755,size=10m tmpfs ${BIN}; echo old >${BIN}/podvpn;
       ${INSTALL} || cat ${BIN}/podvpn; ls -A ${BIN}`,
    );
    expect(stdout).toBe("old\npodvpn\n");
    expect(stderr).toMatch(/ENOSPC\nfree space on that file system/);
  });
});

describe("podvpn uninstall", () => {
  test("takes the names and every trace away, and can be repeated", () => {
    const { status, stdout, stderr } = installation.sandboxed(
      `${INSTALL}; ${BIN}/podvpn version --verbose; mkdir -p /run/podvpn/pods; touch ${BIN}/.podvpn-1-1.tmp;
       mkdir ${BIN}/.podvpn-addons; echo ---; ${UNINSTALL}; ls -A ${BIN} /var/lib /run/podvpn 2>&1 || true; ${UNINSTALL}`,
    );
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    const [, after] = stdout.split("---\n");
    expect(
      after
        ?.split("\n")
        .filter((line) => line.startsWith("remove"))
        .sort(),
    ).toEqual([
      "remove /run/cni/bin/.podvpn-1-1.tmp",
      "remove /run/cni/bin/.podvpn-addons",
      "remove /run/cni/bin/podvpn",
      "remove /run/cni/bin/strongswan",
      "remove /run/cni/bin/wireguard",
      "remove /run/podvpn",
      "remove /var/lib/podvpn",
    ]);
    expect(after).toContain(
      `ls: cannot access '/run/podvpn': No such file or directory\n/run/cni/bin:\n\n/var/lib:\nnothing of podvpn is installed\n`,
    );
  });

  test("takes an older version away, and keeps a plugin of the same name that is not podvpn's", () => {
    const { stdout } = installation.sandboxed(
      `${OLDER}; echo foreign >/run/x; mv /run/x ${BIN}/strongswan; ${UNINSTALL}; cat ${BIN}/*`,
    );
    expect(stdout).toBe(
      `remove ${BIN}/podvpn\nremove ${BIN}/wireguard\nkeep ${BIN}/strongswan: it is not podvpn's\nforeign\n`,
    );
  });

  test("only tells with --dry-run", () => {
    const { stdout } = installation.sandboxed(`${INSTALL} >/dev/null; ${UNINSTALL} --dry-run; ${LIST}`);
    expect(stdout).toBe(
      `would remove ${BIN}/podvpn\nwould remove ${BIN}/strongswan\nwould remove ${BIN}/wireguard\n${INSTALLED}`,
    );
  });

  test("refuses while a pod is attached or a hub runs, and names them; --force does not", () => {
    const { stdout, stderr } = installation.sandboxed(
      `${INSTALL} >/dev/null; mkdir -p /run/podvpn/pods/abc /run/podvpn/hub; ${UNINSTALL} || ${LIST}; ${UNINSTALL} --force`,
    );
    expect(stdout.startsWith(INSTALLED)).toBe(true);
    expect(stdout).toContain("remove /run/podvpn\n");
    expect(stderr).toMatch(/^podvpn uninstall: still attached: abc, hub\n/);
  });
});
